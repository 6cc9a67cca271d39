"""Every wrapper around ``VLA-RoboTwin-v0``, on the fake checkout."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest

from tests.vla_envs.wrappers.stacks import WRAPPERS, run_episode
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import ActionChunk, DiscretizeActions, PerturbObservations, RecordTrajectory, ShapedReward
from vla_envs.wrappers.record.replay import replay

LIMITED = {
    "DiscretizeActions": "`q01` and `q99`",
    "FollowExpert": "scripted expert answers in any state",
    "HindsightRelabel": "scene_tasks",
    "ShapedReward": "action space within",
}
"""Wrappers that need what this robot does not offer -> what they say of it."""


@pytest.fixture
def env(fake_root):
    """Three cameras, short episodes."""
    cameras = ("head", "left_wrist", "right_wrist")
    kwargs = {"root": str(fake_root), "cameras": cameras, "image_size": 32}
    env = gym.make("VLA-RoboTwin-v0", max_episode_steps=5, chunk="spline", **kwargs)
    yield env
    env.close()


@pytest.mark.parametrize("name", sorted(WRAPPERS.keys() - LIMITED))
def test_wrapper(env, name):
    """It runs to the end of an episode, with observations as announced."""
    wrapped = WRAPPERS[name](env)
    *_, truncated, info = run_episode(wrapped)[-1]
    assert truncated
    assert info["elapsed_steps"] == 5
    assert wrapped.observation_space.contains(wrapped.reset(seed=1)[0])


@pytest.mark.parametrize("name", LIMITED)
def test_wrapper_that_needs_more_says_what(env, name):
    with pytest.raises(InvalidArgumentError, match=LIMITED[name]):
        WRAPPERS[name](env).reset(seed=0)


def test_tokens_with_statistics(env):
    """Joint targets become tokens by the bounds of a data set."""
    space = env.action_space
    wrapped = DiscretizeActions(env, q01=space.low, q99=space.high)
    assert run_episode(wrapped)[-1][3]


def test_speed_is_rewarded(env):
    """What does not look at actions shapes rewards of any robot."""
    wrapped = ShapedReward(env, {"reward": 1.0, "steps": 0.1})
    assert run_episode(wrapped)[-1][1] < 0


def test_perturbed_pictures(env):
    """Noise needs nothing of the simulator."""
    wrapped = PerturbObservations(env, noise=True, instruction=True)
    plain, _ = env.reset(options={"init_state_id": 1})
    perturbed, _ = wrapped.reset(seed=0, options={"init_state_id": 1})
    assert not np.array_equal(plain["image"], perturbed["image"])


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_recordings_are_replayed(env, tmp_path, chunk_size):
    """A recorded episode comes out again bit for bit, its splines as splines."""
    recorder = RecordTrajectory(ActionChunk(env, chunk_size), tmp_path / "recorded")
    run_episode(recorder)
    recorder.close()
    assert len(replay(tmp_path / "recorded")) == math.ceil(5 / chunk_size)
