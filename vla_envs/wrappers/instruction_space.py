"""What wrappers that put numbers in place of the instruction share."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium import spaces

from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import INSTRUCTION


def replaced_instruction(env: gym.Env, key: str, numbers: spaces.Box) -> spaces.Dict:
    """The observation space of ``env`` with ``numbers`` under ``key`` in place of the instruction.

    Raises:
        InvalidArgumentError: there is no instruction.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Dict) or INSTRUCTION not in space.spaces:
        raise InvalidArgumentError(f"Expect the observation space to have `{INSTRUCTION}`, actually: {space}.")
    return spaces.Dict({**without_instruction(space.spaces), key: numbers})


def without_instruction(parts: dict[str, Any]) -> dict[str, Any]:
    """An observation, or the parts of its space, without the instruction."""
    return {key: each for key, each in parts.items() if key != INSTRUCTION}
