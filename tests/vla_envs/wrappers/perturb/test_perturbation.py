"""What is drawn for an episode."""

import json

import numpy as np
import pytest

from vla_envs.wrappers.perturb.perturbation import AXES, Perturbation


def test_without_severity_nothing_is_drawn():
    """Rather than something that is nearly nothing."""
    assert Perturbation.draw(0, AXES, 0.0) == Perturbation()


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_draws_the_same_alone(axis):
    """So that an ablation perturbs as the whole did."""
    alone, together = Perturbation.draw(7, [axis], 1.0), Perturbation.draw(7, AXES, 1.0)
    assert getattr(alone, axis) == getattr(together, axis)
    assert list(alone.record()) == [axis]


def test_seeds_differ():
    """On every axis."""
    one, other = (Perturbation.draw(seed, AXES, 1.0).record() for seed in (1, 2))
    assert all(one[axis] != other[axis] for axis in AXES)


def test_the_record_can_be_written_as_json():
    """Plain numbers and names."""
    record = Perturbation.draw(3, AXES, 0.7).record()
    assert json.loads(json.dumps(record)) == record


def test_noise_comes_after_the_light():
    """The sensor sees what is lit: a black scene stays black in shot noise, however bright the light."""
    perturbation = Perturbation.draw(4, ["light", "noise"], 1.0)
    assert perturbation.noise is not None
    assert perturbation.light is not None
    image = np.full((16, 16, 3), 90, np.uint8)
    seen = perturbation.on_image(image, np.random.default_rng(0))
    lit = perturbation.light.apply(image)
    np.testing.assert_array_equal(seen, perturbation.noise.apply(lit, np.random.default_rng(0)))
