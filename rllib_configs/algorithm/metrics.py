"""What an iteration reports of itself, and how much memory a process has held."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from tree import flatten

from rllib_configs.algorithm.sampled_group import SampledGroup

TRAJECTORIES = "ttrl"
"""Part of a result: what trajectories did, as means over the groups without a fault."""
ROLLOUT = "rollout"
"""Part of a result: what was sampled, as numbers of the iteration. Nothing is left out silently: every trajectory is
``trained``, ``untrained`` (no gradient, or not selected) or ``invalid``, or in a group that was lost."""
AS_ELSEWHERE = {"success_rate": "success_rate", "mean_reward": "reward", "mean_length": "steps"}
"""What other libraries call some means, among the numbers of ``rollout`` -> its name among those of ``ttrl``."""
THROUGHPUT = "throughput"
"""Part of a result: what was sampled a second of sampling."""
MEMORY = "memory"
"""Part of a result, in bytes: the ``observations`` that learners get, and the most that the driver, a runner and a
learner have held: ``driver_peak``, ``runner_peak`` and ``learner_peak``, which is of the GPU where there is one."""

PEAK_MEMORY = "peak_memory"
"""Metric of a runner or learner, in bytes."""


def sampling_metrics(
    groups: Sequence[SampledGroup], faults: Mapping[str, int], seconds: float
) -> dict[str, dict[str, float]]:
    """Part -> name -> number.

    Args:
        groups: all that were sampled for an update.
        faults: what the sampler of the groups counted.
        seconds: that sampling took.
    """
    sampled = {
        "trajectories": sum(group.sampled for group in groups),
        "timesteps": sum(group.timesteps for group in groups),
        "control_steps": sum(group.control_steps for group in groups),
    }
    invalid = sum(group.invalid for group in groups)
    trained = sum(len(group.episodes) for group in groups)
    faulty = sum(group.invalid > 0 for group in groups)
    means = _means([group.metrics for group in groups])
    return {
        TRAJECTORIES: means,
        ROLLOUT: {
            **sampled,
            **{name: means[each] for name, each in AS_ELSEWHERE.items() if each in means},
            "groups": len(groups),
            "faulty_groups": faulty,
            "uninformative_groups": sum(not group.informative for group in groups) - faulty,
            "lost_groups": faults.get("lost_groups", 0),
            "retried_groups": faults.get("retried_groups", 0),
            "invalid_trajectories": invalid,
            "trained_trajectories": trained,
            "untrained_trajectories": sampled["trajectories"] - invalid - trained,
        },
        THROUGHPUT: {f"{name}_per_s": number / seconds for name, number in sampled.items()},
        MEMORY: {"observations": sum(observed_bytes(group.episodes) for group in groups), "driver_peak": peak_memory()},
    }


def _means(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    keys = dict.fromkeys(key for sample in samples for key in sample)
    return {key: float(np.mean([sample[key] for sample in samples if key in sample])) for key in keys}


def observed_bytes(episodes: Iterable[SingleAgentEpisode]) -> int:
    """Bytes of all observations of finished episodes."""
    return sum(np.asarray(each).nbytes for episode in episodes for each in flatten(episode.get_observations()))


def peak_memory(device: torch.device | None = None) -> int:
    """The most bytes that PyTorch has held on a GPU, or else that this process has held."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
