"""Worse sensors."""

import numpy as np
import pytest

from vla_envs.wrappers.perturb.noise import KINDS, PHOTONS, SIGMA, Noise, blur, gaussian, shot

GREY = np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture
def picture():
    """Coarse coloured squares."""
    squares = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return squares.repeat(8, axis=0).repeat(8, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_it_changes_the_image_more(kind, picture):
    """But never its shape or type."""
    errors = []
    for amount in (0.25, 0.5, 1.0):
        noisy = Noise(kind, amount).apply(picture, np.random.default_rng(0))
        assert noisy.shape == picture.shape
        assert noisy.dtype == np.uint8
        errors.append(np.abs(noisy.astype(int) - picture).mean())
    assert 0 < errors[0] < errors[1] < errors[2]


def test_gaussian_noise_has_its_standard_deviation():
    """In colour values."""
    noise = gaussian(GREY, 0.5, np.random.default_rng(0)).astype(int) - 128
    assert noise.std() == pytest.approx(0.5 * SIGMA, rel=0.03)


def test_shot_noise_is_that_of_so_many_photons():
    """The variance of a Poisson number is its mean."""
    noise = shot(GREY, 0.4, np.random.default_rng(0)).astype(int) - 128
    photons = PHOTONS / 0.4**2 * 128 / 255
    assert noise.std() == pytest.approx(128 / photons**0.5, rel=0.03)


def test_blur_keeps_a_plain_image_and_widens_an_edge():
    """Borders are no edges."""
    np.testing.assert_array_equal(blur(GREY, 1.0, np.random.default_rng(0)), GREY)
    edge = np.zeros((32, 32, 3), np.uint8)
    edge[:, 16:] = 200
    row = blur(edge, 1.0, np.random.default_rng(0))[5, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert 0 < row[15] < 100 < row[16] < 200


def test_every_kind_is_drawn():
    """And in the range of the severity."""
    drawn = [Noise.draw(np.random.default_rng(seed), 0.6) for seed in range(40)]
    assert {noise.kind for noise in drawn} == set(KINDS)
    assert all(0.3 <= noise.amount <= 0.6 for noise in drawn)
