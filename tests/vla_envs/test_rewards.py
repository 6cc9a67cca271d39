"""Trajectory rewards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.rewards import efficiency_reward


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
