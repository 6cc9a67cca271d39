"""Groups whose environments end in the same step and are restarted in the next."""

import copy
import pickle
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.coin_env import LONG, SHORT, CoinEnv
from tests.reach_env import ReachEnv, towards_targets
from tests.vla_envs.group.faulty_env import LosingEnv
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import GroupVectorEnv, VoteConfig, apply_vote
from vla_envs.spec import Prompt

TRAJECTORIES = 400


class CountingEnv(ReachEnv):
    """Counts what it draws."""

    drawn = 0

    def _observe(self):
        self.drawn += 1
        return super()._observe()


def make(num_envs=6, group_size=3, env=ReachEnv, **kwargs):
    return GroupVectorEnv([env] * num_envs, group_size, **kwargs)


def play(envs, steps, seed=3):
    """Everything that the first steps show, every second environment going to its target."""
    envs.reset(seed=seed)
    return [envs.step(towards_targets(envs)) for _ in range(steps)]


def first_end(envs, seed=3):
    """The step in which the first group ends."""
    envs.reset(seed=seed)
    while True:
        step = envs.step(towards_targets(envs))
        if (step[2] | step[3])[: envs.group_size].any():
            return step


def test_all_environments_of_a_group_end_in_the_same_step():
    """The last environment's, each with the flag of its own end."""
    for _, _, terminated, truncated, infos in play(make(), 40):
        done = (terminated | truncated).reshape(2, 3)
        assert (done.all(axis=1) == done.any(axis=1)).all()
        assert (terminated[done.ravel()] == infos["success"][done.ravel()]).all()
        assert not (terminated & truncated).any()


def test_a_group_ends_as_late_as_its_last_environment():
    """Environments 0 and 2 reach their targets, environment 1 its step limit."""
    *_, infos = first_end(make())
    assert infos["finish_step"][1] == infos["max_steps"][1] == 12
    assert (infos["finish_step"][[0, 2]] < 12).all()
    assert infos["success"].tolist()[:3] == [True, False, True]


def test_finish_steps_are_masked_until_an_environment_ends():
    """0 before, and then the control steps of the trajectory."""
    envs = make()
    for *_, infos in play(envs, 11):
        assert (infos["_finish_step"] == ~infos["active"]).all()
        assert (infos["finish_step"] == infos["elapsed_steps"] * infos["_finish_step"]).all()


def test_early_finishers_are_neither_simulated_nor_drawn():
    """Their environments do as much as their own trajectories need, and no more."""
    envs = make(num_envs=3, env=CountingEnv)
    *_, infos = first_end(envs)
    simulated = [env.steps_simulated for env in envs.sub_envs.envs]
    assert simulated == infos["finish_step"].tolist()
    assert [env.drawn for env in envs.sub_envs.envs] == [1 + steps for steps in simulated]
    assert min(simulated) < max(simulated)


def test_executed_actions_tell_real_transitions_from_idle_ones():
    """They add up to the trajectory, and are 0 where an environment idled or its group was restarted."""
    envs = make(num_envs=3)
    envs.reset(seed=3)
    total = np.zeros(3, int)
    active = envs.active.copy()
    for _ in range(12):
        *_, infos = envs.step(towards_targets(envs))
        assert (infos["executed_actions"] == active).all()
        total += infos["executed_actions"]
        active = infos["active"]
    assert total.tolist() == infos["finish_step"].tolist()
    assert not envs.step(towards_targets(envs))[-1]["executed_actions"].any()


def test_a_group_is_restarted_by_the_step_after_its_end():
    """At another prompt, under another id; the actions of that step are ignored."""
    envs = make(num_envs=3)
    ended = first_end(envs)[-1]
    simulated = [env.steps_simulated for env in envs.sub_envs.envs]
    observations, rewards, terminated, truncated, infos = envs.step(np.ones((3, 7), np.float32))
    assert [env.steps_simulated for env in envs.sub_envs.envs] == simulated
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert infos["active"].all()
    assert infos["elapsed_steps"].tolist() == [0, 0, 0]
    assert infos["group_id"].tolist() == [1, 1, 1]
    assert len(set(infos["init_state_id"])) == 1
    assert (infos["task_id"][0], infos["init_state_id"][0]) != (ended["task_id"][0], ended["init_state_id"][0])
    assert (observations["image"] == observations["image"][0]).all()


