"""Group advantages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.verl import VERL
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import ESTIMATORS, group_advantages
from vla_envs.group.advantages import STD_FLOOR

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
    with pytest.raises(InvalidArgumentError, match="'grpo', 'grpo_mean', 'rloo', 'grpo_nsr'"):
        group_advantages([0, 1], "ppo")


def test_a_group_of_one_is_refused():
    """Nothing to compare with."""
    with pytest.raises(ValueError, match="at least 2"):
        group_advantages([1.0])


@pytest.mark.parametrize("estimator", ["grpo_mean", "rloo"])
def test_estimators_without_std_are_verls(estimator):
    """Recorded from its own functions."""
    np.testing.assert_allclose(group_advantages(VERL["rewards"], estimator), VERL[estimator], atol=1e-11)


def test_grpo_is_verls_but_for_sample_std_and_floor():
    """Times sqrt((n - 1) / n) above the floor; below it, the floor divides instead of 0.0013."""
    rewards = np.array(VERL["rewards"])
    n, std = rewards.shape[1], rewards.std(axis=1, keepdims=True)
    ours = group_advantages(rewards)
    np.testing.assert_allclose(ours[:5] * np.sqrt((n - 1) / n), VERL["grpo"][:5], rtol=1e-5)
    assert std[5] < STD_FLOOR
    np.testing.assert_allclose(ours * np.maximum(std, STD_FLOOR) / (std * np.sqrt(n / (n - 1)) + 1e-6), VERL["grpo"])


@given(rewards=groups, scale=st.floats(1.0, 100.0))
def test_grpo_is_free_of_the_scale_of_rewards_above_the_floor(rewards, scale):
    """The others grow with it."""
    if np.std(rewards) > STD_FLOOR:
        np.testing.assert_allclose(group_advantages(np.multiply(rewards, scale)), group_advantages(rewards))
    scaled = group_advantages(np.multiply(rewards, scale), "rloo")
    np.testing.assert_allclose(scaled, scale * group_advantages(rewards, "rloo"), atol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(rewards=groups, data=st.data())
def test_advantages_move_with_their_trajectories(estimator, rewards, data):
    """The order of the group does not matter."""
    order = data.draw(st.permutations(range(len(rewards))))
    permuted = group_advantages(np.array(rewards)[order], estimator)
    np.testing.assert_allclose(permuted, group_advantages(rewards, estimator)[order], atol=1e-9)


def test_nsr_weighs_after_normalisation():
    """0.1 on the advantages of successes, 1 on those of failures."""
    rewards, success = [1.0, 0.0, 0.0, 1.0], [True, False, False, True]
    np.testing.assert_allclose(group_advantages(rewards, "grpo_nsr", success), [0.1, -1.0, -1.0, 0.1])


def test_a_success_worth_one_half_is_a_success():
    """Trap 6: at the last step, where a threshold on the reward would call it a failure."""
    advantages = group_advantages([0.5, 0.0], "grpo_nsr", success=[True, False])
    np.testing.assert_allclose(advantages, [0.1, -1.0])


@pytest.mark.parametrize("success", [None, [True], [[True, False]]])
def test_nsr_must_know_who_succeeded(success):
    """A reward does not tell."""
    with pytest.raises(InvalidArgumentError, match=r"`success` of shape \(2,\)"):
        group_advantages([1.0, 0.0], "grpo_nsr", success)
