"""The decisions of an iteration, and batches of some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from policies.rl_module import TOKEN_LOGP
from rllib_configs.algorithm.rollout import EXECUTED_ACTIONS
from rllib_configs.algorithm.training_data import Rows


class Decisions:
    """Columns of whole trajectories, read where they lie: only what a batch holds is ever copied.

    RLlib stacks all observations of an iteration into one array, and again for every shuffled epoch.

    Args:
        episodes: finished, as arrays.
    """

    def __init__(self, episodes: Sequence[SingleAgentEpisode]) -> None:
        self.episodes = episodes
        self.columns: list[dict[str, Any]] = [_columns(episode) for episode in episodes]
        """Of each trajectory: column -> (decisions, ...); observations have one row more."""

    def batch(self, rows: Rows, device: torch.device | str) -> dict[str, Any]:
        """The columns of these decisions as tensors (B, ...) on the device, images uint8."""
        columns = [self.columns[index] for index in rows.trajectories]
        return {key: _gather([each[key] for each in columns], rows.steps, device) for key in columns[0]}

    def observations(self, rows: Rows, device: torch.device | str) -> dict[str, torch.Tensor]:
        """The observations of these decisions; one past the last is that which the trajectory ended with."""
        return _gather([self.columns[index][Columns.OBS] for index in rows.trajectories], rows.steps, device)

    def num_tokens(self, rows: Rows) -> int:
        """Executed tokens of these decisions."""
        if not len(rows.steps):
            return 0
        first = self.columns[0]
        tokens_per_action = first[TOKEN_LOGP].shape[1] // first[Columns.ACTIONS].shape[1]
        executed = (self.columns[i][EXECUTED_ACTIONS][t] for i, t in zip(rows.trajectories, rows.steps, strict=True))
        return tokens_per_action * int(sum(executed))

    def add(self, index: int, key: str, values: ArrayLike) -> None:
        """Add a column to a trajectory, float32; one number stands for all its decisions."""
        self.columns[index][key] = np.broadcast_to(np.asarray(values, np.float32), len(self.episodes[index]))


def _gather(sources: Sequence[Any], steps: NDArray[np.int64], device: torch.device | str) -> Any:
    """One step of each source, stacked."""
    if isinstance(sources[0], Mapping):
        return {key: _gather([each[key] for each in sources], steps, device) for key in sources[0]}
    return torch.from_numpy(np.stack([source[t] for source, t in zip(sources, steps, strict=True)])).to(device)


def _columns(episode: SingleAgentEpisode) -> dict[str, Any]:
    outputs = {key: np.asarray(episode.get_extra_model_outputs(key)) for key in episode.extra_model_outputs}
    return {Columns.OBS: episode.get_observations(), Columns.ACTIONS: episode.get_actions(), **outputs}
