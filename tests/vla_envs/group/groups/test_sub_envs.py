"""Environments in this process."""

import numpy as np
import pytest

from tests.reach_env import ReachEnv
from tests.vla_envs.group.faulty_env import LosingEnv
from vla_envs.errors import UnknownTaskError
from vla_envs.group.groups import LocalSubEnvs
from vla_envs.group.starts import Start


@pytest.fixture
def sub_envs():
    return LocalSubEnvs([ReachEnv] * 3)


def test_a_reset_starts_at_the_seed_and_the_options(sub_envs):
    """As the environment itself would."""
    start = Start(5, {"task_id": 1})
    observation, info = ReachEnv().reset(seed=5, options={"task_id": 1})
    time_step = sub_envs.reset({2: start})[2]
    assert time_step.info == info
    np.testing.assert_array_equal(time_step.observation["image"], observation["image"])
    assert (time_step.reward, time_step.terminated, time_step.truncated, time_step.valid) == (0.0, False, False, True)


def test_only_the_named_environments_are_stepped(sub_envs):
    """The others cost nothing."""
    sub_envs.reset(dict.fromkeys(range(3), Start(0, {})))
    time_steps = sub_envs.step({1: np.ones(7, np.float32)})
    assert set(time_steps) == {1}
    assert [env.steps_simulated for env in sub_envs.envs] == [0, 1, 0]


def test_only_the_named_environments_are_drawn(sub_envs):
    """By their indices."""
    sub_envs.reset({0: Start(0, {})})
    assert sub_envs.render([0])[0].shape == (16, 16, 3)


def test_callers_errors_pass(sub_envs):
    """As they are."""
    with pytest.raises(UnknownTaskError):
        sub_envs.reset({0: Start(0, {"task_id": 9})})


def test_the_spec_is_that_of_an_environment(sub_envs):
    """Spaces, metadata, render mode, prompts and the shape of an action."""
    env = ReachEnv()
    spaces = (env.observation_space, env.action_space)
    assert sub_envs.spec == (*spaces, env.metadata, env.render_mode, env.prompts(), env.action_space.shape)


def test_an_environment_says_that_a_fault_ended_its_trajectory():
    """Its info does; without a word a trajectory is valid."""
    sub_envs = LocalSubEnvs([LosingEnv] * 2)
    sub_envs.reset(dict.fromkeys(range(2), Start(0, {})))
    time_steps = sub_envs.step({0: np.zeros(7, np.float32), 1: LosingEnv.LOSES})
    assert [time_steps[index].valid for index in range(2)] == [True, False]
    assert [time_steps[index].truncated for index in range(2)] == [False, True]
