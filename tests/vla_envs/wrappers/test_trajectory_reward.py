"""Rewards of whole trajectories."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ENV_ID, ReachEnv
from tests.vla_envs.wrappers.stacks import run_episode, tabletop
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import GroupVectorEnv
from vla_envs.rewards import efficiency_reward, energy_penalty, smoothness_penalty
from vla_envs.tabletop import Expert
from vla_envs.wrappers import ActionChunk, EfficiencyReward, NoisySuccess, ShapedReward
from vla_envs.wrappers.trajectory_reward import OBJECTIVES, REWARD_TERMS, VERDICT, step_limit

WEIGHTS = {"reward": 1.0, "efficiency": 0.5, "steps": 0.25, "energy": 0.125, "smoothness": 2.0}


def last_step(env, solve, seed=None):
    """The last step's results of an episode that reaches its target, or stands still."""
    env.reset(seed=seed, options={"task_id": 0, "init_state_id": 3})
    terminated = truncated = False
    while not (terminated or truncated):
        action = np.zeros(7, np.float32)
        action[:2] = solve * np.clip(4 * (env.unwrapped.targets[0] - env.unwrapped.position), -1, 1)
        _, reward, terminated, truncated, info = env.step(action)
    return reward, terminated, truncated, info


def solve(env):
    """The results of an expert's steps, and its actions."""
    env.reset(options={"task_id": 0, "init_state_id": 3})
    expert, results, actions = Expert(env), [], []
    while not (results and results[-1][2]):
        actions.append(expert.action())
        results.append(env.step(actions[-1]))
    return results, np.array(actions)


class TestNoisySuccess:
    """Verdicts of a verifier that errs."""

    @pytest.mark.parametrize("solve", [True, False])
    @pytest.mark.parametrize("p", [0.0, 1.0])
    def test_the_verdict_is_rewarded_and_the_truth_is_told(self, solve, p):
        """Success, task reward and the flags are the environment's."""
        reward, terminated, truncated, info = last_step(NoisySuccess(ReachEnv(), p), solve)
        verdict = solve != (p == 1.0)
        assert (reward, info[VERDICT]) == (float(verdict), verdict)
        assert (info["success"], info["task_reward"]) == (solve, float(solve))
        assert (terminated, truncated) == (solve, not solve)

    def test_only_finished_trajectories_are_judged(self):
        """Before the end there is no verdict and no reward."""
        *before, last = run_episode(NoisySuccess(tabletop(), 1.0))
        for _, reward, _, _, info in before:
            assert reward == 0.0
            assert not info[VERDICT]
        assert last[4][VERDICT]

    def test_it_errs_as_often_as_it_is_told(self):
        """Verdicts on 400 failures with p = 0.25: within four standard deviations of 100."""
        env = NoisySuccess(ReachEnv(max_episode_steps=1), 0.25)
        verdicts = [last_step(env, solve=False, seed=0 if first else None)[0] for first in [True] + [False] * 399]
        assert abs(sum(verdicts) - 100) < 4 * np.sqrt(400 * 0.25 * 0.75)

    def test_the_seed_decides_the_errors_of_all_later_episodes(self):
        """Two runs err alike, whatever was drawn before."""
        env = NoisySuccess(ReachEnv(max_episode_steps=1), 0.5)
        runs = [
            [last_step(env, solve=False, seed=7 if episode == 0 else None)[0] for episode in range(20)] for _ in "ab"
        ]
        assert runs[0] == runs[1]
        assert 0 < sum(runs[0]) < 20

    def test_members_of_a_group_are_judged_independently(self):
        """Though they share their seed: their actions differ. Otherwise a vote would see no noise, or nothing else."""
        envs = GroupVectorEnv([lambda: NoisySuccess(ReachEnv(max_episode_steps=1), 0.5)] * 64, group_size=64)
        envs.reset(seed=0)
        actions = np.zeros((64, 7), np.float32)
        actions[:, 6] = np.linspace(-1, 1, 64)
        _, rewards, *_ = envs.step(actions)
        assert 16 < rewards.sum() < 48

    def test_the_same_trajectory_is_judged_alike(self):
        """In another instance too."""
        verdicts = [
            last_step(NoisySuccess(ReachEnv(), 0.5), solve=True, seed=seed)[0] for seed in [*range(10), *range(10)]
        ]
        assert verdicts[:10] == verdicts[10:]
        assert 0 < sum(verdicts[:10]) < 10

    def test_the_environment_draws_the_same_prompts(self):
        """Its own generator is left alone."""
        env, plain = NoisySuccess(ReachEnv(), 0.5), ReachEnv()
        prompts = [
            [each.reset(seed=3 if first else None)[1]["init_state_id"] for first in (1, 0, 0)] for each in (env, plain)
        ]
        assert prompts[0] == prompts[1]

    def test_efficiency_scores_the_verdict(self):
        """A wrong verdict is worth what a success of this length would be."""
        reward, *_, info = last_step(EfficiencyReward(NoisySuccess(ReachEnv(), 1.0)), solve=False)
        assert reward == pytest.approx(float(efficiency_reward(True, 12, 12)))
        assert not info["success"]

    def test_a_chunk_keeps_the_verdict(self):
        """In either order."""
        for env in (ActionChunk(NoisySuccess(ReachEnv(), 1.0), 5), NoisySuccess(ActionChunk(ReachEnv(), 5), 1.0)):
            env.reset(seed=0)
            rewards = [env.step(np.zeros((5, 7)))[1] for _ in range(3)]
            assert rewards == [0.0, 0.0, 1.0]

    @pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), True, "0.5"])
    def test_what_is_no_probability_is_refused(self, p):
        """0 to 1."""
        with pytest.raises(InvalidArgumentError, match="`p` to be a number from 0 to 1"):
            NoisySuccess(gym.make("tests.reach_env:VLA-Reach-v0"), p)


