"""Groups as they leave the runner: scored where they are whole, without what no gradient needs."""

import json
from typing import get_args

import gymnasium as gym
import numpy as np
import pytest

from rllib_configs.algorithm import VLAPPOConfig
from rllib_configs.algorithm.batching import Rows, Timesteps
from rllib_configs.algorithm.env_runner import sample_episodes
from rllib_configs.algorithm.sampled_group import GROUP_ADVANTAGE, REF_LOGP, TOKEN_LOGP, TOKEN_MASK, column
from rllib_configs.algorithm.scoring import score_group, score_groups, trajectory_of
from rllib_configs.config import PPO, TTRL
from tests.rllib_configs.setups import CHUNK_SIZE, GROUP_SIZE, HOT, SMALL, reach_runner, starts, wrap
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import Estimator, GroupStart, contrast, group_advantages, progress, similarity_to_confident
from vla_envs.rewards import efficiency_reward
from vla_envs.spec import Prompt

GROUPS = 8
TEMPERATURES = np.float32([0.5, 1.0, 1.5, 2.0])


def sample(groups=GROUPS, **env_config):
    """(start, episodes) of groups of 4."""
    runner, given = reach_runner(groups=groups, env_config=env_config), starts(groups, seed=0)
    runner.module.reference = runner.module.policy.frozen_copy()
    episodes = sample_episodes(runner.module, runner.env.unwrapped, given, TEMPERATURES, explore=True)
    return [(start, episodes[4 * place : 4 * place + 4]) for place, start in enumerate(given)]


@pytest.fixture(scope="module")
def sampled():
    """Some of them with successes, some without."""
    return sample()


def scored(sampled, kl_coeff=0.0, ttrl=None, **ppo):
    options = TTRL(n_votes_per_prompt=GROUP_SIZE, **(ttrl or {}))
    return [score_group(start, episodes, options, PPO(**ppo), kl_coeff) for start, episodes in sampled]


def advantage_of(episode):
    return column(episode, GROUP_ADVANTAGE)


def kept(groups):
    return {episode.id_: episode for group in groups for episode in group.episodes}


def successes(sampled):
    return np.array([[episode.is_terminated for episode in episodes] for _, episodes in sampled])


def test_groups_with_and_without_success_are_there(sampled):
    """Otherwise the tests around this one would say little."""
    some = successes(sampled).mean(1)
    assert 0 < (some > 0).sum() < GROUPS
    assert ((some > 0) & (some < 1)).any()


@pytest.mark.parametrize("estimator", get_args(Estimator))
def test_rewards_and_advantages_are_those_of_the_whole_group(sampled, estimator):
    """The reward on the last step, the advantage on every step."""
    groups = scored(sampled, adv_estimator=estimator)
    assert kept(groups)
    for (_, episodes), group in zip(sampled, groups, strict=True):
        infos = [episode.get_infos(-1) for episode in episodes]
        success = [info["success"] for info in infos]
        rewards = efficiency_reward(success, [info["elapsed_steps"] for info in infos], 12)
        advantages = group_advantages(rewards, estimator, success)
        for episode, reward, advantage in zip(episodes, rewards, advantages, strict=True):
            if advantage:
                own = kept([group])[episode.id_]
                np.testing.assert_allclose(own.get_rewards(), [0.0] * (len(episode) - 1) + [reward], rtol=1e-6)
                np.testing.assert_allclose(advantage_of(own), [advantage] * len(episode), rtol=1e-6)


def test_trajectories_of_zero_advantage_are_left_out(sampled):
    """They have no gradient, and all others stay."""
    groups = scored(sampled, ttrl={"reward": "success"})
    differ = successes(sampled).any(1) & ~successes(sampled).all(1)
    assert [len(group.episodes) for group in groups] == [4 * each for each in differ.tolist()]
    assert [group.informative for group in groups] == differ.tolist()


@pytest.mark.parametrize(
    "options",
    [{"adv_estimator": "gae"}, {"reference_kl": "loss"}, {"entropy_coeff": 0.01}],
    ids=["critic", "KL in the loss", "entropy bonus"],
)
def test_those_that_something_else_moves_stay(sampled, options):
    """Although siblings did equally well."""
    assert len(kept(scored(sampled, **options))) == 4 * GROUPS


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_a_group_with_an_invalid_trajectory_is_not_trained(sampled, estimator):
    """None of its trajectories, and it is neither success nor failure in any metric."""
    start, episodes = sampled[0]
    episodes[2].get_infos(-1)["valid"] = False
    (group,) = scored([(start, episodes)], adv_estimator=estimator)
    episodes[2].get_infos(-1)["valid"] = True
    assert (group.sampled, group.invalid, group.episodes, group.metrics, group.successes) == (4, 1, [], {}, [])
    assert not group.informative
    assert group.control_steps == sum(episode.get_infos(-1)["elapsed_steps"] for episode in episodes)


