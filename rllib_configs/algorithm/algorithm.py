"""VLAPPO: PPO and GRPO over whole groups of trajectories."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ray.rllib.algorithms.ppo import PPO
from ray.rllib.core import DEFAULT_MODULE_ID
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
from rllib_configs.algorithm.config import VLAPPOConfig
from rllib_configs.algorithm.kl_controller import KLController
from rllib_configs.algorithm.learner import VLALearner
from rllib_configs.algorithm.measures import MEMORY, TTRL, measure
from rllib_configs.algorithm.memory import PEAK_MEMORY
from rllib_configs.algorithm.sampled_group import IN_LOSS, SampledGroup
from rllib_configs.algorithm.sampling import GroupDealer
from rllib_configs.algorithm.starts import Starts
from rllib_configs.algorithm.training_data import GroupTrainingData
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.prompts import SAMPLERS, PromptSampler

PROGRESS = "progress"
"""Key of RLlib's checkpoints: what is said of the groups."""


class VLAPPO(PPO):
    """Samples whole groups, then updates on the trajectories that carry signal."""

    config: VLAPPOConfig

    @classmethod
    def get_default_config(cls) -> VLAPPOConfig:
        """The default configuration."""
        return VLAPPOConfig()

    def setup(self, config: VLAPPOConfig) -> None:
        """Build everything; in one process the runner acts with the learner's own module."""
        super().setup(config)
        if self.config.shares_module:
            self.env_runner.module = self.learner_group._learner.policy_module
        self.num_decisions = 0
        self.starts = Starts(self.config.seed, self._make_sampler())
        self.kl = KLController(self.config.reference_kl_coeff, self.config.reference_kl_target)
        self.dealer = GroupDealer(
            self.env_runner_group,
            self.config.num_envs_per_env_runner // self.config.group_size,
            self.config.sample_timeout_s,
            restore=lambda: self.restore_env_runners(self.env_runner_group),
        )

    def _make_sampler(self) -> PromptSampler | None:
        if self.config.prompts is None:
            return None
        (prompts, *_) = self.env_runner_group.foreach_env_runner(lambda runner: runner.prompts())
        if prompts is None:
            raise InvalidArgumentError(
                f"Expect an environment that lists its `prompts()` for `prompts={self.config.prompts!r}`, "
                f"actually: {self.config.env}. Give None to have the environment draw."
            )
        return SAMPLERS[self.config.prompts](prompts)

    def policy_copy(self) -> Policy:
        """A copy of the policy as it is after the last update, on the CPU and in evaluation mode."""
        return self._ask_a_learner(lambda learner: learner.policy_module.policy.cpu_copy())

    def training_step(self) -> None:
        """Sample groups, update the learners, send the weights back to the runners."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER), reduce="mean", window=1):
            started = time.perf_counter()
            groups = self._sample_groups()
            seconds = time.perf_counter() - started
        measures = measure(groups, self.dealer.counts, seconds)
        if "reference_kl" in measures[TTRL]:
            self.kl.observe(measures[TTRL]["reference_kl"])
            measures[TTRL]["reference_kl_coeff"] = self.kl.coeff
        self._log(measures)
        episodes = [episode for group in groups for episode in group.episodes]
        # Groups whose members all did equally well, or of which a fault cut a trajectory short, teach nothing.
        if episodes:
            with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER), reduce="mean", window=1):
                self._update(GroupTrainingData.of(episodes))
            self._log_peaks()
            with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER), reduce="mean", window=1):
                self._sync_weights()

    def _sample_groups(self) -> list[SampledGroup]:
        """Whole groups, until there are enough of those that count or as many as the bound allows."""
        config = self.config
        self.dealer.counts.clear()
        groups: list[SampledGroup] = []
        missing, allowed = config.groups_per_iteration, config.groups_per_iteration * config.max_num_gen_batches
        while missing and allowed:
            starts = [self.starts.draw() for _ in range(min(missing, allowed))]
            sampled = self.dealer.sample(starts, self.kl.coeff)
            groups += sampled
            missing -= sum(map(self._counts, sampled))
            allowed -= len(starts)
        for group in groups:
            self._learn_from(group)
        self.metrics.aggregate(self.dealer.take_results(), key=ENV_RUNNER_RESULTS)
        return groups

    def _counts(self, group: SampledGroup) -> bool:
        """Whether a group is one of those that an update asks for; others are sampled in place of one that is not."""
        return not group.invalid and (group.informative or not self.config.dynamic_sampling)

    def _learn_from(self, group: SampledGroup) -> None:
        self.num_decisions += group.decisions
        if self.starts.sampler is not None and group.prompt is not None:
            self.starts.sampler.learn(group.prompt, group.successes)

    def _update(self, data: GroupTrainingData) -> None:
        results = self.learner_group.update(
            training_data=data,
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_decisions},
            seed=[self.starts.seed, self.starts.drawn],
            kl_coeff=self.kl.coeff if self.config.reference_kl == IN_LOSS else 0.0,
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)

    def _log(self, measures: Mapping[str, Mapping[str, float]]) -> None:
        for part, numbers in measures.items():
            for key, value in numbers.items():
                self.metrics.log_value((part, key), value, window=1)

    def _log_peaks(self) -> None:
        runner = self.metrics.peek((ENV_RUNNER_RESULTS, PEAK_MEMORY))
        learner = self.metrics.peek((LEARNER_RESULTS, DEFAULT_MODULE_ID, PEAK_MEMORY))
        for name, peak in (("runner_peak", runner), ("learner_peak", learner)):
            self.metrics.log_value((MEMORY, name), peak, window=1)

    def _sync_weights(self) -> None:
        self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)

    def progress_state(self) -> dict[str, Any]:
        """What a run is at beside its weights: plain numbers, lists and strings."""
        return {"starts": self.starts.state_dict(), "kl_coeff": self.kl.coeff, "num_decisions": self.num_decisions}

    def load_progress_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`progress_state` was called."""
        self.starts.load_state_dict(state["starts"])
        self.kl.coeff = state["kl_coeff"]
        self.num_decisions = state["num_decisions"]

    def training_state(self) -> dict[str, Any]:
        """All that the next iteration depends on, for ``torch.save`` and ``torch.load(..., weights_only=True)``."""
        learner = self._ask_a_learner(lambda learner: learner.training_state())
        return {"iteration": self.iteration, "progress": self.progress_state(), "learner": learner}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`training_state` was called, with whatever number of runners and learners."""
        self._iteration = state["iteration"]
        self.load_progress_state(state["progress"])
        self.learner_group.foreach_learner(partial(_load_training_state, state=state["learner"]))
        self._sync_weights()

    def _ask_a_learner(self, question: Callable[[VLALearner], Any]) -> Any:
        """What one of the learners answers: all are alike."""
        (answer,) = self.learner_group.foreach_learner(question, remote_actor_ids=[0])
        return answer.get()

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, for its own checkpoints, with what is said of the groups."""
        return {**super().get_state(*args, **kwargs), PROGRESS: self.progress_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's. Its remote runners would act with other weights until the next update."""
        super().set_state(state)
        if PROGRESS in state:
            self.load_progress_state(state[PROGRESS])
            self._sync_weights()


def _load_training_state(learner: VLALearner, state: Mapping[str, Any]) -> None:
    learner.load_training_state(state)
