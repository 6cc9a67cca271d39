"""``VLA-Tracking-v0`` is the task of TorchRL's toy recipe: each of its numbers."""

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.tracking.env import ENV_ID, TrackingEnv
from tests.conformance import RobotConformance
from vla_envs.errors import InvalidArgumentError


class TestTrackingConformance(RobotConformance):
    """The contract, as every id of the package keeps it."""

    env_id = ENV_ID

    @classmethod
    def construct(cls, **kwargs):
        return TrackingEnv(**kwargs)

    def test_unknown_render_mode(self):
        """There is nothing to draw."""
        with pytest.raises(InvalidArgumentError, match=r"`render_mode` .*None, actually: 'hologram'"):
            self.construct(render_mode="hologram")


@pytest.fixture
def env():
    """At one of its targets."""
    env = TrackingEnv()
    env.reset(options={"init_state_id": 3})
    return env


def target_of(env):
    """Where to act, as the state says."""
    return env._observe()["state"][2:].astype(np.float64)


def test_actions_are_two_numbers_between_minus_one_and_one(env):
    assert env.action_space == gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def test_the_image_is_noise_of_16_by_16_pixels_new_in_each_observation(env):
    first, *_ = env.step(np.ones(2))
    second, *_ = env.step(np.ones(2))
    assert first["image"].shape == (16, 16, 3)
    assert first["image"].dtype == np.uint8
    # Two of 256 values are equal once in 256 times.
    assert (first["image"] == second["image"]).mean() < 0.05


def test_the_state_is_the_last_action_and_the_target():
    env = TrackingEnv()
    first, _ = env.reset(options={"init_state_id": 3})
    second, *_ = env.step([0.75, -1.0])
    assert first["state"][:2].tolist() == [0.0, 0.0]
    assert second["state"][:2].tolist() == [0.75, -1.0]
    assert second["state"][2:].tolist() == first["state"][2:].tolist()


def test_targets_are_uniform_within_one_half():
    """Their mean and deviation, 1 / sqrt(12), within 4 standard errors."""
    env = TrackingEnv()
    targets = np.array([env.reset(options={"init_state_id": each})[0]["state"][2:] for each in range(2000)])
    assert np.abs(targets).max() <= 0.5
    assert np.abs(targets.mean(0)).max() < 4 * 12**-0.5 * 2000**-0.5
    assert targets.std(0) == pytest.approx([12**-0.5] * 2, rel=0.05)


@pytest.mark.parametrize(("distance", "success"), [(0.349, True), (0.351, False)])
def test_an_action_is_on_the_target_within_035(env, distance, success):
    """In the dimension where it is furthest."""
    action = target_of(env) + np.array([0.1, distance])
    env.step(action)
    *_, terminated, _, info = env.step(action)
    assert terminated == info["success"] == success


def test_success_is_two_actions_in_a_row(env):
    """One on the target, one off, one on: the count begins again."""
    on, off = target_of(env), np.ones(2)
    assert [env.step(action)[2] for action in (on, off, on, on)] == [False, False, False, True]


def test_an_episode_has_24_control_steps(env):
    """6 timesteps of 4 actions."""
    *_, truncated, info = env.step_chunk(np.ones((30, 2)))
    assert truncated
    assert info["elapsed_steps"] == info["max_steps"] == 24


def test_actions_that_stay_at_0_are_on_half_of_the_targets():
    """Where both dimensions are within 0.35: (0.7)^2 = 0.49, so that 0.43 needs no look at the target."""
    env = TrackingEnv()
    solved = []
    for init_state_id in range(2000):
        env.reset(options={"init_state_id": init_state_id})
        solved.append(env.step_chunk(np.zeros((24, 2)))[-1]["success"])
    assert np.mean(solved) == pytest.approx(0.49, abs=4 * 0.5 * 2000**-0.5)


def test_it_has_no_image_without_cameras():
    assert set(TrackingEnv(cameras=()).reset(seed=0)[0]) == {"state", "instruction"}


def test_groups_of_it_start_at_one_target():
    """As every id makes groups."""
    envs = gym.make_vec(ENV_ID, num_envs=8, vectorization_mode="vector_entry_point", group_size=4)
    observations, _ = envs.reset(seed=0)
    targets = observations["state"][:, 2:]
    assert len(np.unique(targets[:4], axis=0)) == len(np.unique(targets[4:], axis=0)) == 1
    assert not np.array_equal(targets[0], targets[4])
