"""Numbers and tokens of a model to those of a robot and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.openvla.actions import Bounds, decode_ids, encode_actions
from vla_envs.errors import InvalidArgumentError

STATISTICS = {"q01": [-2.0, 0.0, 0.0], "q99": [2.0, 10.0, 1.0], "min": [-9.0] * 3, "max": [9.0] * 3}
FIRST_ID = 31744
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
    torch.testing.assert_close(bounds.normalize(bounds.restore(numbers)), numbers, rtol=0, atol=1e-12)


def test_what_lies_outside_is_clipped():
    """Not where it is masked."""
    assert Bounds(MASKED).normalize(torch.tensor([99.0, -99.0, 7.0])).tolist() == [1.0, -1.0, 7.0]


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"q01": ["x"], "q99": [1.0]}, "lists of numbers"),
        ({"q01": 0.5, "q99": [1.0]}, "lists of numbers"),
        ({"q01": [True], "q99": [1.0]}, "lists of numbers"),
        ({"q01": [0.0], "q99": [10**400]}, "lists of numbers"),
        ({"q01": [0.0], "q99": [1.0], "mask": [1]}, "`mask` one of truth values"),
        ({"q01": [0.0], "q99": [1.0], "mask": None}, "`mask` one of truth values"),
        ({"q01": [1.0], "q99": [0.0]}, "in order, actually: .1.0. and .0.0."),
        ({"q01": [0.0]}, "no 'q99'"),
        ({"q01": [0.0], "q99": [1.0, 2.0]}, "one length, actually: \\(1,\\), \\(2,\\), \\(1,\\)"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(statistics, message):
    """They would broadcast."""
    with pytest.raises(InvalidArgumentError, match=message):
        Bounds(statistics)


@given(st.lists(st.floats(-1.5, 1.5, width=32), min_size=1))
def test_a_number_gets_the_bin_of_the_official_tokenizer(numbers):
    """NumPy's `digitize` over 256 edges, from the end of the vocabulary."""
    expected = 32000 - np.digitize(np.clip(np.float32(numbers), -1, 1).astype(np.float64), np.linspace(-1, 1, 256))
    assert encode_actions(torch.tensor(numbers), FIRST_ID).tolist() == expected.tolist()


def test_every_bin_decodes_to_itself():
    """All but the second id of the highest bin."""
    ids = torch.arange(FIRST_ID + 1, 32000)
    assert torch.equal(encode_actions(decode_ids(ids, FIRST_ID), FIRST_ID), ids)


def test_ids_beyond_the_actions_count_as_the_nearest():
    """As in the original, which clips."""
    centers = decode_ids(torch.tensor([0, 31743, 31744, 31745, 31999, 32063]), FIRST_ID)
    torch.testing.assert_close(centers, torch.tensor([1, 1, 1, 1, -1, -1], dtype=torch.float64) * 254 / 255)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_statistics_that_are_not_finite_are_refused(bad):
    """Every action would be no number, or at the end of its range."""
    with pytest.raises(InvalidArgumentError, match=r"finite \('q01', 'q99'\), actually"):
        Bounds({**STATISTICS, "q99": [2.0, bad, 1.0]})