def test_groups_restart_independently():
    """One that ends early does not wait for the others."""
    envs = make(num_envs=4, group_size=1)
    ids = np.array([step[-1]["group_id"] for step in play(envs, 30)])
    assert len(set(ids[-1])) == 4
    restarts = [np.count_nonzero(np.diff(column)) for column in ids.T]
    assert restarts[0] > restarts[1]


def test_the_autoreset_is_gymnasiums_next_step():
    """As loops and wrappers read it from the metadata."""
    assert make().metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP


def test_without_a_vote_rewards_come_in_the_step_that_earned_them():
    """The environment's own, and their sum is in the infos."""
    envs = make(num_envs=3)
    envs.reset(seed=3)
    earned = np.zeros(3)
    while True:
        _, rewards, terminated, truncated, infos = envs.step(towards_targets(envs))
        earned += rewards
        assert (earned == infos["success"]).all()
        np.testing.assert_array_equal(infos["env_return"], earned)
        if (terminated | truncated).any():
            break
    assert earned.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("mode", ["lockstep", "hold"])
def test_short_and_long_trajectories_are_sampled_alike(mode):
    """Successes of 2 steps and failures of 20, each with probability one half."""
    envs = make(40, 4, CoinEnv, mode=mode)
    envs.action_space.seed(0)
    outcomes = {}
    _, infos = envs.reset(seed=0)
    while len(outcomes) < TRAJECTORIES or infos["group_id"].min() < TRAJECTORIES // 4:
        *_, infos = envs.step(envs.action_space.sample())
        for index in np.flatnonzero(infos["_finish_step"]):
            outcomes[infos["group_id"][index], infos["trajectory_index"][index]] = infos["success"][index]
        if mode == "hold" and not envs.active.any():
            _, infos = envs.reset()
    # In the order in which groups started: the first to end would be the short ones.
    successes = [success for (group_id, _), success in outcomes.items() if group_id < TRAJECTORIES // 4]
    assert len(successes) == TRAJECTORIES
    assert np.mean(successes) == pytest.approx(0.5, abs=3 * 0.5 / TRAJECTORIES**0.5)


@settings(max_examples=25)
@given(num_groups=st.integers(1, 3), group_size=st.integers(1, 4), seed=st.integers(0, 1000))
def test_a_trajectory_is_what_lies_between_two_ends(num_groups, group_size, seed):
    """Its executed actions and rewards add up to what its last infos say, whatever the groups around it do."""
    envs = make(num_groups * group_size, group_size, CoinEnv)
    envs.action_space.seed(seed)
    envs.reset(seed=seed)
    executed, earned = np.zeros((2, envs.num_envs))
    for _ in range(2 * LONG + 3):
        _, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        executed += infos["executed_actions"]
        earned += rewards
        done = terminated | truncated
        assert (executed == infos["finish_step"])[done].all()
        assert (earned == infos["env_return"])[done].all()
        assert (earned == infos["success"])[done].all()
        executed[done] = earned[done] = 0.0
    assert infos["group_id"].max() >= 2 * num_groups


def test_the_coin_is_short_when_it_succeeds():
    """Otherwise the test above would say little."""
    envs = make(40, 4, CoinEnv)
    envs.action_space.seed(0)
    envs.reset(seed=0)
    for _ in range(LONG):
        *_, infos = envs.step(envs.action_space.sample())
    ended = infos["_finish_step"]
    assert set(infos["finish_step"][ended & infos["success"]]) == {SHORT}
    assert set(infos["finish_step"][ended & ~infos["success"]]) == {LONG}


def test_voted_rewards_come_when_the_group_ends():
    """By the rule of the vote; all other rewards are 0."""
    config = VoteConfig(3, 2, rule="agreement")
    steps = play(make(vote=config), 12)
    assert not any(step[1].any() for step in steps[:-1])
    _, rewards, _, _, infos = steps[-1]
    assert infos["success"].tolist() == [True, False, True, False, True, False]
    assert rewards.tolist() == [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    assert infos["env_return"].tolist() == infos["task_reward"].tolist() == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_a_vote_selects_and_measures_where_the_group_ends():
    """In that step alone."""
    envs = make(vote=VoteConfig(3, 2))
    steps = play(envs, 13)
    infos = steps[11][-1]
    assert infos["selected"].tolist() == [True, True, False] * 2
    assert infos["vote"]["majority_ratio"].tolist() == pytest.approx([2 / 3] * 6)
    assert infos["vote"]["success_rate"].tolist() == pytest.approx([2 / 3] * 3 + [1 / 3] * 3)
    for other in (steps[10], steps[12]):
        assert not other[-1]["selected"].any()
        assert not {"vote", "voted_group"} & other[-1].keys()


def test_a_group_that_has_not_ended_has_no_vote():
    """Its part of the arrays is masked."""
    envs = make(2, 2, vote=VoteConfig(2, 2), prompts=[Prompt(0, 0)])
    two = make(4, 2, vote=VoteConfig(2, 2), prompts=[Prompt(0, 0)])
    *_, infos = first_end(envs)
    *_, with_idle = first_end(two)
    assert with_idle["selected"].tolist() == [*infos["selected"], False, False]
    assert with_idle["_vote"].tolist() == [True, True, False, False]


def test_the_voted_group_has_the_trajectories_as_they_were():
    """Executed actions, outcomes and temperatures, so that the vote can be held again."""
    config = VoteConfig(3, 2)
    envs = make(3, 3, vote=config, temperatures=[0.5, 1.0, 1.5])
    envs.reset(seed=3)
    taken = []
    while True:
        taken.append(towards_targets(envs))
        _, rewards, terminated, truncated, infos = envs.step(taken[-1])
        if (terminated | truncated).any():
            break
    voted = infos["voted_group"][0]
    for index, each in enumerate(voted.trajectories):
        assert (each.index, each.temperature) == (index, [0.5, 1.0, 1.5][index])
        assert each.prompt == Prompt(infos["task_id"][index], infos["init_state_id"][index])
        assert (each.success, each.steps) == (infos["success"][index], infos["finish_step"][index])
        np.testing.assert_array_equal(each.actions, np.array(taken)[: each.steps, index])
        np.testing.assert_array_equal(each.final_state, infos["final_state"][index])
    np.testing.assert_array_equal(apply_vote(voted.trajectories, config).rewards, rewards)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "hold", "vote": VoteConfig(3, 2)}, "no `vote` in mode 'hold'.*apply_vote"),
        ({"vote": VoteConfig(5, 2)}, r"`group_size` \(3\).*actually: 5"),
    ],
)
def test_a_vote_that_cannot_be_held_is_refused(arguments, message):
    """With what would do."""
    with pytest.raises(InvalidArgumentError, match=message):
        make(**arguments)


