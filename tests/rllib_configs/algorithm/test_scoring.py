"""From the trajectories of a group to their rewards."""

import numpy as np
import pytest

from rllib_configs.algorithm.scoring import TRAJECTORY_REWARDS, by_group, is_valid, outcome_of
from tests.rllib_configs.setups import reach_runner
from vla_envs.rewards import efficiency_reward

SUCCESS, STEPS, MAX_STEPS = np.array([True, True, False]), np.array([100, 500, 100]), np.array([500, 500, 500])


@pytest.fixture(scope="module")
def episodes():
    """Two groups of four."""
    return reach_runner(num_envs=8, group_size=4, adv_estimator="gae").sample()


def test_groups_are_whole_and_in_order(episodes):
    """Even when the episodes arrive mixed."""
    mixed = [episodes[index] for index in (4, 0, 5, 1, 6, 2, 7, 3)]
    assert by_group(mixed) == [episodes[4:], episodes[:4]]


def test_the_outcome_is_what_the_environment_said_last(episodes):
    """Success, executed control steps and the task's limit."""
    outcome = outcome_of(episodes)
    infos = [episode.get_infos(-1) for episode in episodes]
    assert outcome.success.tolist() == [episode.is_terminated for episode in episodes]
    assert outcome.steps.tolist() == [info["elapsed_steps"] for info in infos]
    assert outcome.max_steps.tolist() == [12] * 8


def test_a_trajectory_is_valid_unless_a_fault_ended_it(episodes):
    """As its last info says."""
    assert all(map(is_valid, episodes))


def test_efficiency_is_the_packages_own_formula():
    """Fast successes before slow ones before failures."""
    rewards = TRAJECTORY_REWARDS["efficiency"](SUCCESS, STEPS, MAX_STEPS)
    np.testing.assert_array_equal(rewards, efficiency_reward(SUCCESS, STEPS, MAX_STEPS))
    assert rewards.round(4).tolist() == [0.8333, 0.5, 0.0]


def test_success_is_one_or_zero():
    """Whatever it took."""
    assert TRAJECTORY_REWARDS["success"](SUCCESS, STEPS, MAX_STEPS).tolist() == [1.0, 1.0, 0.0]