def test_flipping_the_outcomes_flips_the_sign_of_the_advantages(sampled):
    """A reward of the wrong sign would be seen here."""
    before = kept(scored(sampled, ttrl={"reward": "success"}))
    infos = [episode.get_infos(-1) for _, episodes in sampled for episode in episodes]
    for info in infos:
        info["success"] = not info["success"]
    after = kept(scored(sampled, ttrl={"reward": "success"}))
    for info in infos:
        info["success"] = not info["success"]
    assert set(before) == set(after)
    for key, episode in before.items():
        np.testing.assert_allclose(advantage_of(after[key]), -advantage_of(episode), rtol=1e-6)


def test_a_flipped_vote_changes_what_is_learned(sampled):
    """Public code has votes that never reach the reward."""
    groups = scored(sampled, ttrl={"reward": "vote", "rule": "agreement", "use_env_fallback": False})
    for group, success in zip(groups, successes(sampled), strict=True):
        for episode in group.episodes:
            assert (advantage_of(episode)[0] > 0) == (episode.is_terminated == (success.mean() > 0.5))
    tied = successes(sampled).mean(1) == 0.5
    assert not any(group.episodes for group, tie in zip(groups, tied, strict=True) if tie)


def test_a_vote_may_do_without_the_environments_labels(sampled):
    """What is rewarded is to end where most ended; nothing changes when the labels do."""
    vote = {"rule": "agreement", "use_env_fallback": False, "outcome": "final_state_cluster", "cluster_tolerance": 0.3}

    def learned():
        groups = scored(sampled, ttrl={"reward": "vote", **vote})
        return {key: advantage_of(episode).tolist() for key, episode in kept(groups).items()}

    before = learned()
    infos = [episode.get_infos(-1) for _, episodes in sampled for episode in episodes]
    for info in infos:
        info["success"], info["task_reward"] = not info["success"], 1.0 - info["task_reward"]
    after = learned()
    for info in infos:
        info["success"], info["task_reward"] = not info["success"], 1.0 - info["task_reward"]
    assert before
    assert before == after


def test_the_sampled_episodes_stay_as_they_were(sampled):
    """Scores are written into copies."""
    scored(sampled)
    for _, episodes in sampled:
        for episode in episodes:
            assert episode.get_return() == float(episode.is_terminated)
            assert GROUP_ADVANTAGE not in episode.extra_model_outputs


def divergence(episode):
    """KL samples of each timestep, over the executed tokens."""
    return ((column(episode, TOKEN_LOGP) - column(episode, REF_LOGP)) * column(episode, TOKEN_MASK)).sum(1)


def move(sampled):
    """Make the reference differ from the policy."""
    rng = np.random.default_rng(0)
    for _, episodes in sampled:
        for episode in episodes:
            reference = episode.extra_model_outputs[REF_LOGP].data
            reference += rng.normal(0, 0.1, reference.shape).astype(np.float32)


def test_the_kl_in_the_reward_counts_against_every_timestep(sampled):
    """In the rewards of a critic step by step, and in the advantages of a group by its sum."""
    move(sampled)
    groups = scored(sampled, kl_coeff=0.5, adv_estimator="gae", reference_kl="reward", ttrl={"reward": "success"})
    for episode in kept(groups).values():
        expected = -0.5 * divergence(episode)
        expected[-1] += episode.is_terminated
        np.testing.assert_allclose(episode.get_rewards(), expected, rtol=1e-4, atol=1e-6)
    groups = scored(sampled, kl_coeff=0.5, adv_estimator="grpo_mean", reference_kl="reward", ttrl={"reward": "success"})
    for group in groups:
        totals = np.array([each.is_terminated - 0.5 * divergence(each).sum() for each in group.episodes])
        advantages = [advantage_of(each)[0] for each in group.episodes]
        np.testing.assert_allclose(advantages, totals - totals.mean(), rtol=1e-4, atol=1e-6)


