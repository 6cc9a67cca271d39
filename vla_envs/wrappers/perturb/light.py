"""The light is another: its brightness, its colour and the side that it comes from."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_envs.wrappers.perturb.draws import amount, swing

BRIGHTNESS = 0.35
"""Largest change of the brightness, as a part of it."""
WARMTH = 0.2
"""Largest change of red, and the other way of blue, as a part of them."""
SLOPE = 0.3
"""Largest change of the brightness from the middle to a side, as a part of it."""


class Light(NamedTuple):
    """A light, as factors on the colours of an image.

    Attributes:
        brightness: factor on all of them.
        warmth: red gains this part, blue loses it.
        slope: the side of the light gains this part, the opposite one loses it.
        direction: angle in the image from the right towards the lower border (rad), where the light is.
    """

    brightness: float
    warmth: float
    slope: float
    direction: float

    @classmethod
    def draw(cls, rng: np.random.Generator, severity: float) -> Light:
        """A light."""
        return cls(
            brightness=1.0 + swing(rng, severity * BRIGHTNESS),
            warmth=swing(rng, severity * WARMTH),
            slope=amount(rng, severity * SLOPE),
            direction=float(rng.uniform(-math.pi, math.pi)),
        )

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image (H, W, 3) in this light.

        >>> Light(0.5, 0.0, 0.0, 0.0).apply(np.full((1, 1, 3), 100, np.uint8)).tolist()
        [[[50, 50, 50]]]
        """
        height, width, _ = image.shape
        right = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :] * math.cos(self.direction)
        down = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None] * math.sin(self.direction)
        colour = self.brightness * np.array([1.0 + self.warmth, 1.0, 1.0 - self.warmth], np.float32)
        gain = (1.0 + self.slope * (right + down))[..., None] * colour
        return (image * gain).round().clip(0, 255).astype(np.uint8)
