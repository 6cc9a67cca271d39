"""The sensor is worse: one of four kinds of noise per episode, new in every frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_envs.wrappers.perturb.draws import amount
from vla_envs.wrappers.perturb.jpeg import jpeg

Image = NDArray[np.uint8]

SIGMA = 36.0
"""Standard deviation of the Gaussian noise at amount 1, in colour values of 0..255."""
PHOTONS = 50.0
"""Photons that white is made of at amount 1; their number grows with the inverse square of the amount."""
BLUR = 0.02
"""Standard deviation of the blur at amount 1, as a part of the image's width."""
QUALITIES = (95.0, 8.0)
"""JPEG's quality at amounts 0 and 1; in between it falls by equal ratios."""


def gaussian(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Noise of the read-out: independent of the signal."""
    return _to_uint8(image + amount * SIGMA * rng.standard_normal(image.shape, np.float32))


def shot(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Noise of few photons: Poisson, so that its variance grows with the signal."""
    per_photon = 255.0 * amount**2 / PHOTONS
    return _to_uint8(rng.poisson(image / per_photon) * per_photon)


def blur(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """A lens out of focus: Gaussian, the border repeated; nothing of it is random."""
    sigma = amount * BLUR * image.shape[1]
    radius = max(1, math.ceil(3.0 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    blurred = image.astype(np.float32)
    for axis in (0, 1):
        margins = [(radius, radius) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(blurred, margins, mode="edge")
        length = image.shape[axis]
        blurred = np.zeros_like(blurred)
        for shift, weight in enumerate(kernel.astype(np.float32)):
            blurred += weight * padded.take(range(shift, shift + length), axis)
    return _to_uint8(blurred)


def compressed(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """A slow connection: JPEG of low quality; nothing of it is random."""
    best, worst = QUALITIES
    return jpeg(image, round(best * (worst / best) ** amount))


KINDS: dict[str, Callable[[Image, float, np.random.Generator], Image]] = {
    "gaussian": gaussian,
    "shot": shot,
    "blur": blur,
    "jpeg": compressed,
}


class Noise(NamedTuple):
    """What a sensor does to every frame.

    Attributes:
        kind: one of :data:`KINDS`.
        amount: above 0, up to 1.
    """

    kind: str
    amount: float

    @classmethod
    def draw(cls, rng: np.random.Generator, severity: float) -> Noise:
        """A kind of noise and its amount."""
        return cls(kind=str(rng.choice(list(KINDS))), amount=amount(rng, severity))

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """The image (H, W, 3) as the sensor gives it; ``rng`` makes the frame's own noise."""
        return KINDS[self.kind](image, self.amount, rng)


def _to_uint8(image: NDArray) -> Image:
    return image.round().clip(0, 255).astype(np.uint8)
