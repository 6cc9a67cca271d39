"""What is drawn for an episode."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_envs.camera import CameraOffset
from vla_envs.wrappers.perturb.camera import draw_camera
from vla_envs.wrappers.perturb.initial_pose import InitialPose
from vla_envs.wrappers.perturb.instruction import Paraphrase
from vla_envs.wrappers.perturb.light import Light
from vla_envs.wrappers.perturb.noise import Noise

AXES = {
    "camera": draw_camera,
    "light": Light.draw,
    "noise": Noise.draw,
    "instruction": Paraphrase.draw,
    "initial_pose": InitialPose.draw,
}
"""Axis -> draws a perturbation of a severity above 0. Its place in this order is part of its seed."""


class Perturbation(NamedTuple):
    """A perturbation of each axis, or None."""

    camera: CameraOffset | None = None
    light: Light | None = None
    noise: Noise | None = None
    instruction: Paraphrase | None = None
    initial_pose: InitialPose | None = None

    @classmethod
    def draw(cls, seed: int, axes: Collection[str], severity: float) -> Perturbation:
        """What a seed gives: for each axis the same, whichever others there are; nothing at severity 0.

        >>> Perturbation.draw(0, ["light"], 1.0).light == Perturbation.draw(0, ["noise", "light"], 1.0).light
        True
        """
        if severity == 0.0:
            return cls()
        drawn: dict[str, Any] = {
            axis: draw(np.random.default_rng((seed, place)), severity)
            for place, (axis, draw) in enumerate(AXES.items())
            if axis in axes
        }
        return cls(**drawn)

    def on_image(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """An image (H, W, 3) in the light and with the noise; ``rng`` makes the frame's own noise."""
        if self.light is not None:
            image = self.light.apply(image)
        return image if self.noise is None else self.noise.apply(image, rng)

    def record(self) -> dict[str, dict[str, Any]]:
        """Axis -> numbers and names, of what was drawn."""
        return {axis: each._asdict() for axis, each in self._asdict().items() if each is not None}