def test_the_kl_in_the_loss_leaves_the_rewards_alone(sampled):
    """It is charged once; the metric is the same, in nats a token."""
    move(sampled)
    in_loss = scored(sampled, kl_coeff=0.5, reference_kl="loss")
    in_reward = scored(sampled, kl_coeff=0.5, reference_kl="reward")
    for episode in kept(in_loss).values():
        assert (np.asarray(episode.get_rewards())[:-1] == 0).all()
    for loss, reward, (_, episodes) in zip(in_loss, in_reward, sampled, strict=True):
        tokens = 7 * sum(episode.get_infos(-1)["elapsed_steps"] for episode in episodes)
        expected = sum(divergence(episode).sum() for episode in episodes) / tokens
        assert loss.metrics["reference_kl"] == reward.metrics["reference_kl"] == pytest.approx(expected, rel=1e-4)


def test_a_trajectory_shows_what_ran(sampled):
    """The executed actions alone, with prompt, place, temperature and end."""
    for _, episodes in sampled:
        for place, episode in enumerate(episodes):
            trajectory, info = trajectory_of(episode), episode.get_infos(-1)
            assert (trajectory.index, trajectory.temperature) == (place, TEMPERATURES[place])
            assert (trajectory.success, trajectory.steps) == (episode.is_terminated, info["elapsed_steps"])
            assert trajectory.actions.shape == (info["elapsed_steps"], 7)
            first = trajectory.actions[:CHUNK_SIZE]
            np.testing.assert_array_equal(first, episode.get_actions()[0][: len(first)])
            assert trajectory.prompt == (info["task_id"], info["init_state_id"])
            np.testing.assert_array_equal(trajectory.final_state, info["final_state"])


def test_one_column_says_which_actions_ran(sampled):
    """Counts of actions and of tokens, what a trajectory shows, and the KL go by it alone."""
    start, episodes = sampled[0]
    move([(start, episodes)])
    mask = episodes[0].extra_model_outputs[TOKEN_MASK].data
    assert mask[0].all()

    def counts():
        (group,) = scored([(start, episodes)], reference_kl="loss")
        rows = Rows(np.zeros(len(episodes[0]), np.int64), np.arange(len(episodes[0])))
        return group.control_steps, len(trajectory_of(episodes[0]).actions), Timesteps(episodes).weight(rows)

    before = counts()
    mask[0, 7:] = False
    after = counts()
    (group,) = scored([(start, episodes)], reference_kl="loss")
    total = sum(divergence(each).sum() for each in episodes)
    mask[0, 7:] = True
    assert np.subtract(before, after).tolist() == [1, 1, 7]
    assert group.metrics["reference_kl"] == pytest.approx(total / (7 * after[0]), rel=1e-5)
    assert sum(divergence(each).sum() for each in episodes) != pytest.approx(total)


class Paid(gym.RewardWrapper):
    """Pays 123 a step, which nobody else would."""

    def reward(self, reward):
        return 123.0


@pytest.fixture(scope="module")
def paid():
    """Groups whose environments pay 123 a timestep."""
    return sample(groups=2, wrap=lambda env: Paid(wrap(env)))


def test_a_critic_learns_from_what_the_environment_paid_at_each_step(paid):
    """Not from the sum of it at the end."""
    episodes = [
        episode for group in scored(paid, ttrl={"reward": "env"}, adv_estimator="gae") for episode in group.episodes
    ]
    assert len(episodes) == 8
    assert all(episode.get_rewards().tolist() == [123.0] * len(episode) for episode in episodes)


def test_siblings_are_compared_by_all_that_the_environment_paid_them(paid):
    """Long trajectories earned more here; the score is their sum."""
    groups = scored(paid, ttrl={"reward": "env"}, adv_estimator="grpo_mean")
    assert sum(len(group.episodes) for group in groups) > 0
    for (_, episodes), group in zip(paid, groups, strict=True):
        totals = {episode.id_: 123.0 * len(episode) for episode in episodes}
        assert group.metrics["reward"] == pytest.approx(np.mean(list(totals.values())))
        for episode in group.episodes:
            assert advantage_of(episode)[0] == pytest.approx(totals[episode.id_] - np.mean(list(totals.values())))


def test_the_kl_is_taken_from_what_the_environment_paid(paid):
    """Step by step as well."""
    move(paid)
    options = {"adv_estimator": "gae", "reference_kl": "reward", "ttrl": {"reward": "env"}}
    for episode in kept(scored(paid, kl_coeff=0.5, **options)).values():
        np.testing.assert_allclose(episode.get_rewards(), 123.0 - 0.5 * divergence(episode), rtol=1e-5)


def test_other_rewards_ignore_what_the_environment_paid(paid):
    """They are of the trajectory, and on its last step."""
    for episode in kept(scored(paid, ttrl={"reward": "success"}, adv_estimator="gae")).values():
        assert episode.get_rewards().tolist() == [0.0] * (len(episode) - 1) + [float(episode.is_terminated)]


