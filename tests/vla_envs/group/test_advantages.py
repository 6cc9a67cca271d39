"""Group advantages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.errors import InvalidArgumentError
from vla_envs.group import ESTIMATORS, group_advantages

groups = st.lists(st.floats(0, 1), min_size=2, max_size=16)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(rewards=groups)
def test_advantages_of_a_group_sum_to_zero(estimator, rewards):
    """What one trajectory gains its siblings lose."""
    assert group_advantages(rewards, estimator).sum() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n", range(2, 10))
def test_equal_rewards_carry_no_signal(estimator, n):
    """Exactly none, whatever the reward: rounding must not look like an advantage."""
    rewards = np.repeat(1 / (1 + np.arange(81) / 80), n).reshape(81, n)
    assert not group_advantages(rewards, estimator).any()


@given(rewards=groups)
def test_rloo_compares_with_the_mean_of_the_others(rewards):
    """Its closed form."""
    expected = [reward - np.mean(rewards[:i] + rewards[i + 1 :]) for i, reward in enumerate(rewards)]
    np.testing.assert_allclose(group_advantages(rewards, "rloo"), expected, atol=1e-9)


def test_std_floor_keeps_small_differences_small():
    """100 against 102 steps of 500 must not become an advantage of one."""
    advantages = group_advantages([0.8333, 0.8333, 0.8306, 0.8306])
    assert np.abs(advantages).max() < 0.03


def test_grpo_divides_by_the_population_std():
    """Two of four successes have mean and std one half."""
    np.testing.assert_allclose(group_advantages([1, 0, 0, 1]), [1, -1, -1, 1])


def test_unknown_estimator_names_the_valid_ones():
    """The error lists the choices."""
    with pytest.raises(InvalidArgumentError, match="'grpo', 'grpo_mean', 'rloo'"):
        group_advantages([0, 1], "ppo")


def test_a_group_of_one_is_refused():
    """Nothing to compare with."""
    with pytest.raises(ValueError, match="at least 2"):
        group_advantages([1.0])
