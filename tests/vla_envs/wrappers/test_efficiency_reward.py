"""Efficiency rewards."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ReachEnv
from vla_envs.rewards import efficiency_reward
from vla_envs.wrappers import EfficiencyReward


def test_the_last_step_is_rewarded_and_the_truth_stays():
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


def test_the_step_limit_of_gymnasium_counts():
    """``gymnasium.make(max_episode_steps=...)`` is the limit that a success is measured against."""
    env = EfficiencyReward(gym.wrappers.TimeLimit(gym.make("tests.reach_env:VLA-Reach-v0"), 6))
    env.reset(options={"task_id": 1, "init_state_id": 5})
    terminated, steps, reward = False, 0, 0.0
    while not terminated:
        action = np.zeros(7, np.float32)
        action[:2] = np.clip(4 * (env.unwrapped.targets[1] - env.unwrapped.position), -1, 1)
        _, reward, terminated, _, _ = env.step(action)
        steps += 1
    assert reward == pytest.approx(1 / (1 + steps / 6))


def test_a_failure_is_worth_nothing():
    """At the step limit."""
    env = EfficiencyReward(ReachEnv(max_episode_steps=1))
    env.reset(seed=0)
    _, reward, _, truncated, _ = env.step(np.zeros(7))
    assert truncated
    assert reward == 0.0