class TestEfficiencyReward:
    """A fast success is worth more than a slow one."""

    def test_the_last_step_is_rewarded_and_the_truth_stays(self):
        """Success and task reward are never changed by a wrapper."""
        env = EfficiencyReward(ReachEnv())
        env.reset(options={"task_id": 1, "init_state_id": 5})
        terminated, rewards = False, []
        while not terminated:
            raw = env.unwrapped
            action = np.zeros(7)
            action[:2] = np.clip(4 * (raw.targets[1] - raw.position), -1, 1)
            _, reward, terminated, _, info = env.step(action)
            rewards.append(reward)
        assert not any(rewards[:-1])
        assert rewards[-1] == pytest.approx(float(efficiency_reward(True, len(rewards), 12)))
        assert (info["success"], info["task_reward"]) == (True, 1.0)

    @pytest.mark.parametrize(
        "make", [lambda: gym.make(ENV_ID, max_episode_steps=6), lambda: gym.wrappers.TimeLimit(gym.make(ENV_ID), 6)]
    )
    def test_the_step_limit_of_gymnasium_counts(self, make):
        """Given to ``gymnasium.make`` or put around it, it is the limit that a success is measured against."""
        env = EfficiencyReward(make())
        env.reset(options={"task_id": 1, "init_state_id": 5})
        terminated, steps, reward = False, 0, 0.0
        while not terminated:
            action = np.zeros(7, np.float32)
            action[:2] = np.clip(4 * (env.unwrapped.targets[1] - env.unwrapped.position), -1, 1)
            _, reward, terminated, _, _ = env.step(action)
            steps += 1
        assert reward == pytest.approx(1 / (1 + steps / 6))

    def test_a_failure_is_worth_nothing(self):
        """At the step limit."""
        env = EfficiencyReward(ReachEnv(max_episode_steps=1))
        env.reset(seed=0)
        _, reward, _, truncated, _ = env.step(np.zeros(7))
        assert truncated
        assert reward == 0.0

    def test_an_episode_that_a_limit_around_chunks_ends_is_scored(self):
        env = EfficiencyReward(gym.wrappers.TimeLimit(ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0), 8), 2))
        env.reset(seed=0)
        env.step(np.zeros((8, 7)))
        _, reward, _, truncated, info = env.step(np.zeros((8, 7)))
        assert (reward, truncated, info["elapsed_steps"]) == (0.0, True, 16)


