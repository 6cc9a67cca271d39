"""Numbers of a model to those of a robot and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.openvla.statistics import Bounds
from vla_envs.errors import InvalidArgumentError

STATISTICS = {"q01": [-2.0, 0.0, 0.0], "q99": [2.0, 10.0, 1.0], "min": [-9.0] * 3, "max": [9.0] * 3}
MASKED = {**STATISTICS, "mask": [True, True, False]}


def test_one_stands_for_the_upper_bound():
    """And minus one for the lower."""
    bounds = Bounds(MASKED)
    assert bounds.restore(torch.ones(3)).tolist() == [2.0, 10.0, 1.0]
    assert bounds.restore(-torch.ones(3)).tolist() == [-2.0, 0.0, -1.0]


def test_extremes_are_other_bounds():
    """Those of ALOHA."""
    assert Bounds(STATISTICS, "extremes").restore(torch.ones(3)).tolist() == [9.0, 9.0, 9.0]


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.sampled_from([0.0, 1e-8]))
def test_back_and_forth_is_nothing(numbers, margin):
    """Masked or not."""
    bounds, numbers = Bounds(MASKED, margin=margin), torch.tensor(numbers, dtype=torch.float64)
    torch.testing.assert_close(bounds.normalise(bounds.restore(numbers)), numbers, rtol=0, atol=1e-12)


def test_what_lies_outside_is_clipped():
    """Not where it is masked."""
    assert Bounds(MASKED).normalise(torch.tensor([99.0, -99.0, 7.0])).tolist() == [1.0, -1.0, 7.0]


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"q01": ["x"], "q99": [1.0]}, "lists of numbers"),
        ({"q01": [0.0]}, "no 'q99'"),
        ({"q01": [0.0], "q99": [1.0, 2.0]}, "one length, actually: 1, 2 and 1"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(statistics, message):
    """They would broadcast."""
    with pytest.raises(InvalidArgumentError, match=message):
        Bounds(statistics)
