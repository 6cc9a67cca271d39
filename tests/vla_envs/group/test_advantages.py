"""Group advantages."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.verl import VERL
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import NSR, group_advantages, has_signal
from vla_envs.group.advantages import STD_FLOOR, Baseline

BASELINES = get_args(Baseline)

groups = st.lists(st.floats(0, 1), min_size=2, max_size=16)


@pytest.mark.parametrize("estimator", BASELINES)
@given(rewards=groups)
def test_advantages_of_a_group_sum_to_zero(estimator, rewards):
    """What one trajectory gains its siblings lose."""
    assert group_advantages(rewards, estimator).sum() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("estimator", BASELINES)
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


def test_penalized_rewards_have_verls_advantages():
    """Its KL in the reward, token by token: only the sums of the trajectories are compared."""
    penalized = np.sum(VERL["token_level_rewards"], axis=1).reshape(np.shape(VERL["rewards"]))
    np.testing.assert_allclose(group_advantages(penalized, "rloo"), VERL["rloo_with_kl"], atol=1e-11)


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


@pytest.mark.parametrize("estimator", BASELINES)
@given(rewards=groups, data=st.data())
def test_advantages_move_with_their_trajectories(estimator, rewards, data):
    """The order of the group does not matter."""
    order = data.draw(st.permutations(range(len(rewards))))
    permuted = group_advantages(np.array(rewards)[order], estimator)
    np.testing.assert_allclose(permuted, group_advantages(rewards, estimator)[order], atol=1e-9)


@given(rewards=groups, data=st.data())
def test_those_outside_the_mask_are_compared_with_nobody(rewards, data):
    """The others have the advantages of a group of their own, whatever stands where there is no reward."""
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rewards), max_size=len(rewards))))
    advantages = group_advantages(np.where(mask, rewards, np.nan), mask=mask)
    assert not advantages[~mask].any()
    if mask.sum() >= 2:
        np.testing.assert_array_equal(advantages[mask], group_advantages(np.array(rewards)[mask]))
    else:
        assert not advantages.any()


@given(rewards=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=5))
def test_every_row_is_a_group(rewards):
    """Groups know nothing of each other."""
    np.testing.assert_array_equal(group_advantages(rewards), [group_advantages(each) for each in rewards])


nsrs = st.builds(
    NSR,
    positive_weight=st.floats(0, 2),
    negative_weight=st.floats(0, 2),
    baseline=st.sampled_from(BASELINES),
)


@given(group=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=16), nsr=nsrs)
def test_nsr_weighs_the_advantages_of_its_baseline(group, nsr):
    """After the normalization, by what the environment says and not by the reward."""
    rewards, success = zip(*group, strict=True)
    weights = np.where(success, nsr.positive_weight, nsr.negative_weight)
    expected = weights * group_advantages(rewards, nsr.baseline)
    np.testing.assert_array_equal(group_advantages(rewards, "grpo_nsr", success, nsr=nsr), expected)


def test_nsr_is_w_reinforce_by_default():
    """0.1 on the advantages of successes, 1 on those of failures."""
    rewards, success = [1.0, 0.0, 0.0, 1.0], [True, False, False, True]
    np.testing.assert_allclose(group_advantages(rewards, "grpo_nsr", success), [0.1, -1.0, -1.0, 0.1])


@given(rewards=groups, threshold=st.floats(0, 1))
def test_a_threshold_makes_the_score_say_who_was_correct(rewards, threshold):
    """At least the threshold is correct; nobody has to know the environment's success."""
    correct = np.array(rewards) >= threshold
    by_score = group_advantages(rewards, "grpo_nsr", nsr=NSR(correctness_threshold=threshold))
    np.testing.assert_array_equal(by_score, group_advantages(rewards, "grpo_nsr", correct))


def test_a_threshold_reads_scores_and_not_penalized_rewards():
    """A penalty that takes a trajectory below the threshold does not make it incorrect."""
    nsr = NSR(correctness_threshold=0.5)
    penalized = group_advantages([0.4, 0.0], "grpo_nsr", scores=[0.6, 0.0], nsr=nsr)
    np.testing.assert_allclose(penalized, [0.1, -1.0])


def test_a_success_worth_one_half_is_a_success():
    """Trap 6: at the last step, where a threshold above which the reward must be would call it a failure."""
    for nsr in (NSR(), NSR(correctness_threshold=0.5)):
        advantages = group_advantages([0.5, 0.0], "grpo_nsr", success=[True, False], nsr=nsr)
        np.testing.assert_allclose(advantages, [0.1, -1.0])


@pytest.mark.parametrize("success", [None, [True], [[True, False]]])
def test_nsr_must_know_who_succeeded(success):
    """A reward does not tell."""
    with pytest.raises(InvalidArgumentError, match=r"`success` of shape \(2,\)"):
        group_advantages([1.0, 0.0], "grpo_nsr", success)


@pytest.mark.parametrize("name", ["mask", "scores"])
def test_masks_and_scores_have_the_shape_of_the_rewards(name):
    """The error names the argument and both shapes."""
    with pytest.raises(InvalidArgumentError, match=rf"`{name}` of the rewards' shape \(2,\), actually: \(3,\)"):
        group_advantages([1.0, 0.0], "grpo_nsr", [True, False], **{name: [1, 1, 1]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive_weight": -0.1}, "`positive_weight` to be a finite number of at least 0, actually: -0.1"),
        ({"negative_weight": float("nan")}, "`negative_weight` to be a finite number of at least 0, actually: nan"),
        ({"correctness_threshold": float("inf")}, "`correctness_threshold` to be a finite number, actually: inf"),
        ({"baseline": "gae"}, "`baseline` to be one of 'grpo', 'grpo_mean', 'rloo', actually: 'gae'"),
    ],
)
def test_nsr_refuses_weights_that_would_turn_the_gradient(options, message):
    """The error says what is valid."""
    with pytest.raises(InvalidArgumentError, match=message):
        NSR(**options)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=5))
def test_a_signal_is_an_advantage(group):
    """Trap 19: equal rewards have none."""
    assert has_signal(group) == group_advantages(group).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("estimator", [*BASELINES, "grpo_nsr"])
def test_rewards_that_are_not_finite_are_refused(bad, estimator):
    """They would make advantages of the whole group that are no numbers, or none at all."""
    with pytest.raises(InvalidArgumentError, match="`rewards` to be finite numbers, actually"):
        group_advantages([1.0, 0.0, bad], estimator, success=[True, False, False])


def test_a_reward_that_nobody_is_compared_with_may_be_anything():
    """A vote that abstains gives none."""
    assert group_advantages([1.0, 0.0, np.nan], mask=[True, True, False]).tolist() == [1.0, -1.0, 0.0]


def test_scores_that_are_not_finite_are_refused():
    """NaN is at least nothing, and so would be incorrect without a word."""
    with pytest.raises(InvalidArgumentError, match="`scores` to be finite numbers, actually"):
        group_advantages([1.0, 0.0], "grpo_nsr", scores=[np.nan, 0.0], nsr=NSR(correctness_threshold=0.5))
    given = {"scores": [1.0, 0.0, np.nan], "mask": [True, True, False], "nsr": NSR(correctness_threshold=0.5)}
    assert group_advantages([1.0, 0.0, np.nan], "grpo_nsr", **given).tolist() == [0.1, -1.0, 0.0]


def test_nothing_says_whether_rewards_that_are_not_finite_differ():
    """Equal ones would say that nothing is left to learn."""
    with pytest.raises(InvalidArgumentError, match="`rewards` to be finite numbers"):
        has_signal([1.0, np.nan])