class TestShapedReward:
    """Several objectives at once."""

    def test_every_objective_is_a_term_of_the_last_step(self):
        """As the functions of ``vla_envs.rewards`` have it, times its weight; the truth stays."""
        results, actions = solve(ShapedReward(tabletop(max_episode_steps=None), WEIGHTS))
        info = results[-1][4]
        steps = len(actions)
        assert set(WEIGHTS) == set(OBJECTIVES)
        assert info[REWARD_TERMS] == pytest.approx(
            {
                "reward": 1.0,
                "efficiency": 0.5 * float(efficiency_reward(True, steps, 80)),
                "steps": -0.25 * steps / 80,
                "energy": 0.125 * float(energy_penalty(actions[:, :6])),
                "smoothness": 2.0 * float(smoothness_penalty(actions[:, :6])),
            }
        )
        assert results[-1][1] == pytest.approx(sum(info[REWARD_TERMS].values()))
        assert (info["success"], info["task_reward"]) == (True, 1.0)

    def test_no_other_step_is_rewarded(self):
        """And its terms are 0."""
        results, _ = solve(ShapedReward(tabletop(max_episode_steps=None), WEIGHTS))
        assert not any(reward for _, reward, *_ in results[:-1])
        assert all(info[REWARD_TERMS] == dict.fromkeys(WEIGHTS, 0.0) for *_, info in results[:-1])

    def test_only_what_is_weighted_is_a_term(self):
        """An objective that nobody asked for is not there with a weight of 0."""
        results, _ = solve(ShapedReward(tabletop(max_episode_steps=None), {"reward": 2.0}))
        assert results[-1][1] == 2.0
        assert results[-1][4][REWARD_TERMS] == {"reward": 2.0}

    def test_each_trajectory_is_scored_by_itself(self):
        """A reset begins a new one."""
        env = ShapedReward(ReachEnv(max_episode_steps=1), {"reward": 1.0, "energy": 1.0})
        env.reset(seed=0)
        _, first, *_ = env.step(np.ones(7))
        env.reset(seed=0)
        _, second, *_ = env.step(np.zeros(7))
        assert (first, second) == (-1.0, 0.0)

    def test_what_did_not_run_costs_nothing(self):
        """A chunk that the step limit cuts counts as far as it ran, in either order."""
        chunk = np.zeros((4, 7))
        chunk[:2] = 0.5
        chunk[2:] = 1.0
        for wrap in (
            lambda env: ShapedReward(ActionChunk(env, 4), {"energy": 1.0}),
            lambda env: ActionChunk(ShapedReward(env, {"energy": 1.0}), 4),
        ):
            env = wrap(tabletop(max_episode_steps=2))
            env.reset(seed=0)
            _, reward, _, truncated, info = env.step(chunk)
            assert truncated
            assert reward == info[REWARD_TERMS]["energy"] == -0.25

    def test_the_gripper_is_left_out_unless_told_otherwise(self):
        """Holding it shut costs nothing."""
        grip = np.array([0, 0, 0, 0, 0, 0, 1.0])
        for dims, expected in ((None, 0.0), ([6], -1.0), (range(7), -1 / 7)):
            env = ShapedReward(ReachEnv(max_episode_steps=1), {"energy": 1.0}, dims)
            env.reset(seed=0)
            assert env.step(grip)[1] == pytest.approx(expected)

    def test_inner_rewards_are_summed(self):
        """A verdict, an efficiency: what the wrapped environment pays is the objective ``reward``."""
        env = ShapedReward(EfficiencyReward(NoisySuccess(ReachEnv(), 1.0)), {"reward": 1.0, "efficiency": 1.0})
        env.reset(seed=0)
        rewards = [env.step(np.zeros(7))[1] for _ in range(12)]
        assert rewards == [0.0] * 11 + [1.0]

    def test_the_step_limit_of_gymnasium_counts(self):
        """``gymnasium.make(max_episode_steps=...)`` is what steps are measured against."""
        env = ShapedReward(gym.wrappers.TimeLimit(gym.make("tests.reach_env:VLA-Reach-v0"), 4), {"steps": 1.0})
        env.reset(seed=0)
        rewards = [env.step(np.zeros(7, np.float32))[1] for _ in range(4)]
        assert rewards[-1] == -1.0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (({"speed": 1.0},), "`weights` to be one of 'reward', .*actually: 'speed'"),
            (({},), "one weight for each|objectives"),
            (({"reward": np.inf},), "to be a finite number, actually: inf"),
            (({"energy": 1.0}, []), "`dims` to name at least one number"),
            (({"energy": 1.0}, [7]), "`dims` to be an integer from 0 to 6, actually: 7"),
        ],
    )
    def test_bad_constructions_are_refused(self, arguments, message):
        """An objective that does not exist, none, an infinite one, numbers that the action lacks."""
        with pytest.raises(InvalidArgumentError, match=message):
            ShapedReward(ReachEnv(), *arguments)

    def test_effort_needs_a_common_scale(self):
        """Actions in other units cannot be squared and added."""
        with pytest.raises(InvalidArgumentError, match=r"within \[-1, 1\] to weigh 'energy' or 'smoothness'"):
            ShapedReward(gym.make("Pendulum-v1"), {"energy": 1.0})


