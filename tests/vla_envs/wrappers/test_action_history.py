"""The last actions in the observation."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ReachEnv
from tests.vla_envs.wrappers.stacks import tabletop
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import ActionChunk, ActionHistory
from vla_envs.wrappers.action_history import ACTION_HISTORY


def numbered(count):
    """Actions that can be told apart: their last number is 1/8, 2/8, ..."""
    actions = np.zeros((count, 7), np.float32)
    actions[:, 6] = np.arange(1, count + 1) / 8
    return actions


def numbers(observation):
    """Which of :func:`numbered` are in the history, 0 for none."""
    return (8 * observation[ACTION_HISTORY][:, 6]).tolist()


def test_the_latest_action_is_last_and_the_oldest_is_forgotten():
    """Rows before the first action are 0."""
    env = ActionHistory(tabletop(), 3)
    observation, _ = env.reset(seed=0)
    assert not observation[ACTION_HISTORY].any()
    seen = [numbers(env.step(action)[0]) for action in numbered(4)]
    assert seen == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_a_reset_forgets():
    """The next episode knows nothing of the last one."""
    env = ActionHistory(tabletop(), 2)
    env.reset(seed=0)
    env.step(np.ones(7))
    observation, _ = env.reset(seed=0)
    assert not observation[ACTION_HISTORY].any()


def test_what_ran_is_remembered():
    """The environment clips, and so does the history."""
    env = ActionHistory(ReachEnv(), 1)
    env.reset(seed=0)
    observation, *_ = env.step(np.array([3.0, -2.0, 0.5, 0, 0, 0, 0]))
    assert observation[ACTION_HISTORY][0, :3].tolist() == [1.0, -1.0, 0.5]
    assert env.observation_space.contains(observation)


def test_inside_and_outside_of_chunks_the_history_is_the_same():
    """That of control steps, also where the episode ends inside a chunk."""
    envs = ActionHistory(ActionChunk(tabletop(), 3), 4), ActionChunk(ActionHistory(tabletop(), 4), 3)
    for env in envs:
        env.reset(seed=0)
    for chunk in numbered(6).reshape(2, 3, 7):
        outside, inside = (env.step(chunk)[0] for env in envs)
        np.testing.assert_array_equal(outside[ACTION_HISTORY], inside[ACTION_HISTORY])
    assert numbers(outside) == [2, 3, 4, 5]


def test_observations_are_copies():
    """Writing into one changes no later one."""
    env = ActionHistory(tabletop(), 2)
    observation, _ = env.reset(seed=0)
    observation[ACTION_HISTORY][:] = 7
    observation, *_ = env.step(numbered(1)[0])
    assert numbers(observation) == [0, 1]


def test_no_action_yet_lies_in_the_space_of_any_bounds():
    """0 is a value of the history even where it is no action."""
    env = gym.wrappers.RescaleAction(ReachEnv(), np.float32(2.0), np.float32(3.0))
    env = ActionHistory(env, 2)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)


@pytest.mark.parametrize(
    ("env_id", "length", "message"),
    [
        ("Pendulum-v1", 2, "Expect the observation space to be a Dict"),
        ("tests.reach_env:VLA-Reach-v0", 0, "`length` to be an integer from 1 to 1000, actually: 0"),
    ],
)
def test_bad_constructions_are_refused(env_id, length, message):
    """No dictionary to add to, or no actions to add."""
    with pytest.raises(InvalidArgumentError, match=message):
        ActionHistory(gym.make(env_id), length)
