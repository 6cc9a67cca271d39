"""The wrapper by which the scripted expert acts."""

import gymnasium as gym
import numpy as np
import pytest

from tests.vla_envs.wrappers.stacks import tabletop
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import FollowExpert


@pytest.mark.parametrize("action", [0.0, 1.0, -1.0])
def test_the_expert_solves_the_task_whatever_is_asked(action):
    """Step by step as it would alone."""
    env, alone = FollowExpert(tabletop(max_episode_steps=80)), tabletop(max_episode_steps=80)
    env.reset(seed=1)
    alone.reset(seed=1)
    terminated = False
    while not terminated:
        observation, reward, terminated, truncated, _ = env.step(np.full(7, action, np.float32))
        expected, *_ = alone.step(alone.unwrapped.expert().action())
        np.testing.assert_array_equal(observation["state"], expected["state"])
        assert not truncated
    assert reward == 1.0


def test_an_environment_without_an_expert_is_refused():
    """The error names those that have one."""
    with pytest.raises(InvalidArgumentError, match=r"VLA-Tabletop-v0 and VLA-Libero-v0, actually: .*CartPole"):
        FollowExpert(gym.make("CartPole-v1"))
