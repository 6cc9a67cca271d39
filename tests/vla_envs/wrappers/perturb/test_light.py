"""Another light."""

import math

import numpy as np
import pytest

from vla_envs.wrappers.perturb.light import Light

GREY = np.full((8, 8, 3), 100, np.uint8)


def test_no_light_but_the_own_changes_no_pixel():
    """Factors of 1 are exact."""
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Light(1.0, 0.0, 0.0, 0.3).apply(image), image)


def test_warm_light_is_red():
    """Blue loses what red gains."""
    assert Light(1.0, 0.2, 0.0, 0.0).apply(GREY)[0, 0].tolist() == [120, 100, 80]


@pytest.mark.parametrize(("direction", "brighter"), [(0.0, (4, -1)), (math.pi / 2, (-1, 4))])
def test_the_side_of_the_light_is_brighter(direction, brighter):
    """Directions turn from the right towards the lower border."""
    image = Light(1.0, 0.0, 0.3, direction).apply(GREY).astype(int)
    row, column = brighter
    assert image[row, column, 0] == 130
    assert image[7 - row if row >= 0 else 0, 7 - column if column >= 0 else 0, 0] == 70


def test_colours_are_clipped():
    """And do not wrap around."""
    assert Light(1.3, 0.2, 0.0, 0.0).apply(np.full((1, 1, 3), 240, np.uint8)).max() == 255


def test_severity_bounds_every_number():
    """Half as severe is half as far."""
    light = Light.draw(np.random.default_rng(1), 0.5)
    assert 0.5 * 0.175 <= abs(light.brightness - 1.0) <= 0.175
    assert 0.05 <= abs(light.warmth) <= 0.1
    assert 0.075 <= light.slope <= 0.15
