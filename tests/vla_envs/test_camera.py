"""Offsets of the main camera, as reset options and as geometry."""

import numpy as np
import pytest

from tests.reach_env import ReachEnv
from vla_envs.camera import CameraOffset, check_camera_offset, orbit
from vla_envs.errors import InvalidArgumentError

POSITION = np.array([0.8, 0.1, 1.0])


def looking_at_the_origin():
    forward = -POSITION / np.linalg.norm(POSITION)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def test_no_offset_changes_no_bit():
    """The identity is exact, not nearly so."""
    axes = looking_at_the_origin()
    position, turned = orbit(POSITION, axes, 1.3, CameraOffset())
    np.testing.assert_array_equal(position, POSITION)
    np.testing.assert_array_equal(turned, axes)


def test_the_pivot_stays_in_the_middle_of_the_image():
    """Wherever the camera goes, it looks at the same point with a level horizon."""
    distance = float(np.linalg.norm(POSITION))
    offset = CameraOffset(azimuth=0.4, elevation=-0.2, distance=1.5)
    position, axes = orbit(POSITION, looking_at_the_origin(), distance, offset)
    np.testing.assert_allclose(position + 1.5 * distance * axes[2], 0.0, atol=1e-12)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert axes[0, 2] == pytest.approx(0.0)


def test_more_elevation_is_higher():
    """The camera rises and looks down more steeply."""
    axes = looking_at_the_origin()
    position, turned = orbit(POSITION, axes, float(np.linalg.norm(POSITION)), CameraOffset(elevation=0.1))
    assert position[2] > POSITION[2]
    assert turned[2, 2] < axes[2, 2]


@pytest.mark.parametrize("value", [(0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 1.0), (0.0, np.nan, 1.0, 1.0)])
def test_what_is_no_offset_is_refused(value):
    """The error names the four numbers, or says that they are not finite."""
    with pytest.raises(InvalidArgumentError, match=r"azimuth and elevation|finite numbers"):
        check_camera_offset(value)


def test_a_simulator_that_cannot_refuses_the_option():
    """A camera that would silently stay where it is would falsify results."""
    with pytest.raises(InvalidArgumentError, match="camera_offset"):
        ReachEnv().reset(options={"camera_offset": CameraOffset()})
