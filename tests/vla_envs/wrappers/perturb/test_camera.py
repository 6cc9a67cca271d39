"""A camera that stands elsewhere, imitated on the image."""

import numpy as np
import pytest

from vla_envs.camera import CameraOffset
from vla_envs.wrappers.perturb.camera import draw_camera, warp


@pytest.fixture
def dots():
    """A bright dot to the left, one in the middle and one to the right of a dark image."""
    image = np.zeros((65, 65, 3), np.uint8)
    image[31:34, [15, 16, 17, 31, 32, 33, 47, 48, 49]] = 255
    return image


def columns_of_dots(image):
    """Centres of the dots of the left, middle and right third of the image."""
    weights = image[..., 0].astype(float)
    return [float((weights[:, part] @ np.array(part)).sum() / weights[:, part].sum()) for part in PARTS]


PARTS = (list(range(0, 24)), list(range(24, 41)), list(range(41, 65)))


def test_no_offset_changes_no_pixel():
    """Neither does a warp of a random picture round anything."""
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(warp(image, CameraOffset()), image)


@pytest.mark.parametrize("offset", [CameraOffset(distance=0.8), CameraOffset(field_of_view=0.8)])
def test_nearer_and_narrower_show_things_larger(dots, offset):
    """The middle stays, the others move away from it."""
    left, middle, right = columns_of_dots(warp(dots, offset))
    assert middle == pytest.approx(32, abs=0.3)
    assert left == pytest.approx(32 - 16 / 0.8, abs=0.5)
    assert right == pytest.approx(32 + 16 / 0.8, abs=0.5)


def test_from_the_side_the_nearer_half_looks_wider(dots):
    """A camera that goes to the right, counter-clockwise from above, comes nearer to what is on the right."""
    left, middle, right = columns_of_dots(warp(dots, CameraOffset(azimuth=0.4)))
    assert middle == pytest.approx(32, abs=0.3)
    assert right - middle > middle - left + 1


def test_draws_grow_with_the_severity():
    """The same seed draws the same direction, further away."""
    small, large = (draw_camera(np.random.default_rng(4), severity) for severity in (0.25, 1.0))
    base = np.array(CameraOffset())
    np.testing.assert_allclose(np.array(large) - base, 4 * (np.array(small) - base))
