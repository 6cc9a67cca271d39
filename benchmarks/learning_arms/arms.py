"""The arms as data: what each changes of one experiment, and which are seen side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rllib_configs.config import (
    PPO,
    TTRL,
    BehaviorCloning,
    EnvironmentConfig,
    Evaluation,
    Experiment,
    Resources,
    TinyPolicyConfig,
)
from rllib_configs.run.train import load_experiment
from vla_envs.errors import InvalidArgumentError

Changes = Mapping[str, Mapping[str, Any]]
"""Part of an experiment -> its fields that differ."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """A way to train an initial policy."""

    changes: Changes = dataclasses.field(default_factory=dict)
    """What is not as in what it starts from."""
    initial: str = "initial"
    """What it starts from: a name of :data:`INITIAL`, or another arm."""
    iterations: int = 50
    """Updates."""


BASE = Experiment(
    checkpoint_interval=50,
    environment=EnvironmentConfig(id="VLA-Tabletop-v0", task_id=(0, 1), max_episode_steps=40),
    bc=BehaviorCloning(demonstrations_per_task=30, steps=2000),
    ttrl=TTRL(reward="success"),
    ppo=PPO(groups_per_iteration=32, lr=5e-4),
    resources=Resources(num_env_runners=0, groups_per_env_runner=32),
    evaluation=Evaluation(num_episodes=100, num_envs=100, interval=5, curve_episodes=100, videos=0),
)
"""What all arms share: which cube to take to the blue plate, in at most twice the steps that the expert needs."""

INITIAL: Mapping[str, Changes] = {
    "initial": {},
    "weak": {"environment": {"task_id": (0, 1, 2, 3)}, "bc": {"demonstrations_per_task": 8}},
    "slow": {
        "environment": {"max_episode_steps": 60},
        "bc": {"speed": 0.4, "demonstrations_per_task": 12},
    },
    "many": {
        "environment": {"task_id": (0, 1, 4, 6, 7, 8, 13, 14), "max_episode_steps": 60},
        "bc": {"demonstrations_per_task": 20, "steps": 4000},
    },
}
"""Initial policy, cloned from demonstrations alone -> what it changes. ``weak`` has seen few of
them, of four tasks that start alike, ``slow`` an expert that takes twice as long as it could, ``many`` takes eight
tasks of four scenes."""

FLIPPED = {"reward": "vote", "outcome": "noisy_success", "noise": 0.25, "use_env_fallback": False}
"""Rewards from outcomes of which a quarter is the opposite of the truth."""

LABEL_FREE = {
    "reward": "vote",
    "rule": "agreement",
    "cluster_tolerance": 0.06,
    "min_confidence_ratio": 0.0,
    "use_env_fallback": False,
}
"""Rewards from agreement on how things ended, in meters; the largest cluster wins, however small."""

CONTRAST: Changes = {"ttrl": {"reward": "contrast", "prompts": "every_task", "cluster_tolerance": 0.06}}
"""Rewards from how surely the end of a trajectory tells its instruction from the others."""

FINAL_STATE: Changes = {"ttrl": {**LABEL_FREE, "outcome": "final_state_cluster"}}
CHANGED_STATE: Changes = {"ttrl": {**LABEL_FREE, "outcome": "changed_state_cluster"}}
DISAGREE: Changes = {"ttrl": {**FINAL_STATE["ttrl"], "rule": "disagree"}}

REFINED: Changes = {
    "ttrl": {"base_temperature": 0.3, "temperature_range": 0.1},
    "ppo": {"lr": 4e-4},
}
"""At low temperatures whole groups succeed, and what is left to tell them apart is their speed."""

ARMS: Mapping[str, Arm] = {
    "success": Arm(),
    "slow_success": Arm(initial="slow"),
    "refined_success": Arm(REFINED, initial="slow_success", iterations=100),
    "refined_efficiency": Arm(
        {**REFINED, "ttrl": {**REFINED["ttrl"], "reward": "efficiency"}}, initial="slow_success", iterations=100
    ),
    "flipped": Arm({"ttrl": {**FLIPPED, "rule": "denoise", "n_verdicts": 1}}),
    "5_verdicts": Arm({"ttrl": {**FLIPPED, "rule": "denoise", "n_verdicts": 5}}),
    "sibling_vote": Arm({"ttrl": {**FLIPPED, "rule": "agreement_if_success"}}),
    "final_state": Arm(FINAL_STATE),
    "changed_state": Arm(CHANGED_STATE),
    "disagree": Arm(DISAGREE),
    "similarity": Arm({"ttrl": {"reward": "similarity"}}),
    "contrast": Arm(CONTRAST),
    "weak_success": Arm(initial="weak"),
    "weak_progress": Arm({"ttrl": {"reward": "progress"}}, initial="weak"),
    "weak_changed_state": Arm(CHANGED_STATE, initial="weak"),
    "weak_final_state": Arm(FINAL_STATE, initial="weak"),
    "weak_disagree": Arm(DISAGREE, initial="weak"),
    "weak_similarity": Arm({"ttrl": {"reward": "similarity"}}, initial="weak"),
    "weak_contrast": Arm(CONTRAST, initial="weak"),
    "many_grpo": Arm(initial="many"),
    "many_nsr": Arm({"ppo": {"adv_estimator": "grpo_nsr"}}, initial="many"),
}
"""Name -> where it starts and what it changes."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """Curves side by side."""

    arms: tuple[str, ...]
    """Whose."""
    quantity: str = "success"
    """Of what: a field of ``results.Point``."""


PANELS: Mapping[str, Panel] = {
    "a quarter of the outcomes flipped": Panel(("success", "flipped", "5_verdicts", "sibling_vote")),
    "no label": Panel(("success", "final_state", "changed_state", "disagree", "similarity", "contrast")),
    "no label, from a weak clone": Panel(
        (
            "weak_success",
            "weak_progress",
            "weak_final_state",
            "weak_changed_state",
            "weak_disagree",
            "weak_similarity",
            "weak_contrast",
        )
    ),
    "reward: success or efficiency": Panel(("refined_success", "refined_efficiency"), "sampled_steps"),
    "the same, and what they start from": Panel(("slow_success", "refined_success", "refined_efficiency")),
    "estimator: GRPO or NSR": Panel(("many_grpo", "many_nsr")),
    "the same, any of 8 samples": Panel(("many_grpo", "many_nsr"), "sampled_pass_at_n"),
}
"""Title -> what it shows."""


def with_initial(names: Iterable[str]) -> list[str]:
    """The arms, each behind what it starts from."""
    ordered: dict[str, None] = {}
    for name in names:
        chain = [name]
        while chain[-1] in ARMS:
            chain.append(ARMS[chain[-1]].initial)
        ordered.update(dict.fromkeys(reversed(chain)))
    return list(ordered)


def experiment(name: str, seed: int, root: Path) -> Experiment:
    """The cloning of a seed's initial policy alone, or an arm that starts from what another run has left in ``root``.

    Args:
        name: of :data:`INITIAL` or :data:`ARMS`.
        seed: of the cloning and of the training.
        root: folder of the runs.
    """
    if name in INITIAL:
        first = BASE.replace(name=f"{name}-{seed}", seed=seed, iterations=0)
        return _changed(first, INITIAL[name])
    arm = ARMS[name]
    before = experiment(arm.initial, seed, root)
    policy = TinyPolicyConfig(path=str((root / before.name / "policy").resolve()))
    return _changed(before, arm.changes).replace(name=f"{name}-{seed}", iterations=arm.iterations, policy=policy)


def check_same(directory: Path, name: str, seed: int) -> None:
    """Check that a run is one of the experiment that the arm is now; where it was made does not matter.

    Raises:
        InvalidArgumentError: another one, which would mix two experiments in a table.
    """
    kept, expected = load_experiment(directory).resolved(), experiment(name, seed, directory.parent).resolved()
    if kept.replace(policy=expected.policy) != expected:
        raise InvalidArgumentError(
            f"`{directory}` is a run of another experiment than the arm {name!r} is now. "
            f"Remove it, or give another --output."
        )


def _changed(base: Experiment, changes: Changes) -> Experiment:
    parts = {name: dataclasses.replace(getattr(base, name), **fields) for name, fields in changes.items()}
    return base.replace(**parts)