def test_a_vote_needs_the_contract():
    """An environment without `success` has nothing to vote for."""
    envs = make(env=lambda: gym.make("CartPole-v1"), vote=VoteConfig(3, 2))
    with pytest.raises(InvalidArgumentError, match="'success', 'task_reward'"):
        envs.reset(seed=0)


def test_new_temperatures_wait_for_the_next_group():
    """A trajectory keeps what it was sampled at."""
    envs = make(num_envs=3, temperatures=[0.6, 0.6, 0.6])
    envs.reset(seed=3)
    envs.temperatures = np.array([0.7, 0.8, 0.9], np.float32)
    observations = first = envs.step(towards_targets(envs))[0]
    np.testing.assert_array_equal(first["temperature"][:, 0], np.float32([0.6, 0.6, 0.6]))
    while envs.active.any():
        observations, *_ = envs.step(towards_targets(envs))
    np.testing.assert_array_equal(observations["temperature"], first["temperature"])
    observations, *_ = envs.step(towards_targets(envs))
    np.testing.assert_array_equal(observations["temperature"][:, 0], envs.temperatures)


def test_a_list_of_prompts_ends_in_idle_groups():
    """Each is used once; then nothing runs."""
    prompts = [(0, 4), (1, 7), (0, 2)]
    envs = make(num_envs=4, group_size=2, prompts=prompts)
    _, infos = envs.reset(seed=0)
    seen = {}
    while envs.active.any() or len(seen) < len(prompts):
        seen |= {group_id: pair for group_id, *pair in zip(*prompts_of(infos), strict=True)}
        *_, infos = envs.step(towards_targets(envs))
    envs.step(towards_targets(envs))
    *_, terminated, truncated, infos = envs.step(towards_targets(envs))
    assert [tuple(seen[group_id]) for group_id in range(3)] == prompts
    assert not (terminated | truncated | infos["active"]).any()
    assert not infos["executed_actions"].any()


def prompts_of(infos):
    return (infos[key].tolist() for key in ("group_id", "task_id", "init_state_id"))


def test_a_reset_in_the_middle_starts_every_group_anew():
    """Also one that would have been restarted."""
    envs = make()
    first_end(envs)
    _, infos = envs.reset()
    assert infos["active"].all()
    *_, later = envs.step(towards_targets(envs))
    assert (later["group_id"] == infos["group_id"]).all()
    assert (later["elapsed_steps"] == 1).all()


