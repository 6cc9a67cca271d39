"""The arm starts elsewhere: the simulator moves it there by its own rules, so that the start is a possible one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vla_envs.wrappers.perturb.draws import swing

SIDEWAYS = 0.05
"""Largest displacement along x and along y (m)."""
UPWARDS = 0.02
"""Largest displacement along z (m): less, because things stand below."""


class InitialPose(NamedTuple):
    """The displacement of the gripper from where the initial state has it (m)."""

    x: float
    y: float
    z: float

    @classmethod
    def draw(cls, rng: np.random.Generator, severity: float) -> InitialPose:
        """A displacement."""
        return cls(*(swing(rng, severity * limit) for limit in (SIDEWAYS, SIDEWAYS, UPWARDS)))
