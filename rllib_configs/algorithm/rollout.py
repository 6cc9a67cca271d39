"""One whole trajectory per member of a group environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from gymnasium.vector.utils import create_empty_array
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.numpy import convert_to_numpy

from policies.rl_module import NOISE
from vla_envs.group import GroupStart, GroupVectorEnv

EXECUTED_ACTIONS = "executed_actions"
"""Column: int64 (B,), how many actions of the chunk ran before the episode ended."""


def rollout(
    module: RLModule, envs: GroupVectorEnv, starts: Sequence[GroupStart], *, explore: bool
) -> list[SingleAgentEpisode]:
    """Start groups in ``envs``, which are in mode ``"hold"``, and run every member to its own end.

    RLlib's sampler returns the first ``num_envs`` episodes that finish, which favours short ones
    and so fakes the success rate; here every member gives exactly one. Members that have ended
    cost no forward pass.

    What a member samples depends on its group's seed and on its place in the group, and neither on
    the members beside it nor on the process.

    Returns:
        Finished episodes in member order, their columns the module's outputs and ``executed_actions``.
    """
    observations, infos = envs.reset_to(starts)
    members = np.flatnonzero(envs.active)
    chunk_size = module.policy.chunk_size
    recordings = {member: Recording(envs, observations, infos, member, chunk_size) for member in members}
    noise = _noise(starts, envs.group_size, module.policy.slots) if explore else None
    while len(members):
        outputs = _decide(module, observations, members, noise)
        actions = np.zeros(envs.action_space.shape, envs.action_space.dtype)
        actions[members] = outputs.pop(Columns.ACTIONS)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        outputs[EXECUTED_ACTIONS] = infos["executed_actions"][members]
        for row, member in enumerate(members):
            recordings[member].add(
                observations,
                infos,
                action=actions[member],
                reward=rewards[member],
                terminated=terminated[member],
                truncated=truncated[member],
                extra_model_outputs={key: column[row] for key, column in outputs.items()},
            )
        members = np.flatnonzero(envs.active)
    return [recording.episode for recording in recordings.values()]


class Recording:
    """The episode of a member while it runs.

    Observations are copied to where they stay. RLlib would stack them at the end of the episode, when both copies are
    there, and the memory of the first, in pieces between those of other members, could not be used for the second.

    Args:
        envs: the environment.
        observations: of all members, at the start.
        infos: of all members, at the start.
        member: which of them.
        chunk_size: actions per decision, by which the step limit bounds the number of observations.
    """

    def __init__(
        self, envs: GroupVectorEnv, observations: dict[str, Any], infos: dict[str, Any], member: int, chunk_size: int
    ) -> None:
        space = envs.single_observation_space
        most = -(-infos["max_steps"][member] // chunk_size) + 1
        self.member = member
        self.observations = create_empty_array(space, most, np.empty)
        self.episode = SingleAgentEpisode(observation_space=space, action_space=envs.single_action_space)
        self.episode.add_env_reset(observation=None, infos=_of_member(infos, member))
        self._observe(observations)

    def add(self, observations: dict[str, Any], infos: dict[str, Any], **step: Any) -> None:
        """Add what a step showed, to all members, and the other columns of this one."""
        self.episode.add_env_step(observation=None, infos=_of_member(infos, self.member), **step)
        self._observe(observations)
        if self.episode.is_done:
            self._finish()

    def _observe(self, observations: dict[str, Any]) -> None:
        for key, each in observations.items():
            self.observations[key][len(self.episode)] = each[self.member]

    def _finish(self) -> None:
        for each in self.observations.values():
            # In place, and nothing else refers to it: the rows of the steps that were not needed are given back.
            each.resize((len(self.episode) + 1, *each.shape[1:]), refcheck=False)
        space = self.episode.observation_space
        self.episode.observations = InfiniteLookbackBuffer(self.observations, lookback=0, space=space)
        self.episode.to_numpy()


def _noise(starts: Sequence[GroupStart], group_size: int, slots: int) -> list[Iterator[NDArray[np.float32]]]:
    """For each member of the started groups the uniform numbers, (slots,), that choose its tokens."""
    # From 1 on: NumPy ignores zeros at the end of a seed, and the seed itself draws the prompt.
    return [_uniform([start.seed, place], slots) for start in starts for place in range(1, group_size + 1)]


def _uniform(seed: Sequence[int], slots: int) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    while True:
        yield rng.random(slots, np.float32)


def _decide(
    module: RLModule, observations: dict[str, Any], members: NDArray, noise: list[Iterator[NDArray]] | None
) -> dict[str, Any]:
    device = next(module.parameters()).device
    seen = {key: torch.from_numpy(_rows(each, members)).to(device) for key, each in observations.items()}
    if noise is None:
        return convert_to_numpy(module.forward_inference({Columns.OBS: seen}))
    drawn = torch.from_numpy(np.stack([next(noise[member]) for member in members])).to(device)
    return convert_to_numpy(module.forward_exploration({Columns.OBS: seen, NOISE: drawn}))


def _rows(array: NDArray, members: NDArray) -> NDArray:
    """Those of some members, copied unless they are all."""
    return array if len(members) == len(array) else array[members]


def _of_member(arrays: dict[str, Any], member: int) -> dict[str, Any]:
    """What concerns one member, copied: a view would keep the arrays of all members alive."""
    return {
        key: _of_member(each, member) if isinstance(each, dict) else copy(each[member]) for key, each in arrays.items()
    }