def test_what_is_written_of_a_group_tells_of_every_trajectory(sampled, tmp_path):
    """Also of those without a gradient, which are not trained on; nothing where no directory is named."""
    assert not any(group.records for group in scored(sampled))
    groups = scored(sampled, ttrl={"rollout_data_dir": str(tmp_path), "reward": "success"})
    for (_, episodes), group in zip(sampled, groups, strict=True):
        assert [each["success"] for each in group.records] == [each.is_terminated for each in episodes]
        assert [each["score"] for each in group.records] == [float(each.is_terminated) for each in episodes]
        assert [each["temperature"] for each in group.records] == pytest.approx(TEMPERATURES)
        assert {each["input"] for each in group.records} == {episodes[0].get_infos(-1)["task"]}
        logps = [column(each, TOKEN_LOGP)[column(each, TOKEN_MASK)].mean() for each in episodes]
        assert [each["confidence"] for each in group.records] == pytest.approx(logps)
        json.dumps(group.records)


@pytest.mark.parametrize(("name", "reward"), [("progress", progress), ("similarity", similarity_to_confident)])
def test_rewards_among_siblings_are_those_of_the_whole_group(sampled, name, reward):
    """Each on the last step of its trajectory."""
    for (_, episodes), group in zip(sampled, scored(sampled, ttrl={"reward": name}, adv_estimator="gae"), strict=True):
        expected = reward([trajectory_of(episode) for episode in episodes])
        paid = [kept([group])[episode.id_].get_rewards()[-1] for episode in episodes]
        np.testing.assert_allclose(paid, expected, rtol=1e-6)


CONTRAST = TTRL(n_votes_per_prompt=2, reward="contrast", prompts="every_task", cluster_tolerance=0.01, **HOT)


@pytest.fixture(scope="module")
def tabletop():
    """(starts, groups of episodes) of two tasks with the same two initial states, in turn."""
    environment = SMALL.environment.replace(task_id=(0, 1))
    runner = reach_runner(VLAPPOConfig.from_experiment(SMALL.replace(environment=environment, ttrl=CONTRAST)))
    given = [GroupStart(place, seed=place, prompt=Prompt(place % 2, place // 2)) for place in range(4)]
    groups = []
    for pair in (given[:2], given[2:]):
        episodes = sample_episodes(runner.module, runner.env.unwrapped, pair, CONTRAST.temperatures(), explore=True)
        groups += [episodes[:2], episodes[2:]]
    return given, groups


def test_contrast_is_with_the_other_tasks_of_the_same_initial_state(tabletop):
    """Not with those of another one, nor with a group that a fault has cut short."""
    given, groups = tabletop
    trajectories = [[trajectory_of(episode) for episode in group] for group in groups]
    for order in ([0, 1, 2, 3], [3, 2, 0, 1], [0, 1, 0, 1]):
        scored = score_groups([given[i] for i in order], [groups[i] for i in order], CONTRAST, PPO("gae"), 0.0)
        for place, group in zip(order, scored, strict=True):
            paid = [kept([group])[episode.id_].get_rewards()[-1] for episode in groups[place]]
            expected = contrast(trajectories[place], trajectories[place ^ 1], 0.01)
            np.testing.assert_allclose(paid, expected, rtol=1e-6)
    groups[1][0].get_infos(-1)["valid"] = False
    first, invalid, *_ = score_groups(given, groups, CONTRAST, PPO("gae"), 0.0)
    groups[1][0].get_infos(-1)["valid"] = True
    assert invalid.invalid == 1
    assert [episode.get_rewards()[-1] for episode in first.episodes] == [0.5, 0.5]


def test_a_group_without_its_other_tasks_is_told_nothing(tabletop):
    """They were not sampled beside it."""
    given, groups = tabletop
    scored = score_groups([given[i] for i in (0, 2, 1)], [groups[i] for i in (0, 2, 1)], CONTRAST, PPO("gae"), 0.0)
    assert {episode.get_rewards()[-1] for group in scored for episode in group.episodes} == {0.5}


def test_tasks_that_start_differently_cannot_be_contrasted(sampled):
    """The error says what differs."""
    places = [Prompt(0, 3), Prompt(1, 3)]
    given = [GroupStart(place, seed=0, prompt=prompt) for place, prompt in enumerate(places)]
    first, second = (episodes for _, episodes in sampled[:2])
    with pytest.raises(InvalidArgumentError, match=r"contrast.*another image.*reach the.*environment\.task_id"):
        score_groups(given, [first, second], CONTRAST, PPO(), 0.0)
