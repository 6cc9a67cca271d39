"""Trajectory rewards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.errors import InvalidArgumentError
from vla_envs.rewards import (
    efficiency_reward,
    energy_penalty,
    smoothness_penalty,
    step_penalty,
    weighted_reward,
)

actions = st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=6)


@pytest.mark.parametrize(("steps", "reward"), [(100, 0.8333), (250, 0.6667), (500, 0.5)])
def test_efficiency_of_success(steps, reward):
    """The table of the design."""
    assert efficiency_reward(True, steps, 500) == pytest.approx(reward, abs=1e-4)


@given(st.integers(0, 500))
def test_failure_is_worth_nothing(steps):
    """Zero however early or late a failure ends."""
    assert efficiency_reward(False, steps, 500) == 0.0


@given(st.integers(1, 500), st.data())
def test_any_success_beats_any_failure_and_faster_is_better(max_steps, data):
    """Rewards of success lie in [0.5, 1] and fall with the steps."""
    fast, slow = sorted(data.draw(st.tuples(*[st.integers(0, max_steps)] * 2)))
    rewards = efficiency_reward([True, True], [fast, slow], max_steps)
    assert 1.0 >= rewards[0] >= rewards[1] >= 0.5


@pytest.mark.parametrize(("steps", "max_steps"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_lengths_are_refused(steps, max_steps):
    """Steps outside 0..max_steps name both."""
    with pytest.raises(ValueError, match="actually"):
        efficiency_reward(True, np.array([steps]), max_steps)
    with pytest.raises(ValueError, match="actually"):
        step_penalty(steps, max_steps)


@given(fast=st.integers(0, 500), slow=st.integers(0, 500), weight=st.floats(0.0, 0.99))
def test_a_step_penalty_below_one_leaves_success_above_failure(fast, slow, weight):
    """The slowest success above the earliest failure."""
    reward = weighted_reward(
        {"success": [1.0, 0.0], "steps": step_penalty([slow, fast], 500)}, {"success": 1.0, "steps": weight}
    )
    assert reward.total[0] > reward.total[1]


@given(actions)
def test_penalties_of_actions_are_bounded(sequence):
    """From -1 to 0 for actions of -1..1."""
    assert -1.0 <= energy_penalty(sequence) <= 0.0
    assert -1.0 <= smoothness_penalty(sequence) <= 0.0


@pytest.mark.parametrize(
    ("sequence", "energy", "smoothness"),
    [
        ([[1.0, -1.0]] * 3, -1.0, 0.0),
        ([[0.0, 0.0]] * 3, 0.0, 0.0),
        ([[1.0], [-1.0], [1.0]], -1.0, -1.0),
        ([[0.5], [0.0]], -0.125, -0.0625),
        ([[0.5]], -0.25, 0.0),
    ],
)
def test_energy_and_smoothness(sequence, energy, smoothness):
    """Constant, still, alternating, braking and single actions."""
    assert energy_penalty(sequence) == energy
    assert smoothness_penalty(sequence) == smoothness


def test_lengths_of_other_trajectories_are_refused():
    with pytest.raises(InvalidArgumentError, match=r"`success` of shape \(3,\) and `steps` of shape \(2,\)"):
        efficiency_reward([True, False, True], [10, 20], 80)
    with pytest.raises(InvalidArgumentError, match=r"`steps` of shape \(2,\) and `max_steps` of shape \(3,\)"):
        efficiency_reward(True, [10, 20], [80, 80, 80])


def test_penalties_of_many_trajectories_at_once():
    """Leading axes stay."""
    batch = np.linspace(-1, 1, 24).reshape(2, 4, 3)
    for penalty in (energy_penalty, smoothness_penalty):
        np.testing.assert_allclose(penalty(batch), [penalty(each) for each in batch])


@pytest.mark.parametrize("penalty", [energy_penalty, smoothness_penalty])
@pytest.mark.parametrize("shape", [(0, 7), (7,)])
def test_no_action_has_no_penalty(penalty, shape):
    """Nothing executed, or no time axis."""
    with pytest.raises(ValueError, match="at least one step"):
        penalty(np.zeros(shape))


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1))
def test_a_weighted_reward_is_the_sum_of_its_terms(objectives):
    """Each of which keeps its name."""
    values, weights = ({name: each[i] for name, each in objectives.items()} for i in (0, 1))
    reward = weighted_reward(values, weights)
    assert reward.total == pytest.approx(sum(reward.terms.values()))
    assert {name: float(term) for name, term in reward.terms.items()} == {
        name: values[name] * weights[name] for name in values
    }


@pytest.mark.parametrize(
    ("objectives", "weights"),
    [({}, {}), ({"a": 1.0}, {}), ({"a": 1.0}, {"a": 1.0, "b": 1.0}), ({"a": 1.0}, {"a": float("nan")})],
)
def test_each_objective_has_its_weight(objectives, weights):
    """None forgotten, none mistyped."""
    with pytest.raises(ValueError, match="actually"):
        weighted_reward(objectives, weights)


@pytest.mark.parametrize(("steps", "max_steps"), [(np.nan, 5), (1, np.nan), (1, np.inf), (0, 0), ([1, np.nan], 5)])
@pytest.mark.parametrize("reward", [lambda *steps: efficiency_reward(True, *steps), step_penalty])
def test_steps_that_are_no_share_of_a_limit_are_refused(reward, steps, max_steps):
    """NaN is neither below nor above anything."""
    with pytest.raises(InvalidArgumentError, match="actually"):
        reward(steps, max_steps)


@pytest.mark.parametrize("penalty", [energy_penalty, smoothness_penalty])
def test_actions_that_are_not_finite_are_refused(penalty):
    """They cost nothing that could be said."""
    with pytest.raises(InvalidArgumentError, match="`actions` to be finite numbers"):
        penalty([[0.0, np.nan]])


def test_objectives_that_are_not_finite_are_refused():
    """Of a weight of 0 too: infinity times 0 is no number."""
    with pytest.raises(InvalidArgumentError, match=r"`objectives\['a'\]` to be finite numbers, actually"):
        weighted_reward({"a": [np.inf]}, {"a": 0.0})
