"""Resizes camera images to what a policy expects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import check_image_size
from vla_envs.wrappers.observation_keys import dictionary_of, image_keys
from vla_envs.wrappers.order import check_order

LANCZOS_RADIUS = 3
"""Reach of the kernel to either side, in pixels of the source or of the target, whichever are larger."""


def lanczos_resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) at (size, size, 3): Lanczos with radius 3, antialiased, rounded and clipped to uint8.

    It is the filter of OpenVLA's evaluation on LIBERO (``tf.image.resize``, ``lanczos3``) to a rounding:
    ``policies.openvla.resampling`` has TensorFlow's exact pixels, on torch.

    >>> step = np.repeat(np.repeat([[[0]], [[90]]], 4, axis=0), 8, axis=1).repeat(3, axis=2).astype(np.uint8)
    >>> lanczos_resize(step, 4)[:, 0, 0].tolist()
    [0, 4, 86, 91]
    """
    height, width, channels = image.shape
    rows = _weights(height, size) @ image.reshape(height, -1).astype(np.float32)
    pixels = _weights(width, size) @ rows.reshape(size, width, channels)
    return pixels.round().clip(0, 255).astype(np.uint8)


@lru_cache
def _weights(length: int, size: int) -> NDArray[np.float32]:
    """The share of every source pixel in every target pixel, (size, length)."""
    step = length / size
    distance = (np.arange(length) + 0.5 - (np.arange(size)[:, None] + 0.5) * step) / max(step, 1.0)
    kernel = np.sinc(distance) * np.sinc(distance / LANCZOS_RADIUS) * (np.abs(distance) < LANCZOS_RADIUS)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)


class ResizeImages(gym.ObservationWrapper, gym.utils.RecordConstructorArgs):
    """Resizes every image of the observation to (size, size, 3), antialiased; what is no image stays.

    The ratio of the sides is not kept. An environment of this package draws at any size: prefer its
    ``image_size``, and this wrapper where a policy was trained on images that were drawn larger and then
    resized (OpenVLA on LIBERO: 256 to 224).

    A vector version is not needed: wrap the environments before they are vectorised. Outside
    :class:`ActionChunk` one image per chunk is resized.

    Args:
        env: an environment that observes a dictionary with images, uint8 (H, W, 3).
        size: height and width in pixels, 16 to 1024.

    Raises:
        InvalidArgumentError: no image in the observation space, a ``size`` outside its range, or an order that
            ``order.py`` refuses.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import ResizeImages
        >>> env = ResizeImages(gym.make("VLA-Tabletop-v0", task_id=0, cameras=("agentview", "wrist")), 64)
        >>> observation, info = env.reset(seed=0)
        >>> observation["image"].shape, observation["wrist_image"].shape
        ((64, 64, 3), (64, 64, 3))
    """

    def __init__(self, env: gym.Env, size: int) -> None:
        check_order(self, env)
        observations = dictionary_of(env)
        keys = image_keys(observations)
        if not keys:
            raise InvalidArgumentError(
                f"Expect the observation space to have a uint8 image (H, W, 3), actually: {env.observation_space}."
            )
        size = check_image_size(size)
        gym.utils.RecordConstructorArgs.__init__(self, size=size)
        gym.ObservationWrapper.__init__(self, env)
        self.size, self.keys = size, keys
        image = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.observation_space = spaces.Dict({**observations, **dict.fromkeys(keys, image)})

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with its images resized."""
        return {**observation, **{key: lanczos_resize(observation[key], self.size) for key in self.keys}}
