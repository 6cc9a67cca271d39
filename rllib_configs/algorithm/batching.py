"""From the episodes of an iteration to the batches of its gradient steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rllib_configs.algorithm.sampled_group import TOKEN_MASK, TOKEN_WEIGHT


@dataclass
class GroupTrainingData(TrainingData):
    """Trajectories of one iteration. RLlib would cut them where a learner's share ends; here groups stay whole.

    Every learner knows how long all trajectories are and which of them it has, so that all agree
    on the minibatches: each takes the rows that it has.
    """

    lengths: NDArray[np.int64] | None = None
    """(trajectories,): timesteps of every trajectory, those of other learners included."""
    own: NDArray[np.int64] | None = None
    """Which of them ``episodes`` are."""

    @classmethod
    def of(cls, episodes: list[SingleAgentEpisode]) -> GroupTrainingData:
        """All trajectories, in the order of their groups."""
        lengths = np.array([len(episode) for episode in episodes], np.int64)
        return cls(episodes=[*episodes], lengths=lengths, own=np.arange(len(episodes)))

    def shard(
        self, num_shards: int, len_lookback_buffer: int | None = None, **kwargs: Any
    ) -> list[tuple[GroupTrainingData, dict[str, Any]]]:
        """Whole groups for each learner, the numbers of their timesteps as even as taking turns makes them."""
        assert self.episodes is not None
        assert self.lengths is not None
        lengths = self.lengths
        shares: list[list[int]] = [[] for _ in range(num_shards)]
        for group in sorted(self._groups(), key=lambda group: -lengths[group].sum()):
            smallest = min(shares, key=lambda share: lengths[share].sum())
            smallest += group
        return [
            (GroupTrainingData(episodes=[self.episodes[i] for i in own], lengths=lengths, own=own), {})
            for own in (np.array(sorted(share), np.int64) for share in shares)
        ]

    def _groups(self) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for index, episode in enumerate(self.episodes or ()):
            info: Any = episode.get_infos(-1)
            groups.setdefault(int(info["group_id"]), []).append(index)
        return list(groups.values())


@dataclass(frozen=True)
class Rows:
    """Some timesteps of this learner's trajectories."""

    trajectories: NDArray[np.int64]
    """(B,): places in its ``episodes``."""
    steps: NDArray[np.int64]
    """(B,): timestep within the trajectory."""

    def split(self, size: int) -> Iterator[Rows]:
        """Parts of at most ``size`` timesteps."""
        for first in range(0, len(self.steps), size):
            yield Rows(self.trajectories[first : first + size], self.steps[first : first + size])


def minibatches(
    data: GroupTrainingData, size: int | None, seed: list[int], whole_trajectories: bool = False
) -> Iterator[Rows]:
    """One pass over all timesteps in random order; of each minibatch, the timesteps that this learner has.

    Args:
        data: a learner's share.
        size: timesteps of a minibatch, all learners together, of which the minibatches of a pass have about as
            many; None makes one of them all.
        seed: of the order, the same for all learners.
        whole_trajectories: keep the timesteps of a trajectory in one minibatch.
    """
    lengths, own = data.lengths, data.own
    assert lengths is not None
    assert own is not None
    rng = np.random.default_rng(seed)
    place = np.full(len(lengths), -1)
    place[own] = np.arange(len(own))
    trajectories = np.repeat(np.arange(len(lengths)), lengths)
    steps = np.arange(len(trajectories)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if whole_trajectories:
        order = np.argsort(rng.permutation(len(lengths))[trajectories], kind="stable")
    else:
        order = rng.permutation(len(trajectories))
    for part in _cut(order, trajectories, size, whole_trajectories):
        mine = part[place[trajectories[part]] >= 0]
        yield Rows(place[trajectories[mine]], steps[mine])


def _cut(
    order: NDArray[np.int64], trajectories: NDArray[np.int64], size: int | None, whole_trajectories: bool
) -> list[NDArray[np.int64]]:
    number = 1 if size is None else max(1, round(len(order) / size))
    if not whole_trajectories:
        return np.array_split(order, number)
    ends = np.flatnonzero(np.diff(trajectories[order], append=-1)) + 1
    wanted = np.arange(1, number) * len(order) / number
    cuts = np.unique(ends[np.searchsorted(ends, wanted)])
    return np.split(order, cuts[cuts < len(order)])


class Timesteps:
    """The timesteps of whole trajectories, read where they lie: only what a batch holds is ever copied.

    RLlib stacks all observations of an iteration into one array, and again for every shuffled epoch.

    Args:
        episodes: finished, as arrays.
        sequence_mean: whether every trajectory counts as much as another one in the mean over tokens, and not every
            token as another token.
    """

    def __init__(self, episodes: Sequence[SingleAgentEpisode], sequence_mean: bool = False) -> None:
        self.episodes = episodes
        self.columns: list[dict[str, Any]] = [_columns(episode) for episode in episodes]
        """Of each trajectory: column -> (timesteps, ...); observations have one row more."""
        self._weights = [each[TOKEN_MASK].sum(1).astype(np.float64) for each in self.columns]
        if sequence_mean:
            for index, weights in enumerate(self._weights):
                share = 1.0 / max(1.0, weights.sum())
                self.add(index, TOKEN_WEIGHT, share)
                weights *= share

    def batch(self, rows: Rows, device: torch.device | str) -> dict[str, Any]:
        """The columns of these timesteps as tensors (B, ...) on the device, images uint8."""
        columns = [self.columns[index] for index in rows.trajectories]
        return {key: _gather([each[key] for each in columns], rows.steps, device) for key in columns[0]}

    def observations(self, rows: Rows, device: torch.device | str) -> dict[str, torch.Tensor]:
        """The observations of these timesteps; one past the last is that which the trajectory ended with."""
        return _gather([self.columns[index][Columns.OBS] for index in rows.trajectories], rows.steps, device)

    def weight(self, rows: Rows) -> float:
        """Weight of all executed tokens of these timesteps in a mean: their number, where each has a weight of 1."""
        pairs = zip(rows.trajectories, rows.steps, strict=True)
        return float(sum(self._weights[index][step] for index, step in pairs))

    def add(self, index: int, key: str, values: ArrayLike) -> None:
        """Add a column to a trajectory, float32; one number stands for all its timesteps."""
        self.columns[index][key] = np.broadcast_to(np.asarray(values, np.float32), len(self.episodes[index]))


def _gather(sources: Sequence[Any], steps: NDArray[np.int64], device: torch.device | str) -> Any:
    """One step of each source, stacked."""
    if isinstance(sources[0], Mapping):
        return {key: _gather([each[key] for each in sources], steps, device) for key in sources[0]}
    return torch.from_numpy(np.stack([source[t] for source, t in zip(sources, steps, strict=True)])).to(device)


def _columns(episode: SingleAgentEpisode) -> dict[str, Any]:
    outputs = {key: np.asarray(episode.get_extra_model_outputs(key)) for key in episode.extra_model_outputs}
    return {Columns.OBS: episode.get_observations(), Columns.ACTIONS: episode.get_actions(), **outputs}
