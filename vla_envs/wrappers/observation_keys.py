"""The keys of dictionary observations that wrappers work on."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from vla_envs.errors import InvalidArgumentError


def dictionary_of(env: gym.Env) -> dict[str, spaces.Space]:
    """Observation key -> space.

    Raises:
        InvalidArgumentError: the environment does not observe a dictionary.
    """
    if not isinstance(env.observation_space, spaces.Dict):
        raise InvalidArgumentError(f"Expect the observation space to be a Dict, actually: {env.observation_space}.")
    return dict(env.observation_space.spaces)


def image_keys(observations: Mapping[str, spaces.Space]) -> tuple[str, ...]:
    """The keys whose values are images: uint8 (H, W, 3).

    >>> image_keys({"image": spaces.Box(0, 255, (4, 4, 3), np.uint8), "state": spaces.Box(-1, 1, (8,))})
    ('image',)
    """
    return tuple(key for key, space in observations.items() if _is_image(space))


def _is_image(space: spaces.Space) -> bool:
    return space.dtype == np.uint8 and space.shape is not None and len(space.shape) == 3 and space.shape[2] == 3
