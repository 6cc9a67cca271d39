"""The arms as data: what each changes of one experiment, and which are seen side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rllib_configs.experiment import (
    PPO,
    TTRL,
    BehaviourCloning,
    Environment,
    Evaluation,
    Experiment,
    PolicyConfig,
    Resources,
)

Changes = Mapping[str, Mapping[str, Any]]
"""Part of an experiment -> its fields that differ."""

FIRST = "first"
"""The policy that every arm of a seed starts from, cloned from demonstrations alone."""

BASE = Experiment(
    iterations=50,
    checkpoint_interval=50,
    environment=Environment(id="VLA-Tabletop-v0", task_id=(0, 1), max_episode_steps=40),
    bc=BehaviourCloning(demonstrations_per_task=30, steps=2000),
    ttrl=TTRL(reward="success"),
    ppo=PPO(groups_per_iteration=32, learning_rate=5e-4),
    resources=Resources(num_env_runners=0, num_envs_per_env_runner=256),
    evaluation=Evaluation(num_episodes=100, num_envs=100, interval=5, curve_episodes=100, videos=0),
)
"""What all arms share: which cube to take to the blue plate, in at most twice the steps that the expert needs."""

FLIPPED = {"reward": "vote", "outcome": "noisy_success", "noise": 0.25, "use_env_fallback": False}
"""Rewards from outcomes of which a quarter is the opposite of the truth."""

LABEL_FREE = {
    "reward": "vote",
    "rule": "agreement",
    "cluster_tolerance": 0.06,
    "min_confidence_ratio": 0.0,
    "use_env_fallback": False,
}
"""Rewards from agreement on how things ended, in metres; the largest cluster wins, however small."""

ARMS: Mapping[str, Changes] = {
    "success": {},
    "efficiency": {"ttrl": {"reward": "efficiency"}},
    "flipped": {"ttrl": {**FLIPPED, "rule": "denoise", "n_judgements": 1}},
    "judged_5_times": {"ttrl": {**FLIPPED, "rule": "denoise", "n_judgements": 5}},
    "sibling_vote": {"ttrl": {**FLIPPED, "rule": "agreement_if_success"}},
    "final_state": {"ttrl": {**LABEL_FREE, "outcome": "final_state_cluster"}},
    "changed_state": {"ttrl": {**LABEL_FREE, "outcome": "changed_state_cluster"}},
    "nsr": {"ppo": {"adv_estimator": "grpo_nsr"}},
}
"""Name -> what it changes."""

PANELS: Mapping[str, tuple[str, ...]] = {
    "reward: success or efficiency": ("success", "efficiency"),
    "a quarter of the outcomes flipped": ("success", "flipped", "judged_5_times", "sibling_vote"),
    "no label: final states": ("success", "final_state", "changed_state"),
    "estimator: GRPO or NSR": ("success", "nsr"),
}
"""Title -> the arms that it shows."""


def experiment(arm: str, seed: int, root: Path) -> Experiment:
    """The cloning of a seed's first policy alone, or an arm that starts from what this has left in ``root``.

    Args:
        arm: :data:`FIRST` or a name of :data:`ARMS`.
        seed: of the cloning and of the training.
        root: folder of the runs.
    """
    base = BASE.replace(name=f"{arm}-{seed}", seed=seed)
    if arm == FIRST:
        return base.replace(iterations=0)
    policy = PolicyConfig(path=str((root / f"{FIRST}-{seed}" / "policy").resolve()))
    return _changed(base, ARMS[arm]).replace(policy=policy)


def _changed(base: Experiment, changes: Changes) -> Experiment:
    parts = {name: dataclasses.replace(getattr(base, name), **fields) for name, fields in changes.items()}
    return base.replace(**parts)