class TestOrder:
    """No wrapper takes the place of what an inner one rewards."""

    @pytest.mark.parametrize(
        ("outer", "inner", "instead"),
        [
            (lambda env: NoisySuccess(env, 0.1), lambda env: NoisySuccess(env, 0.1), "put it inside, once"),
            (lambda env: NoisySuccess(env, 0.1), EfficiencyReward, "put it inside, once"),
            (lambda env: NoisySuccess(env, 0.1), lambda env: ShapedReward(env, WEIGHTS), "put it inside, once"),
            (EfficiencyReward, lambda env: ShapedReward(env, WEIGHTS), "weigh 'efficiency' in the inner one"),
            (lambda env: ShapedReward(env, {"steps": 1.0}), EfficiencyReward, "weigh 'reward'"),
            (lambda env: ShapedReward(env, {"steps": 1.0}), lambda env: ShapedReward(env, WEIGHTS), "weigh 'reward'"),
        ],
    )
    def test_what_would_be_lost_is_refused(self, outer, inner, instead):
        """Also where the inner wrapper is not the next one; the error says what to do."""
        with pytest.raises(InvalidArgumentError, match=f"not to be outside .* Instead, {instead}"):
            outer(gym.wrappers.RecordEpisodeStatistics(inner(ReachEnv())))

    def test_a_subclass_is_refused_alike(self):
        """On either side, under its own name."""

        class MyVerifier(NoisySuccess):
            pass

        class MyReward(ShapedReward):
            pass

        with pytest.raises(InvalidArgumentError, match="Expect MyVerifier not to be outside MyReward"):
            MyVerifier(MyReward(ReachEnv(), WEIGHTS), 0.1)

    def test_efficiency_of_efficiency_is_the_same(self):
        """Pointless, and right."""
        once, twice = EfficiencyReward(ReachEnv()), EfficiencyReward(EfficiencyReward(ReachEnv()))
        assert last_step(once, solve=True)[0] == last_step(twice, solve=True)[0]


class TestStepLimit:
    """The limit that rewards measure steps against."""

    @pytest.mark.parametrize(("limit", "max_steps"), [(5, 40), (10, 80), (40, 80)])
    def test_a_limit_around_chunks_counts_chunks(self, limit, max_steps):
        """The tabletop's own limit is 80 control steps."""
        env = gym.wrappers.TimeLimit(ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0), 8), limit)
        _, info = env.reset(seed=0)
        assert info["max_steps"] == 80
        assert step_limit(env, info) == max_steps

    def test_a_limit_inside_chunks_counts_control_steps(self):
        env = ActionChunk(gym.wrappers.TimeLimit(gym.make("VLA-Tabletop-v0", task_id=0), 30), 8)
        _, info = env.reset(seed=0)
        assert step_limit(env, info) == 30
