"""Distances between trajectories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.trajectories import make_group
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import Trajectory, group_diversity
from vla_envs.group.trajectory import action_distance, pairwise_distances

sequences = st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=2), min_size=1, max_size=5).map(np.array)


@given(a=sequences, b=sequences)
def test_a_distance_is_from_zero_to_one_and_symmetric(a, b):
    """And zero to itself."""
    assert 0.0 <= action_distance(a, b) == action_distance(b, a) <= 1.0
    assert action_distance(a, a) == 0.0


@given(a=sequences, b=sequences, scale=st.floats(0.1, 100.0))
def test_a_distance_is_free_of_the_scale_of_actions(a, b, scale):
    """Meters or joint radians."""
    a, b = np.round(a, 3), np.round(b, 3)
    assert action_distance(scale * a, scale * b) == pytest.approx(action_distance(a, b))


@pytest.mark.parametrize(("other", "distance"), [(1.0, 0.0), (-1.0, 1.0), (0.0, 1.0), (0.5, 1 / 3)])
def test_distances_of_constant_actions(other, distance):
    """|1 - b| / (1 + |b|)."""
    assert action_distance(np.ones((4, 7)), np.full((4, 7), other)) == pytest.approx(distance)


def test_only_the_steps_that_both_executed_count():
    """What ran on after the other had ended has nothing to be compared with."""
    assert action_distance(np.ones((2, 7)), np.concatenate([np.ones((2, 7)), -np.ones((3, 7))])) == 0.0


def test_diversity_is_the_mean_over_pairs():
    """One of three acts the opposite way: two of three pairs are at distance 1."""
    group = make_group([False] * 3, actions=[np.ones((4, 7)), np.ones((4, 7)), -np.ones((4, 7))])
    assert group_diversity(group) == pytest.approx(2 / 3)


def test_one_trajectory_has_no_diversity():
    """Without a pair."""
    assert group_diversity(make_group([True], actions=[np.ones((4, 7))])) == 0.0


def test_actions_must_have_been_recorded():
    """The error names the trajectories."""
    with pytest.raises(InvalidArgumentError, match=r"\[1\]"):
        pairwise_distances(make_group([True, True], actions=[np.ones((4, 7)), None]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["task_reward", "env_return", "final_state", "actions", "temperature"])
def test_a_number_that_is_not_finite_is_refused(name, bad):
    """Votes, rewards and distances would otherwise compare it with others, and no comparison holds."""
    value = np.full((2, 7), bad) if name in ("final_state", "actions") else bad
    with pytest.raises(InvalidArgumentError, match=f"`{name}` to be (a )?finite number.*trajectory 3 from"):
        Trajectory(**{"success": True, "steps": 1, "max_steps": 2, "task_reward": 1.0, "index": 3, name: value})


@pytest.mark.parametrize(
    ("steps", "max_steps"), [(0, 0), (-1, 5), (6, 5), (1, -1), (np.nan, 5), (1, np.nan), (1.0, 5), (True, 5)]
)
def test_steps_are_within_their_limit(steps, max_steps):
    """Of none nothing would be a share."""
    with pytest.raises(InvalidArgumentError, match=r"`(max_)?steps` to be an integer"):
        Trajectory(success=False, steps=steps, max_steps=max_steps, task_reward=0.0)


def test_a_distance_from_what_is_not_finite_is_refused():
    """It would be none at all, as between equal ones."""
    with pytest.raises(InvalidArgumentError, match="`a` to be finite numbers"):
        action_distance(np.full((1, 2), np.nan), np.ones((1, 2)))
