"""Rewards of trajectories by how they compare with others."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.trajectories import ending_at, make_group
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import contrast, progress, similarity_to_confident

places = st.lists(st.integers(0, 3), min_size=1, max_size=8)
groups = st.lists(st.tuples(st.booleans(), st.floats(-5.0, 5.0)), min_size=1, max_size=8)


def posterior(own, others, end):
    """The expected share of the instruction among the others that ended there, one by one as a beta distribution."""
    same, different = own.count(end) - 1, others.count(end)
    a, b = same + 0.5, different + 0.5
    return a / (a + b)


@given(own=places, others=places)
def test_contrast_is_the_posterior_of_the_instruction(own, others):
    """Under Jeffreys' prior, Beta(1/2, 1/2)."""
    expected = [posterior(own, others, end) for end in own]
    np.testing.assert_allclose(contrast(ending_at(*own), ending_at(*others), tolerance=0.1), expected)


@given(own=places, others=places, data=st.data())
def test_contrast_does_not_depend_on_the_order(own, others, data):
    """Neither on that of the group nor on that of the others."""
    order = data.draw(st.permutations(range(len(own))))
    rewards = contrast(ending_at(*own), ending_at(*others), 0.1)
    permuted = contrast(ending_at(*[own[i] for i in order]), ending_at(*data.draw(st.permutations(others))), 0.1)
    np.testing.assert_array_equal(permuted, rewards[list(order)])


def test_contrast_pays_what_an_instruction_alone_brings_about():
    """More than an end like no other, and that more than doing nothing."""
    nothing, lone, shared, again = contrast(ending_at(0, 5, 9, 9), ending_at(0, 0, 0, 7), 0.1)
    assert shared == again > lone == 0.5 > nothing


def test_without_other_instructions_nothing_is_told():
    """All are paid alike, so that no group votes for itself."""
    assert contrast(ending_at(0, 0, 1), [], 0.1).tolist() == [0.5] * 3


def test_labels_play_no_part_in_contrast():
    """Only ends do."""
    ends = [np.array([float(x)]) for x in (0, 1, 1)]
    paid = [contrast(make_group(won, final_state=ends), ending_at(0), 0.1).tolist() for won in ([0, 1, 1], [1, 0, 0])]
    assert paid[0] == paid[1]


def test_similarity_is_to_the_most_confident():
    """Which is most like itself, whether or not it has succeeded."""
    actions = [np.full((2, 7), x) for x in (1.0, 0.5, -1.0)]
    group = make_group([True, False, False], actions=actions, confidence=[-1.0, -0.1, -3.0])
    near, itself, far = similarity_to_confident(group)
    assert itself == 1.0
    assert near == pytest.approx(1.0 - 0.5 / 1.5)
    assert far == 0.0


@given(groups)
def test_no_failure_is_paid_more_progress_than_a_success(group):
    """Nor less than nothing; without a success there is no progress."""
    success = np.array([won for won, _ in group])
    rewards = progress(make_group(success, final_state=[np.array([x]) for _, x in group]))
    assert (rewards[success] == 1.0).all()
    assert ((rewards[~success] >= 0.0) & (rewards[~success] <= 0.6)).all()
    assert success.any() or not rewards.any()


def test_progress_is_that_of_srpo():
    """By its code: 0.6 times a logistic curve of the distance, scaled to the failures of the group."""
    ends = [np.array([x]) for x in (0.0, 0.5, 1.0, 3.0)]
    rewards = progress(make_group([True, False, False, False], final_state=ends))
    expected = [1.0, *(0.6 / (1.0 + math.exp(-10.0 * (0.5 - d))) for d in (0.0, 0.2, 1.0))]
    np.testing.assert_allclose(rewards, expected)


def test_failures_that_are_equally_far_share_the_middle():
    """There is no range to scale their distances to."""
    ends = [np.array([x]) for x in (0.0, 1.0, -1.0)]
    assert progress(make_group([True, False, False], final_state=ends)).tolist() == [1.0, 0.3, 0.3]


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        (lambda: contrast(ending_at(None), ending_at(0), 0.1), "`final_state`.*None"),
        (lambda: contrast(ending_at(0), ending_at([0, 1]), 0.1), r"one shape.*\(1,\), \(2,\)"),
        (lambda: contrast(ending_at(0), ending_at(0), -1.0), r"`tolerance`.*-1\.0"),
        (lambda: progress(make_group([True, False])), "`final_state`.*None"),
        (lambda: similarity_to_confident(make_group([True, False])), "`actions` and a `confidence`"),
        (lambda: similarity_to_confident([]), "`actions` and a `confidence`"),
    ],
)
def test_what_cannot_be_compared_is_named(compare, message):
    """With what is missing."""
    with pytest.raises(InvalidArgumentError, match=message):
        compare()
