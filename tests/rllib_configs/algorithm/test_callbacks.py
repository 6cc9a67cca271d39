"""Scoring in the runner, where groups are whole."""

import numpy as np
import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils.metrics import EPISODE_RETURN_MEAN

from rllib_configs.algorithm.callbacks import GROUP_ADVANTAGE, GroupCallback
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.scoring import TRAJECTORY_REWARDS, by_group, outcome_of
from tests.rllib_configs.setups import reach_config
from vla_envs.group import ESTIMATORS, group_advantages


def make_runner(callback=RLlibCallback, **groups):
    """32 members in groups of 4; without a callback the episodes stay as they were sampled."""
    config = reach_config(num_envs=32, **groups)
    config.callbacks(callback)
    return GroupEnvRunner(config=config)


def scored(runner, episodes):
    kept = list(episodes)
    GroupCallback().on_sample_end(env_runner=runner, metrics_logger=runner.metrics, samples=kept)
    return {episode.id_: episode for episode in kept}


def expected_scores(runner, episodes):
    """id -> (reward, advantage), by the package's own formulas."""
    scores = {}
    for group in by_group(episodes):
        rewards = TRAJECTORY_REWARDS[runner.config.trajectory_reward](*outcome_of(group))
        advantages = group_advantages(rewards, runner.config.adv_estimator)
        scores |= {each.id_: score for each, *score in zip(group, rewards, advantages, strict=True)}
    return scores


def advantage_of(episode):
    return np.asarray(episode.get_extra_model_outputs(GROUP_ADVANTAGE))


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
@pytest.mark.parametrize("reward", sorted(TRAJECTORY_REWARDS))
def test_rewards_and_advantages_are_those_of_the_whole_group(estimator, reward):
    """The reward on the last step, the advantage on every step."""
    runner = make_runner(adv_estimator=estimator, trajectory_reward=reward)
    episodes = runner.sample()
    expected = expected_scores(runner, episodes)
    kept = scored(runner, episodes)
    assert kept
    for key, episode in kept.items():
        final_reward, advantage = expected[key]
        np.testing.assert_allclose(episode.get_rewards(), [0.0] * (len(episode) - 1) + [final_reward], rtol=1e-6)
        np.testing.assert_allclose(advantage_of(episode), [advantage] * len(episode), rtol=1e-6)


def test_trajectories_of_zero_advantage_are_dropped():
    """They have no gradient, and all others stay."""
    runner = make_runner(trajectory_reward="success")
    episodes = runner.sample()
    signal = {key for key, (_, advantage) in expected_scores(runner, episodes).items() if advantage != 0.0}
    assert set(scored(runner, episodes)) == signal
    assert 0 < len(signal) < len(episodes)


def test_a_critic_needs_every_trajectory():
    """Its own estimate gives the advantages, also where siblings did equally well."""
    runner = make_runner(adv_estimator="gae")
    episodes = runner.sample()
    assert len(scored(runner, episodes)) == len(episodes)


@pytest.mark.parametrize("estimator", [*sorted(ESTIMATORS), "gae"])
def test_a_group_with_an_invalid_trajectory_is_dropped_whole(estimator):
    """No sibling is trained without it, and the other groups stay as they are."""
    runner = make_runner(adv_estimator=estimator)
    episodes = runner.sample()
    before = scored(runner, episodes)
    spoilt = by_group(episodes)[1]
    spoilt[2].get_infos(-1)["valid"] = False
    after = scored(runner, episodes)
    assert set(before) & {each.id_ for each in spoilt}
    assert set(after) == set(before) - {each.id_ for each in spoilt}


def test_invalid_trajectories_are_counted_and_measured_in_nothing_else():
    """They are neither successes nor failures."""
    runner = make_runner(trajectory_reward="success", groups_per_iteration=8)
    episodes = runner.sample()
    groups = by_group(episodes)
    for episode in (groups[0][0], groups[0][3], groups[5][1]):
        episode.get_infos(-1)["valid"] = False
    scored(runner, episodes)
    metrics = runner.get_metrics()
    sound = [outcome_of(group).success.mean() for index, group in enumerate(groups) if index not in (0, 5)]
    assert metrics["rollout"]["invalid_trajectories"].peek() == 3
    assert metrics["ttrl"]["success_rate"].peek() == pytest.approx(np.mean(sound))


def test_flipping_the_outcome_flips_the_sign_of_the_advantage():
    """A reward of the wrong sign would be seen here."""
    runner = make_runner(trajectory_reward="success")
    episodes = runner.sample()
    before = scored(runner, episodes)
    for episode in episodes:
        episode.get_infos(-1)["success"] = not episode.get_infos(-1)["success"]
    after = scored(runner, episodes)
    assert set(before) == set(after)
    for key, episode in before.items():
        np.testing.assert_allclose(advantage_of(after[key]), -advantage_of(episode), rtol=1e-6)


def test_the_successful_have_the_positive_advantage():
    """Among siblings of which some failed."""
    runner = make_runner(trajectory_reward="success")
    for episode in scored(runner, runner.sample()).values():
        assert (advantage_of(episode)[0] > 0) == episode.is_terminated


def test_the_sampled_episodes_stay_as_they_were():
    """Scores are written into copies."""
    runner = make_runner()
    episodes = runner.sample()
    rewards = [episode.get_rewards().copy() for episode in episodes]
    assert scored(runner, episodes)
    for episode, before in zip(episodes, rewards, strict=True):
        np.testing.assert_array_equal(episode.get_rewards(), before)
        assert GROUP_ADVANTAGE not in episode.extra_model_outputs


def test_the_reported_return_is_the_environments():
    """Not the trajectory reward that trains, and over dropped trajectories too."""
    returns = [episode.get_return() for episode in make_runner().sample()]
    scoring = make_runner(GroupCallback, trajectory_reward="efficiency")
    assert len(scoring.sample()) < len(returns)
    assert 0 < scoring.get_metrics()[EPISODE_RETURN_MEAN].peek() == pytest.approx(np.mean(returns))


def test_metrics_describe_every_sampled_group():
    """Dropped trajectories included."""
    groups = [outcome_of(group) for group in by_group(make_runner().sample())]
    runner = make_runner(GroupCallback, trajectory_reward="success", groups_per_iteration=8)
    runner.sample()
    metrics = {key: each.peek() for key, each in runner.get_metrics()["ttrl"].items()}
    success = np.array([group.success for group in groups])
    expected = {
        "success_rate": success.mean(),
        "pass_at_n": success.any(1).mean(),
        "reward": success.mean(),
        "frac_zero_std_groups": (success.all(1) | ~success.any(1)).mean(),
        "steps": np.mean([group.steps for group in groups]),
    }
    assert metrics == pytest.approx(expected)
