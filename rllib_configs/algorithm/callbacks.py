"""Scores groups where they are still whole: in the runner that sampled them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rllib_configs.algorithm.scoring import TRAJECTORY_REWARDS, by_group, is_valid, outcome_of
from vla_envs.group import ESTIMATORS, group_advantages

GROUP_ADVANTAGE = "group_advantage"
"""Column: float32 (B,), the trajectory's advantage over its group, the same at each of its steps."""

TTRL = "ttrl"
"""Key of the metrics of valid groups, in the runners' results and at the top of an iteration's result."""
ROLLOUT = "rollout"
"""Key of what sampling itself reports, in the same places: ``invalid_trajectories``, the number of the iteration."""


class GroupCallback(RLlibCallback):
    """Rewards trajectories, compares them within their groups, and sends on those that carry signal."""

    def on_sample_end(
        self, *, env_runner: Any, metrics_logger: Any, samples: list[SingleAgentEpisode], **kwargs: Any
    ) -> None:
        """Replace ``samples`` in place by scored copies; runner metrics still read the originals.

        A group with an invalid trajectory is left out whole: the others would be compared with too few siblings.
        """
        config = env_runner.config
        kept: list[SingleAgentEpisode] = []
        invalid = sum(not is_valid(episode) for episode in samples)
        metrics_logger.log_value((ROLLOUT, "invalid_trajectories"), invalid, reduce="sum")
        for episodes in filter(_is_whole, by_group(samples)):
            outcome = outcome_of(episodes)
            rewards = TRAJECTORY_REWARDS[config.trajectory_reward](*outcome)
            for key, value in _group_metrics(outcome.success, outcome.steps, rewards).items():
                metrics_logger.log_value((TTRL, key), value, reduce="mean", window=config.groups_per_iteration)
            grouped = config.adv_estimator in ESTIMATORS
            advantages = group_advantages(rewards, config.adv_estimator) if grouped else np.zeros(len(rewards))
            # Without an entropy bonus a trajectory of zero advantage has no gradient: its images need not travel.
            droppable = (advantages == 0.0) & (grouped and config.entropy_coeff == 0.0)
            kept += [_scored(episodes[i], rewards[i], advantages[i]) for i in np.flatnonzero(~droppable)]
        samples[:] = kept


def _is_whole(episodes: list[SingleAgentEpisode]) -> bool:
    return all(map(is_valid, episodes))


def _group_metrics(success: np.ndarray, steps: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
    return {
        "success_rate": float(success.mean()),
        "pass_at_n": float(success.any()),
        "reward": float(rewards.mean()),
        "frac_zero_std_groups": float(np.ptp(rewards) == 0.0),
        "steps": float(steps.mean()),
    }


def _scored(episode: SingleAgentEpisode, reward: float, advantage: float) -> SingleAgentEpisode:
    scored = copy.copy(episode)
    rewards = np.zeros(len(episode), np.float32)
    rewards[-1] = reward
    advantages = np.full(len(episode), advantage, np.float32)
    scored.rewards = InfiniteLookbackBuffer(data=rewards, lookback=0)
    scored.extra_model_outputs = {
        **episode.extra_model_outputs,
        GROUP_ADVANTAGE: InfiniteLookbackBuffer(data=advantages, lookback=0),
    }
    return scored
