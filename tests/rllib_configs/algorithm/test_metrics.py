"""What an iteration reports of its groups."""

import re
from pathlib import Path

import numpy as np
import pytest
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rllib_configs.algorithm.metrics import (
    MEMORY,
    ROLLOUT,
    THROUGHPUT,
    TRAJECTORIES,
    observed_bytes,
    peak_memory,
    sampling_metrics,
)
from rllib_configs.algorithm.sampled_group import SampledGroup
from vla_envs.group import GroupStart


def episode(length):
    """Finished, of images and of a state beside them."""
    observation = {"image": np.zeros((4, 4, 3), np.uint8), "state": np.ones(1, np.float32)}
    return SingleAgentEpisode(
        observations=[observation] * (length + 1),
        actions=[0] * length,
        rewards=[0.0] * length,
        terminated=True,
        len_lookback_buffer=0,
    ).to_numpy()


def group(group_id=0, trained=(), **fields):
    numbers = {"sampled": 4, "invalid": 0, "timesteps": 10, "control_steps": 20, **fields}
    return SampledGroup(GroupStart(group_id, seed=0), episodes=[episode(length) for length in trained], **numbers)


GROUPS = [
    group(0, trained=(2, 3), informative=True, metrics={"success_rate": 0.5, "steps": 4.0, "steps_per_success": 2.0}),
    group(1, metrics={"success_rate": 0.0, "steps": 6.0}),
    group(2, invalid=1, timesteps=7, control_steps=13),
]
"""One that is trained, one that says nothing and one that a fault has cut short."""


def test_means_are_over_the_groups_that_have_the_number():
    """A group with a fault has none, and one without a success no steps of it."""
    assert sampling_metrics(GROUPS, {}, 1.0)[TRAJECTORIES] == {
        "success_rate": 0.25,
        "steps": 5.0,
        "steps_per_success": 2.0,
    }


def test_means_have_the_names_that_others_read():
    """Success, reward and control steps of a trajectory; a number that nothing was measured of is left out."""
    rollout = sampling_metrics(GROUPS, {}, 1.0)[ROLLOUT]
    assert (rollout["success_rate"], rollout["mean_length"]) == (0.25, 5.0)
    assert "mean_reward" not in rollout
    assert sampling_metrics([group(metrics={"reward": 0.75})], {}, 1.0)[ROLLOUT]["mean_reward"] == 0.75


def test_every_trajectory_is_accounted_for():
    """Trained, untrained or invalid."""
    counts = sampling_metrics(GROUPS, {}, 1.0)[ROLLOUT]
    assert counts["trajectories"] == 12
    assert counts["trained_trajectories"] == 2
    assert counts["invalid_trajectories"] == 1
    assert counts["untrained_trajectories"] == 9


def test_groups_are_counted_by_what_became_of_them():
    """A faulty group is not counted as an uninformative one too."""
    counts = sampling_metrics(GROUPS, {"lost_groups": 3, "retried_groups": 5}, 1.0)[ROLLOUT]
    assert counts["groups"] == 3
    assert counts["faulty_groups"] == 1
    assert counts["uninformative_groups"] == 1
    assert counts["lost_groups"] == 3
    assert counts["retried_groups"] == 5


def test_throughput_counts_all_that_was_sampled():
    """By the seconds of sampling, whatever is trained on."""
    throughput = sampling_metrics(GROUPS, {}, 2.0)[THROUGHPUT]
    assert throughput == {"trajectories_per_s": 6.0, "timesteps_per_s": 13.5, "control_steps_per_s": 26.5}


def test_bytes_are_those_of_the_observations_that_travel():
    """Each trajectory has one more than it has timesteps."""
    assert observed_bytes(GROUPS[0].episodes) == (3 + 4) * (4 * 4 * 3 + 4)
    assert sampling_metrics(GROUPS, {}, 1.0)[MEMORY]["observations"] == observed_bytes(GROUPS[0].episodes)


def test_without_a_group_there_is_nothing_to_average():
    """Where all of them were lost."""
    metrics = sampling_metrics([], {"lost_groups": 2}, 1.0)
    assert metrics[TRAJECTORIES] == {}
    assert metrics[ROLLOUT]["trajectories"] == 0
    assert metrics[ROLLOUT]["lost_groups"] == 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_the_peak_of_memory_is_in_bytes():
    """About the high-water mark that the kernel shows; the process that started this one may have had more."""
    kibibytes = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1))
    assert 0.9 < peak_memory() / (1024 * kibibytes) < 100
