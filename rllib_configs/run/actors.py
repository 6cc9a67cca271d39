"""Who acts in an evaluation: a policy, greedily or sampled, chance, or a scripted expert."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.interface import Policy
from vla_envs.group import GroupStart, GroupVectorEnv
from vla_envs.group.vector_env import Act
from vla_envs.spec import TEMPERATURE

Actor = Callable[[GroupVectorEnv, Sequence[GroupStart]], Act]
"""Maps environments and their starts to what a rollout from there asks for actions."""


def greedy(policy: Policy) -> Actor:
    """The most probable actions of a policy."""

    def act(observations: dict[str, Any], running: NDArray[np.int64]) -> tuple[NDArray, None]:
        return policy.act(_tensors(observations)).numpy(force=True), None

    return lambda envs, starts: act


def sampled(policy: Policy, temperature: float, seed: int = 0) -> Actor:
    """Actions of a policy drawn at a temperature; those of a start depend on its group's id and the seed alone."""

    def begin(envs: GroupVectorEnv, starts: Sequence[GroupStart]) -> Act:
        generators = _generators(seed, starts)
        place = next((each.device for each in policy.parameters()), torch.device("cpu"))

        @torch.no_grad()
        def act(observations: dict[str, Any], running: NDArray[np.int64]) -> tuple[NDArray, None]:
            drawn = np.stack([generators[env].random(policy.slots, np.float32) for env in running])
            seen = {key: each.to(place) for key, each in _tensors(observations).items()}
            noise, at = torch.from_numpy(drawn).to(place), torch.full((len(running), 1), temperature, device=place)
            sample = policy.get_action_and_value(seen, temperature=at, noise=noise)
            return policy.decode(sample.tokens).numpy(force=True), None

        return act

    return begin


def uniform(seed: int = 0) -> Actor:
    """Actions drawn uniformly from the action space; those of a start depend on its group's id and the seed alone."""

    def begin(envs: GroupVectorEnv, starts: Sequence[GroupStart]) -> Act:
        generators, space = _generators(seed, starts), envs.single_action_space

        def act(observations: dict[str, Any], running: NDArray[np.int64]) -> tuple[NDArray, None]:
            drawn = [generators[env].uniform(space.low, space.high) for env in running]  # type: ignore[attr-defined]
            return np.stack(drawn).astype(space.dtype), None

        return act

    return begin


def idle(envs: GroupVectorEnv, starts: Sequence[GroupStart]) -> Act:
    """Zeros, for environments whose wrapper :class:`~vla_envs.wrappers.FollowExpert` acts."""
    space = envs.single_action_space
    return lambda observations, running: (np.zeros((len(running), *(space.shape or ())), space.dtype), None)


def device() -> str:
    """Where the policy of an evaluation computes."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _generators(seed: int, starts: Sequence[GroupStart]) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, start.group_id)) for start in starts]


def _tensors(observations: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a policy sees; its temperature is no observation."""
    return {key: torch.from_numpy(each) for key, each in observations.items() if key != TEMPERATURE}
