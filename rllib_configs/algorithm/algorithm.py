"""VLAPPO: PPO and GRPO over whole groups of trajectories."""

from __future__ import annotations

import copy
from typing import Any

from ray.rllib.algorithms.ppo import PPO
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from policies.interface import Policy
from rllib_configs.algorithm.callbacks import ROLLOUT, TTRL
from rllib_configs.algorithm.config import VLAPPOConfig


class VLAPPO(PPO):
    """Samples at least ``groups_per_iteration`` whole groups, then updates on the trajectories that carry signal."""

    @classmethod
    def get_default_config(cls) -> VLAPPOConfig:
        """The default configuration."""
        return VLAPPOConfig()

    def policy_copy(self) -> Policy:
        """A copy of the policy as it is after the last update, in evaluation mode."""
        return copy.deepcopy(self.get_module().policy).eval()

    def training_step(self) -> None:
        """Sample groups, update the learners, send the weights back to the runners."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER), reduce="mean", window=1):
            episodes = self._sample_groups()
        # Groups whose members all did equally well, or of which a fault cut a trajectory short, teach nothing.
        if episodes:
            with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER), reduce="mean", window=1):
                self._update(episodes)
            with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER), reduce="mean", window=1):
                self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)
        for part in (TTRL, ROLLOUT):
            for key, value in self.metrics.peek((ENV_RUNNER_RESULTS, part), default={}).items():
                self.metrics.log_value((part, key), value, window=1)

    def _sample_groups(self) -> list[Any]:
        config: VLAPPOConfig = self.config
        runners = max(1, self.env_runner_group.num_healthy_remote_workers())
        groups_per_round = runners * config.num_envs_per_env_runner // config.group_size
        episodes = []
        for _ in range(-(-config.groups_per_iteration // groups_per_round)):
            sampled, results = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                sample_timeout_s=config.sample_timeout_s,
                _uses_new_env_runners=True,
                _return_metrics=True,
            )
            if not results:
                raise RuntimeError("No environment runner returned trajectories; the log above has their errors.")
            self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
            episodes += sampled
        return episodes

    def _update(self, episodes: list[Any]) -> None:
        steps = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        results = self.learner_group.update(
            episodes=episodes,
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: steps},
            num_epochs=self.config.num_epochs,
            minibatch_size=self.config.minibatch_size,
            shuffle_batch_per_epoch=self.config.shuffle_batch_per_epoch,
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
