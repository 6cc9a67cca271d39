"""Open-loop action chunks."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import REACH, ReachEnv
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.wrappers import ActionChunk, EfficiencyReward

START = {"task_id": 0, "init_state_id": 3}


def chunk_to_target(env, length):
    """Full steps towards the target, then nothing: the success falls inside the chunk."""
    actions = np.zeros((length, 7), np.float32)
    position = np.zeros(2)
    target = env.unwrapped.targets[0]
    for action in actions:
        action[:2] = np.clip(4 * (target - position), -1, 1)
        position += 0.25 * action[:2]
    return actions


@pytest.mark.parametrize("wrap", [lambda env: env, EfficiencyReward], ids=["direct", "looped"])
def test_success_inside_a_chunk_keeps_its_reward_and_ends_it(wrap):
    """Nothing runs after the success, whether the environment or a loop steps."""
    env = ActionChunk(wrap(ReachEnv()), 10)
    env.reset(options=START)
    _, reward, terminated, truncated, info = env.step(chunk_to_target(env, 10))
    needed = int(np.ceil((np.abs(env.unwrapped.targets[0]).max() - REACH) / 0.25 + 1e-9))
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert info["executed_actions"] == info["elapsed_steps"] == env.unwrapped.steps_simulated == max(needed, 1)
    assert reward > 0.5


def test_truncation_inside_a_chunk():
    """The step limit counts control steps, not chunks."""
    env = ActionChunk(ReachEnv(max_episode_steps=5), 3)
    env.reset(options=START)
    env.step(np.zeros((3, 7)))
    _, reward, terminated, truncated, info = env.step(np.zeros((3, 7)))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["executed_actions"] == 2


def test_one_observation_is_made_per_chunk(monkeypatch):
    """Nothing is rendered in between."""
    env = ActionChunk(ReachEnv(), 4)
    env.reset(options=START)
    made = []
    observe = ReachEnv._observe
    monkeypatch.setattr(ReachEnv, "_observe", lambda self: made.append(1) or observe(self))
    env.step(np.zeros((4, 7)))
    assert len(made) == 1


def test_an_environment_without_chunks_is_stepped_in_a_loop():
    """Any Box environment can be chunked."""
    env = ActionChunk(gym.make("MountainCarContinuous-v0"), 5)
    env.reset(seed=0)
    *_, info = env.step(np.zeros((5, 1), np.float32))
    assert info["executed_actions"] == 5


def test_the_limit_of_gymnasium_is_kept():
    """``gymnasium.make(max_episode_steps=...)`` wraps a TimeLimit, which a chunk must not step around."""
    env = ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0, image_size=16, max_episode_steps=6), 4)
    env.reset(seed=0)
    assert env.step(np.zeros((4, 7)))[3] is False
    *_, truncated, info = env.step(np.zeros((4, 7)))
    assert truncated
    assert info["executed_actions"] == 2


def test_it_can_be_rebuilt_from_its_spec():
    """The constructor arguments are recorded."""
    env = ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0, image_size=16), 4)
    assert gym.make(env.spec).action_space == env.action_space


@pytest.mark.parametrize("shape", [(7,), (3, 7), (4, 6)])
def test_a_chunk_of_another_shape_is_refused(shape):
    """The error names both shapes."""
    env = ActionChunk(ReachEnv(), 4)
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"\(4, 7\)"):
        env.step(np.zeros(shape))


def test_bad_constructions_are_refused():
    """No actions in a chunk, or actions that are not vectors."""
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        ActionChunk(ReachEnv(), 0)
    with pytest.raises(InvalidArgumentError, match="Discrete"):
        ActionChunk(gym.make("CartPole-v1"), 2)