@pytest.mark.parametrize("vote", [None, VoteConfig(3, 3)])
def test_the_last_infos_have_returns_and_lengths_without_idle_steps(vote):
    """Once for each trajectory, in Gymnasium's form, so that loops like CleanRL's find them; infos become lists."""
    envs = DictInfoToList(make(num_envs=3, vote=vote))
    envs.reset(seed=3)
    paid = np.zeros(3)
    for _ in range(12):
        _, rewards, *_, infos = envs.step(towards_targets(envs.unwrapped))
        paid += rewards
    assert [info["episode"]["r"] for info in infos] == paid.tolist()
    assert [info["episode"]["l"] for info in infos] == [info["elapsed_steps"] for info in infos] != [12] * 3
    assert ["final_state" in info for info in infos] == [True] * 3
    *_, infos = envs.step(towards_targets(envs.unwrapped))
    assert not any("episode" in info for info in infos)


@pytest.mark.parametrize(
    ("key", "message"), [("episode", "'episode' but this key already exists"), ("mine", "counted as 'mine'.*wrap=")]
)
def test_a_wrapper_that_would_count_idle_steps_raises(key, message):
    """Gymnasium's own, around the whole group, under whichever key."""
    envs = RecordEpisodeStatistics(make(num_envs=3), stats_key=key)
    envs.reset(seed=3)
    for _ in range(11):
        envs.step(towards_targets(envs.unwrapped))
    with pytest.raises(ValueError, match=message):
        envs.step(towards_targets(envs.unwrapped))


def test_a_wrapper_counts_right_where_no_step_is_idle_before_the_end():
    """Around single trajectories, and in mode "hold", in which each environment ends at its own step."""
    single, held = RecordEpisodeStatistics(make(num_envs=3, group_size=1)), RecordEpisodeStatistics(make(mode="hold"))
    for envs, steps in ((single, 30), (held, 15)):
        envs.reset(seed=3)
        for _ in range(steps):
            *_, infos = envs.step(towards_targets(envs.unwrapped))
    assert set(single.length_queue) <= {0, *range(1, 13)}
    assert single.episode_count > 3
    assert sorted(held.length_queue) == sorted(infos["finish_step"]) != [12] * 6


def test_the_environments_own_statistics_under_another_key_survive_copies():
    """Each environment counts by itself, without idle steps, and the infos that say so are pickled and copied."""
    envs = make(num_envs=2, group_size=2, env=lambda: gym.wrappers.RecordEpisodeStatistics(ReachEnv(), stats_key="own"))
    envs.reset(seed=3)
    for _ in range(12):
        *_, infos = envs.step(np.zeros((2, 7), np.float32))
    for copied in (copy.deepcopy(infos), pickle.loads(pickle.dumps(infos))):
        assert copied["own"]["l"].tolist() == [12, 12]


def test_statistics_of_the_environments_themselves_are_told_at_their_true_end():
    """And not again when the group ends."""
    envs, same = make(num_envs=3, env=lambda: gym.wrappers.RecordEpisodeStatistics(ReachEnv())), make(num_envs=3)
    envs.reset(seed=3)
    same.reset(seed=3)
    told = []
    for _ in range(12):
        *_, infos = envs.step(towards_targets(same))
        told += [(index, infos["episode"]["l"][index]) for index in np.flatnonzero(infos.get("_episode", ()))]
    assert sorted(told) == [(index, length) for index, length in enumerate(infos["elapsed_steps"].tolist())]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_fault_that_an_environment_tells_of_costs_its_group(num_workers):
    """It casts no vote and starts again at its prompt; the other group goes on."""
    envs = make(4, 2, LosingEnv, vote=VoteConfig(2, 2), num_workers=num_workers)
    actions = np.zeros((4, 7), np.float32)
    with closing(envs):
        _, started = envs.reset(seed=0)
        actions[3] = LosingEnv.LOSES
        _, rewards, _, truncated, infos = envs.step(actions)
        assert infos["valid"].tolist() == infos["active"].tolist() == [True, True, False, False]
        assert truncated.tolist() == [False, False, True, True]
        assert not {"vote", "_valid"} & infos.keys()
        assert infos["_episode"].tolist() == truncated.tolist()
        assert not rewards.any()
        *_, infos = envs.step(np.zeros((4, 7), np.float32))
    assert infos["valid"].all()
    assert infos["group_id"].tolist() == [0, 0, 2, 2]
    assert infos["init_state_id"].tolist() == started["init_state_id"].tolist()
