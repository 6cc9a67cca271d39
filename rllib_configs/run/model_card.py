"""The model card of a run: what whoever gets the policy has to know of it."""

from __future__ import annotations

import json
from pathlib import Path

from rllib_configs.run.directory import ENVIRONMENT_FILE, load_experiment
from rllib_configs.run.evaluation import read_episodes
from rllib_configs.run.logging import read_metrics
from rllib_configs.run.report import cloned_from, interval_text, markdown, success_table
from vla_envs.files import atomic_write_text

CARD = "model_card.md"
TEXT = """---
library_name: vla_envs
tags: [robotics, reinforcement-learning, vision-language-action]
---

# {name}

A policy of the kind `{kind}` for {environment}. It succeeds in {after} of {episodes} held-out episodes, {before} before
reinforcement learning.

{table}

![Learning curve](learning_curve.png)

## Use

```python
from policies.registry import load_policy

policy = load_policy("{kind}", path="policy").eval()
actions = policy.act(observations)  # float32 (B, {chunk_size}, A) of batched tensors
```

`vla evaluate .` measures it again, `vla play .` shows it. The environment's keywords and what the policy observes are
in `config.json`.

## Training

{training}

```json
{rests_on}
```

## Limits

Success was measured in simulation, greedily, from initial states that training never saw. Nothing is known of other
tasks, cameras, objects or robots; `vla evaluate . --perturb camera light noise` measures some of that.
"""


def write_model_card(directory: Path) -> Path:
    """Write ``model_card.md`` into the directory of a run that has ended, and return its path."""
    experiment, episodes = load_experiment(directory), read_episodes(directory)
    before, after = episodes["before"], episodes["after"]
    environment, ttrl = experiment.environment, experiment.ttrl
    keywords = ", ".join(f"{key}={value!r}" for key, value in environment.env_kwargs.items())
    trained = max((points[-1][0] for points in read_metrics(directory).values()), default=0)
    cloned = f"{words.capitalize()}. " if (words := cloned_from(experiment)) else ""
    training = (
        f"{cloned}{trained} of {experiment.iterations} iterations of {experiment.ppo.groups_per_iteration} groups of "
        f"{ttrl.n_votes_per_prompt} trajectories, advantages by `{experiment.ppo.adv_estimator}`, reward "
        f"`{ttrl.reward}`, learning rate {experiment.ppo.lr}, seed {experiment.seed}. `report.html` shows how it went."
    )
    text = TEXT.format(
        name=experiment.name,
        kind=experiment.policy.kind,
        environment=f"`{environment.id}`" + (f" ({keywords})" if keywords else ""),
        before=interval_text(before),
        after=interval_text(after),
        episodes=len(after),
        table=markdown(success_table({"before": before, "after": after})),
        chunk_size=environment.chunk_size,
        training=training,
        rests_on=json.dumps(json.loads((directory / ENVIRONMENT_FILE).read_text()), indent=2),
    )
    atomic_write_text(directory / CARD, text)
    return directory / CARD
