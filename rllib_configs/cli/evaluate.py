"""``vla evaluate RUN``: greedy success of a run's policy on held-out initial states."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rllib_configs.cli.options import check_output
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_write_text


@dataclass(frozen=True)
class Arguments:
    """Evaluate a run's policy greedily on held-out initial states."""

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the run."""
    num_episodes: int | None = None
    """Number of episodes, spread evenly over the tasks; None takes every initial state of the split."""
    split: Literal["train", "eval", "all"] = "eval"
    """Split whose initial states the episodes start from."""
    train_ok: bool = False
    """Whether the split may be one that training draws from."""
    output: Path | None = None
    """JSON file to which every episode and the rate are written."""


def main(arguments: list[str]) -> None:
    """Evaluate and print the success rate with its 95 % interval."""
    given = tyro.cli(Arguments, args=arguments, prog="vla evaluate")
    check_output(given.output)
    from rich.console import Console

    from policies.registry import load_policy
    from rllib_configs.run.evaluation import evaluate, held_out_prompts, provenance, success_interval, success_rate
    from rllib_configs.run.train import load_experiment

    experiment = load_experiment(given.run)
    if not (given.run / "policy").is_dir():
        raise InvalidArgumentError(f"{given.run} has no trained policy: the run has not ended.")
    policy = load_policy(experiment.policy.kind, path=given.run / "policy").eval()
    prompts = held_out_prompts(experiment.environment, given.split, given.num_episodes, given.train_ok)
    episodes = evaluate(policy, experiment.environment, prompts, experiment.evaluation.num_envs)
    successes = sum(episode.success for episode in episodes)
    low, high = success_interval(successes, len(episodes))
    if given.output is not None:
        rows = [dataclasses.asdict(episode) for episode in episodes]
        result = {
            "run": str(given.run),
            "environment": provenance(experiment.environment),
            "split": given.split,
            "success_rate": success_rate(episodes),
            "episodes": rows,
        }
        atomic_write_text(given.output, json.dumps(result, indent=2))
    Console().print(f"success {successes / len(episodes):.1%} [{low:.1%}, {high:.1%}] over {len(episodes)} episodes")
