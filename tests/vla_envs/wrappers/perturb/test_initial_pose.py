"""Another pose of the arm at the start."""

import numpy as np

from vla_envs.wrappers.perturb.initial_pose import SIDEWAYS, UPWARDS, InitialPose


def test_severity_bounds_the_displacement():
    """Between half of it and all of it, along each axis."""
    pose = np.abs(InitialPose.draw(np.random.default_rng(0), 0.5))
    limits = 0.5 * np.array([SIDEWAYS, SIDEWAYS, UPWARDS])
    assert (pose >= 0.5 * limits).all()
    assert (pose <= limits).all()
