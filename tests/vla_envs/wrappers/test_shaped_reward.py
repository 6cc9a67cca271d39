"""Rewards of several objectives."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ReachEnv
from tests.vla_envs.wrappers.stacks import tabletop
from vla_envs.errors import InvalidArgumentError
from vla_envs.rewards import efficiency_reward, energy_penalty, smoothness_penalty
from vla_envs.tabletop import Expert
from vla_envs.wrappers import ActionChunk, EfficiencyReward, NoisySuccess, ShapedReward
from vla_envs.wrappers.shaped_reward import OBJECTIVES, REWARD_TERMS

WEIGHTS = {"reward": 1.0, "efficiency": 0.5, "steps": 0.25, "energy": 0.125, "smoothness": 2.0}


def solve(env):
    """The results of an expert's steps, and its actions."""
    env.reset(options={"task_id": 0, "init_state_id": 3})
    expert, results, actions = Expert(env), [], []
    while not (results and results[-1][2]):
        actions.append(expert.action())
        results.append(env.step(actions[-1]))
    return results, np.array(actions)


def test_every_objective_is_a_term_of_the_last_step():
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


def test_no_other_step_is_rewarded():
    """Nor has it terms."""
    results, _ = solve(ShapedReward(tabletop(max_episode_steps=None), WEIGHTS))
    assert not any(reward for _, reward, *_ in results[:-1])
    assert not any(REWARD_TERMS in info for *_, info in results[:-1])


def test_only_what_is_weighted_is_a_term():
    """An objective that nobody asked for is not there with a weight of 0."""
    results, _ = solve(ShapedReward(tabletop(max_episode_steps=None), {"reward": 2.0}))
    assert results[-1][1] == 2.0
    assert results[-1][4][REWARD_TERMS] == {"reward": 2.0}


def test_each_trajectory_is_scored_by_itself():
    """A reset begins a new one."""
    env = ShapedReward(ReachEnv(max_episode_steps=1), {"reward": 1.0, "energy": 1.0})
    env.reset(seed=0)
    _, first, *_ = env.step(np.ones(7))
    env.reset(seed=0)
    _, second, *_ = env.step(np.zeros(7))
    assert (first, second) == (-1.0, 0.0)


def test_what_did_not_run_costs_nothing():
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


def test_the_gripper_is_left_out_unless_told_otherwise():
    """Holding it shut costs nothing."""
    grip = np.array([0, 0, 0, 0, 0, 0, 1.0])
    for dims, expected in ((None, 0.0), ([6], -1.0), (range(7), -1 / 7)):
        env = ShapedReward(ReachEnv(max_episode_steps=1), {"energy": 1.0}, dims)
        env.reset(seed=0)
        assert env.step(grip)[1] == pytest.approx(expected)


def test_inner_rewards_are_summed():
    """A verdict, an efficiency: what the wrapped environment pays is the objective ``reward``."""
    env = ShapedReward(EfficiencyReward(NoisySuccess(ReachEnv(), 1.0)), {"reward": 1.0, "efficiency": 1.0})
    env.reset(seed=0)
    rewards = [env.step(np.zeros(7))[1] for _ in range(12)]
    assert rewards == [0.0] * 11 + [1.0]


def test_the_step_limit_of_gymnasium_counts():
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
        (({"reward": np.inf},), "finite `weights`"),
        (({"energy": 1.0}, []), "`dims` to be of 0 to 6, at least one"),
        (({"energy": 1.0}, [7]), "`dims` to be of 0 to 6, at least one"),
    ],
)
def test_bad_constructions_are_refused(arguments, message):
    """An objective that does not exist, none, an infinite one, numbers that the action lacks."""
    with pytest.raises(InvalidArgumentError, match=message):
        ShapedReward(ReachEnv(), *arguments)


def test_effort_needs_a_common_scale():
    """Actions in other units cannot be squared and added."""
    with pytest.raises(InvalidArgumentError, match=r"within \[-1, 1\] to weigh 'energy' or 'smoothness'"):
        ShapedReward(gym.make("Pendulum-v1"), {"energy": 1.0})
