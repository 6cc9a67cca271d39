"""Shows a policy the last few images and states instead of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from vla_envs.arguments import check_integer, check_names
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import STATE
from vla_envs.wrappers.checks import dictionary_of, image_keys

MAX_LENGTH = 100
"""Of images of 1024 pixels this is 300 MB."""


class StackObservations(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Stacks the last ``length`` values of some observation keys along a new first axis, the latest last.

    After a reset the first value fills the stack. Other keys stay as they are, which Gymnasium's
    ``FrameStackObservation`` does not offer. Outside :class:`ActionChunk` the stack holds what was seen
    at the ends of chunks, inside what was seen after every control step.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment that observes a dictionary.
        length: number of values, from 1 to 100.
        keys: the keys to stack, each with a Box space; None takes every image and ``state``.

    Raises:
        InvalidArgumentError: no dictionary, a key that cannot be stacked, images that are already, or ``length`` below
            1.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import StackObservations
        >>> env = StackObservations(gym.make("VLA-Tabletop-v0", task_id=0, image_size=32), length=3)
        >>> observation, info = env.reset(seed=0)
        >>> observation["image"].shape, observation["state"].shape
        ((3, 32, 32, 3), (3, 8))
    """

    def __init__(self, env: gym.Env, length: int = 4, keys: Sequence[str] | None = None) -> None:
        observations = dictionary_of(env)
        boxes = {key: space for key, space in observations.items() if isinstance(space, spaces.Box)}
        length = check_integer("length", length, 1, MAX_LENGTH)
        chosen = _default_keys(boxes) if keys is None else check_names("keys", keys, boxes)
        if not chosen:
            raise InvalidArgumentError("Expect `keys` to name at least one key of the observation, actually: none.")
        gym.utils.RecordConstructorArgs.__init__(self, length=length, keys=None if keys is None else list(chosen))
        gym.Wrapper.__init__(self, env)
        self.keys = chosen
        stacked = {key: _stacked(boxes[key], length) for key in self.keys}
        self.observation_space = spaces.Dict({**observations, **stacked})
        self._frames: dict[str, deque[Any]] = {key: deque(maxlen=length) for key in self.keys}
        self.length = length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reset the environment and fill the stacks with what it shows."""
        observation, info = self.env.reset(seed=seed, options=options)
        for key, frames in self._frames.items():
            frames.extend([observation[key]] * self.length)
        return self._stack(observation), info

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Step the environment and let its observation take the oldest one's place."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        for key, frames in self._frames.items():
            frames.append(observation[key])
        return self._stack(observation), float(reward), terminated, truncated, info

    def _stack(self, observation: dict[str, Any]) -> dict[str, Any]:
        return {**observation, **{key: np.stack(frames) for key, frames in self._frames.items()}}


def _default_keys(boxes: dict[str, spaces.Box]) -> tuple[str, ...]:
    return tuple(key for key in boxes if key in image_keys(boxes) or key == STATE)


def _stacked(space: spaces.Box, length: int) -> spaces.Box:
    low, high = np.stack([space.low] * length), np.stack([space.high] * length)
    return spaces.Box(low, high, dtype=space.dtype)  # type: ignore[arg-type]
