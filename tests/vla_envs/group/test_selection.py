"""Which trajectories are trained on."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.trajectories import make_group
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import Selection, select_top_k

SELECTIONS = get_args(Selection)
GROUP = make_group(
    [False, True, True, False, True],
    steps=[10, 60, 20, 5, 40],
    actions=[x * np.ones((5, 7)) for x in (1.0, 0.9, -1.0, 0.8, 0.1)],
)
AGREES = [False, True, True, False, True]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("first", [0, 1, 2]),
        ("majority_first", [1, 2, 4]),
        ("efficiency", [2, 4, 1]),
        ("diversity", [2, 0, 4]),
    ],
)
def test_three_of_five(by, expected):
    """Best first."""
    assert select_top_k(GROUP, 3, by, agrees=AGREES).tolist() == expected


@pytest.mark.parametrize("by", SELECTIONS)
@given(k=st.integers(1, 5), seed=st.integers(0, 99))
def test_k_different_trajectories(by, k, seed):
    """Exactly k, none twice, and the first of a larger selection."""
    chosen = select_top_k(GROUP, k, by, agrees=AGREES, rng=seed).tolist()
    assert len(set(chosen)) == k
    assert select_top_k(GROUP, 5, by, agrees=AGREES, rng=seed).tolist()[:k] == chosen


def test_random_selection_is_that_of_its_seed_and_prefers_none():
    """Equal seeds choose alike; over many, each trajectory is chosen as often as another."""
    assert select_top_k(GROUP, 3, "random", rng=3).tolist() == select_top_k(GROUP, 3, "random", rng=3).tolist()
    rng = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([select_top_k(GROUP, 2, "random", rng=rng) for _ in range(2000)]), minlength=5)
    # Six standard deviations of a binomial with p = 2/5.
    np.testing.assert_allclose(counts, 800, atol=6 * np.sqrt(2000 * 0.4 * 0.6))


@pytest.mark.parametrize("by", ["efficiency", "diversity"])
@given(order=st.permutations(range(5)))
def test_the_order_of_the_group_does_not_matter_where_all_differ(by, order):
    """The same trajectories are chosen."""
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 6, 7))
    group = make_group([True] * 5, steps=[10, 60, 20, 5, 40], actions=actions)
    expected = {group[i].index for i in select_top_k(group, 3, by)}
    permuted = [group[i] for i in order]
    assert {permuted[i].index for i in select_top_k(permuted, 3, by)} == expected


@pytest.mark.parametrize("k", [0, 6])
def test_k_is_at_most_the_group(k):
    """The error says how many there are."""
    with pytest.raises(InvalidArgumentError, match=f"`k` to be an integer from 1 to 5, actually: {k}"):
        select_top_k(GROUP, k)


@pytest.mark.parametrize("agrees", [None, [True]])
def test_majority_first_must_know_who_agrees(agrees):
    """One flag for each trajectory."""
    with pytest.raises(InvalidArgumentError, match="`agrees` to be 5 booleans"):
        select_top_k(GROUP, 3, "majority_first", agrees=agrees)


def test_an_unknown_criterion_names_the_valid_ones():
    """Top-k without a criterion is no method."""
    with pytest.raises(InvalidArgumentError, match=", ".join(map(repr, SELECTIONS))):
        select_top_k(GROUP, 3, "best")
