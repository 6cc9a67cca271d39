"""One whole trajectory per member of a group environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
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
    episodes = {member: _start(envs, observations, infos, member) for member in members}
    noise = _noise(starts, envs.group_size, module.policy.slots) if explore else None
    while len(members):
        outputs = _decide(module, observations, members, noise)
        actions = np.zeros(envs.action_space.shape, envs.action_space.dtype)
        actions[members] = outputs.pop(Columns.ACTIONS)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        outputs[EXECUTED_ACTIONS] = infos["executed_actions"][members]
        for row, member in enumerate(members):
            episodes[member].add_env_step(
                observation=_of_member(observations, member),
                action=actions[member],
                reward=rewards[member],
                infos=_of_member(infos, member),
                terminated=terminated[member],
                truncated=truncated[member],
                extra_model_outputs={key: column[row] for key, column in outputs.items()},
            )
            if not envs.active[member]:
                episodes[member].to_numpy()  # one after the other: never all of them as lists and as arrays at once
        members = np.flatnonzero(envs.active)
    return list(episodes.values())


def _start(envs: GroupVectorEnv, observations: Any, infos: dict[str, Any], member: int) -> SingleAgentEpisode:
    episode = SingleAgentEpisode(observation_space=envs.single_observation_space, action_space=envs.single_action_space)
    episode.add_env_reset(observation=_of_member(observations, member), infos=_of_member(infos, member))
    return episode


def _noise(starts: Sequence[GroupStart], group_size: int, slots: int) -> list[Iterator[NDArray[np.float32]]]:
    """For each member of the started groups the uniform numbers, (slots,), that choose its tokens."""
    return [_uniform([start.seed, index], slots) for start in starts for index in range(group_size)]


def _uniform(seed: Sequence[int], slots: int) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    while True:
        yield rng.random(slots, np.float32)


def _decide(
    module: RLModule, observations: dict[str, Any], members: NDArray, noise: list[Iterator[NDArray]] | None
) -> dict[str, Any]:
    device = next(module.parameters()).device
    seen = {key: torch.from_numpy(each[members]).to(device) for key, each in observations.items()}
    if noise is None:
        return convert_to_numpy(module.forward_inference({Columns.OBS: seen}))
    drawn = torch.from_numpy(np.stack([next(noise[member]) for member in members])).to(device)
    return convert_to_numpy(module.forward_exploration({Columns.OBS: seen, NOISE: drawn}))


def _of_member(arrays: dict[str, Any], member: int) -> dict[str, Any]:
    """What concerns one member, copied: a view would keep the arrays of all members alive."""
    return {
        key: _of_member(each, member) if isinstance(each, dict) else copy(each[member]) for key, each in arrays.items()
    }
