"""Projection and its inverse."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.tabletop.camera import Camera, looking_at

NUMBERS = st.floats(-0.25, 0.25)


def make_camera(size: int = 64) -> Camera:
    """A camera that looks at the origin from the front and above."""
    position = (0.7, 0.0, 0.7)
    return Camera(np.array(position, np.float32), looking_at(position, (0.0, 0.0, 0.0)), 0.4, size)


def test_axes_are_right_handed() -> None:
    """Right, down and forward: a picture is not mirrored."""
    axes = make_camera().axes
    np.testing.assert_allclose(np.linalg.det(axes), 1.0, atol=1e-6)
    np.testing.assert_allclose(axes[0], [0.0, 1.0, 0.0], atol=1e-6)
    assert axes[1, 2] < 0


def test_target_is_in_the_middle() -> None:
    """What the camera looks at lies on its axis."""
    own = make_camera().to_camera(np.zeros((1, 3), np.float32))
    np.testing.assert_allclose(own[0, :2], 0.0, atol=1e-6)
    np.testing.assert_allclose(own[0, 2], 0.7 * np.sqrt(2), rtol=1e-6)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_rays_lead_back_to_the_point(x: float, y: float, z: float) -> None:
    """The ray of the pixel that shows a point passes it within that pixel's width."""
    camera = make_camera()
    point = np.array([[x, y, z]], np.float32)
    own = camera.to_camera(point)[0]
    column, row = (own[:2] / own[2] * camera.focal + 0.5 * camera.size).astype(int)
    if 0 <= column < camera.size and 0 <= row < camera.size:
        reached = camera.position + camera.rays[:, row, column] * own[2]
        assert np.abs(reached - point[0]).max() < 1.5 * own[2] / camera.focal


def test_window() -> None:
    """The window holds the points, is cut off at the image's edge, and is None outside or behind."""
    camera = make_camera()
    rows, columns = camera.window(np.array([[0, -0.02, 0], [0, 0.02, 0]], np.float32))
    assert rows.start < 32 <= rows.stop
    assert columns.start < 32 < columns.stop <= 40
    rows, columns = camera.window(np.array([[0, 0, 0], [0, 9, 0]], np.float32))
    assert columns.stop == 64
    assert camera.window(np.array([[0, 5, 0], [0, 6, 0]], np.float32)) is None
    assert camera.window(np.array([[2, 0, 2]], np.float32)) is None
