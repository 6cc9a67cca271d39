"""The pose of the hand and its description in the state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.tabletop.gripper import MAX_TILT, Gripper, rotation_to_level

UNITS = st.floats(-1.0, 1.0)


def test_level_pose_is_liberos() -> None:
    """A hand that points straight down has the axis-angle (pi, 0, 0)."""
    state = Gripper(0.1, -0.1, 0.2).proprioception()
    np.testing.assert_allclose(state, [0.1, -0.1, 0.2, np.pi, 0, 0, 0.04, -0.04], atol=1e-6)
    assert state.dtype == np.float32


def test_half_a_radian_per_unit() -> None:
    """An action of 1 turns the hand by 0.5 rad."""
    gripper = Gripper(0, 0, 0)
    assert gripper.turn(np.array([0.0, 0.0, 1.0])) == pytest.approx(0.5)
    assert gripper.twist == pytest.approx(0.5)
    assert gripper.tilt == pytest.approx(0.0, abs=1e-6)
    gripper.turn(np.array([1.0, 0.0, 0.0]))
    assert gripper.tilt == pytest.approx(0.5)


def test_axis_angle_does_not_jump_at_level() -> None:
    """Small rotations either way change the state little, though the angle passes pi."""
    level = Gripper(0, 0, 0).proprioception()
    for axis in range(3):
        for sign in (-1.0, 1.0):
            gripper = Gripper(0, 0, 0)
            gripper.turn(sign * 0.02 * np.eye(3)[axis])
            assert np.abs(gripper.proprioception() - level).max() < 0.03


@given(st.lists(st.tuples(UNITS, UNITS, UNITS), max_size=20))
def test_tilt_never_exceeds_its_limit(rotations: list[tuple[float, float, float]]) -> None:
    """Whatever the rotations, the wrist stays within its range and its axes orthonormal."""
    gripper = Gripper(0, 0, 0)
    for rotation in rotations:
        gripper.turn(np.array(rotation))
    assert gripper.tilt <= MAX_TILT + 1e-6
    np.testing.assert_allclose(gripper.axes.T @ gripper.axes, np.eye(3), atol=1e-9)


@given(UNITS, UNITS, UNITS)
def test_rotation_to_level(roll: float, pitch: float, yaw: float) -> None:
    """The rotation that the expert asks for brings the hand back to level."""
    gripper = Gripper(0, 0, 0)
    gripper.turn(np.array([roll, pitch, yaw]))
    gripper.turn(np.array(rotation_to_level(gripper.orientation)) / 0.5)
    assert gripper.tilt == pytest.approx(0.0, abs=1e-6)
    assert gripper.twist == pytest.approx(0.0, abs=1e-6)
