"""From the trajectories of a group to their rewards and advantages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from vla_envs.rewards import efficiency_reward

TRAJECTORY_REWARDS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "efficiency": efficiency_reward,
    "success": lambda success, steps, max_steps: np.asarray(success, np.float64),
}
"""Reward of a finished trajectory by name: a function of (success, steps, max_steps) arrays."""


class GroupOutcome(NamedTuple):
    """What the environments say of one group; every array is (N,)."""

    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    max_steps: NDArray[np.int64]


def by_group(episodes: Iterable[SingleAgentEpisode]) -> list[list[SingleAgentEpisode]]:
    """The episodes of each group, groups in the order of their first episode."""
    groups = defaultdict(list)
    for episode in episodes:
        groups[int(episode.get_infos(-1)["group_id"])].append(episode)
    return list(groups.values())


def is_valid(episode: SingleAgentEpisode) -> bool:
    """Whether the task ended the trajectory; False after a fault, which is neither success nor failure."""
    return bool(episode.get_infos(-1)["valid"])


def outcome_of(episodes: list[SingleAgentEpisode]) -> GroupOutcome:
    """How the trajectories of a group ended."""
    infos = [episode.get_infos(-1) for episode in episodes]
    return GroupOutcome(
        success=np.array([info["success"] for info in infos], bool),
        steps=np.array([info["elapsed_steps"] for info in infos], np.int64),
        max_steps=np.array([info["max_steps"] for info in infos], np.int64),
    )
