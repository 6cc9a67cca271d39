"""One whole trajectory per member of a group environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.numpy import convert_to_numpy

from vla_envs.group import GroupVectorEnv

EXECUTED_ACTIONS = "executed_actions"
"""Column: int64 (B,), how many actions of the chunk ran before the episode ended."""


def rollout(
    module: RLModule, envs: GroupVectorEnv, *, explore: bool, seed: int | None = None
) -> list[SingleAgentEpisode]:
    """Reset ``envs``, which are in mode ``"hold"``, and run every active member to its own end.

    RLlib's sampler returns the first ``num_envs`` episodes that finish, which favours short ones
    and so fakes the success rate; here every member gives exactly one. Members that have ended
    cost no forward pass.

    Returns:
        Finished episodes in member order, their columns the module's outputs and ``executed_actions``.
    """
    observations, infos = envs.reset(seed=seed)
    members = np.flatnonzero(envs.active)
    episodes = {member: _start(envs, observations, infos, member) for member in members}
    while len(members):
        outputs = _decide(module, observations, members, explore)
        actions = np.zeros(envs.action_space.shape, envs.action_space.dtype)
        actions[members] = outputs.pop(Columns.ACTIONS)
        before = infos["elapsed_steps"]
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        # A fault puts a member back at its start.
        outputs[EXECUTED_ACTIONS] = np.maximum(infos["elapsed_steps"] - before, 0)[members]
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
        members = np.flatnonzero(envs.active)
    return [episode.to_numpy() for episode in episodes.values()]


def _start(envs: GroupVectorEnv, observations: Any, infos: dict[str, Any], member: int) -> SingleAgentEpisode:
    episode = SingleAgentEpisode(observation_space=envs.single_observation_space, action_space=envs.single_action_space)
    episode.add_env_reset(observation=_of_member(observations, member), infos=_of_member(infos, member))
    return episode


def _decide(module: RLModule, observations: dict[str, Any], members: np.ndarray, explore: bool) -> dict[str, Any]:
    device = next(module.parameters()).device
    batch = {key: torch.from_numpy(each[members]).to(device) for key, each in observations.items()}
    forward = module.forward_exploration if explore else module.forward_inference
    return convert_to_numpy(forward({Columns.OBS: batch}))


def _of_member(arrays: dict[str, Any], member: int) -> dict[str, Any]:
    return {key: _of_member(each, member) if isinstance(each, dict) else each[member] for key, each in arrays.items()}
