"""VLAPPO: PPO and GRPO over whole groups of trajectories, and its configuration."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import ray
import torch
from ray.rllib.algorithms import ppo as rllib_ppo
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.core.rl_module import RLModuleSpec
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    EVALUATION_RESULTS,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger
from typing_extensions import Self

from policies.behavior_cloning import NONFINITE_STEPS_IN_A_ROW
from policies.interface import Policy, check_finite
from rllib_configs.algorithm.batching import GroupTrainingData
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.evaluation import Evaluation, prompts_of
from rllib_configs.algorithm.group_sampler import GroupSampler
from rllib_configs.algorithm.learner import NONFINITE_IN_A_ROW, NONFINITE_STEPS, VLALearner
from rllib_configs.algorithm.loss import LOSS_TERMS, TOTAL_LOSS, adapted_kl_coeff
from rllib_configs.algorithm.metrics import MEMORY, PEAK_MEMORY, TRAJECTORIES, sampling_metrics
from rllib_configs.algorithm.rl_module import VLAModule
from rllib_configs.algorithm.sampled_group import SampledGroup
from rllib_configs.algorithm.unused import check_unused
from rllib_configs.config import PPO, TTRL, Experiment
from rllib_configs.config.training import check_used
from vla_envs.arguments import is_integer
from vla_envs.errors import InvalidArgumentError, NonFiniteError
from vla_envs.files import atomic_write_text
from vla_envs.group import EveryTaskPrompts, NumberedStarts, PromptSampler, adapt_temperatures
from vla_envs.group.prompts import SAMPLERS

PROGRESS = "progress"
"""Key of RLlib's checkpoints: how far the sampling has come."""

LEAST_TEMPERATURE = 0.01
"""What a decay leaves of a temperature, as a share of the first: at 0 nothing could be sampled."""

_log = logging.getLogger(__name__)

PPO_FIELDS = tuple(each.name for each in dataclasses.fields(PPO))


class VLAPPOConfig(rllib_ppo.PPOConfig):
    """PPO or GRPO over whole groups of trajectories.

    ``.environment(id, env_config={...})`` takes an id of :mod:`vla_envs` and the keywords of its
    ``gymnasium.make_vec``, ``wrap`` among them. ``.training(ttrl=TTRL(...), ...)`` takes every field of
    :class:`~rllib_configs.config.PPO` beside RLlib's own settings, and ``.env_runners(groups_per_env_runner=...)`` says
    how many groups a process runs. The number of environments, the temperatures and the vote follow from ``ttrl``. One
    RLlib step is one action chunk.

    Example:
        >>> from rllib_configs import VLAPPOConfig
        >>> from rllib_configs.config import TTRL
        >>> config = VLAPPOConfig().training(ttrl=TTRL(n_votes_per_prompt=5), clip_param_high=0.28)
        >>> config.group_size, config.clip_param_high
        (5, 0.28)
    """

    def __init__(self, algo_class: type | None = None) -> None:
        # RLlib freezes unknown attributes out unless they exist before its own constructor runs.
        self.ttrl = TTRL()
        self.groups_per_env_runner = 1
        defaults = vars(PPO())
        vars(self).update(defaults)
        super().__init__(algo_class=algo_class or VLAPPO)
        vars(self).update(defaults)
        self.use_kl_loss = False
        # The learner sees to that itself, for all its parameters at once and whatever the loss is.
        self.torch_skip_nan_gradients = True
        self.evaluation(evaluation_sample_timeout_s=None)
        self.env_runners(
            env_runner_cls=GroupEnvRunner,
            gym_env_vectorize_mode="vector_entry_point",
            batch_mode="complete_episodes",
            # A round of real simulator episodes takes minutes; RLlib would drop it after one.
            sample_timeout_s=None,
            # With one request in flight RLlib drops weight syncs, and runners act with stale weights.
            max_requests_in_flight_per_env_runner=4,
        )
        self.fault_tolerance(
            # A runner that failed is wanted back at once, not after a minute; others go on while it starts.
            delay_between_env_runner_restarts_s=0.0,
            env_runner_health_probe_timeout_s=1.0,
            env_runner_restore_timeout_s=60.0,
        )
        # The driver learns while the runners wait, so it needs no core beside theirs. A byte keeps Tune from dropping
        # its bundle as an empty one, by whose place RLlib counts those of the runners.
        self.resources(num_cpus_for_main_process=0, custom_resources_for_main_process={"memory": 1})

    @classmethod
    def from_experiment(cls, experiment: Experiment) -> Self:
        """The configuration of an experiment, for ``tune.run(VLAPPO, config=...)`` or ``.build_algo()``."""
        experiment = experiment.resolved()
        environment, resources = experiment.environment, experiment.resources
        env_config = {
            **environment.kwargs("train"),
            "wrap": environment.wrap,
            "num_workers": environment.num_workers,
        }
        model_config = {
            "policy": experiment.policy.load_keywords(environment),
            "seed": experiment.seed,
            "reference": experiment.ppo.reference_kl is not None,
        }
        config = cls().training(ttrl=experiment.ttrl, **vars(experiment.ppo))
        config.environment(environment.qualified_id, env_config=env_config)
        config.rl_module(rl_module_spec=RLModuleSpec(module_class=VLAModule, model_config=model_config))
        config.debugging(seed=experiment.seed)
        config.env_runners(
            num_env_runners=resources.num_env_runners,
            groups_per_env_runner=resources.groups_per_env_runner,
            num_gpus_per_env_runner=resources.num_gpus_per_env_runner,
            sample_timeout_s=resources.sample_timeout_s,
        )
        config.learners(num_learners=resources.num_learners, num_gpus_per_learner=resources.num_gpus_per_learner)
        return config

    def training(self, *, ttrl: Any = NotProvided, **settings: Any) -> Self:
        """Set how groups are sampled and rewarded, and how the policy is updated.

        Args:
            ttrl: a :class:`~rllib_configs.config.TTRL`.
            **settings: fields of :class:`~rllib_configs.config.PPO`, and RLlib's own.

        Raises:
            InvalidArgumentError: another ``ttrl``.
        """
        if ttrl is not NotProvided:
            if not isinstance(ttrl, TTRL):
                raise InvalidArgumentError(f"Expect `ttrl` to be a rllib_configs.config.TTRL, actually: {ttrl!r}.")
            self.ttrl = ttrl
        for name in [each for each in settings if each in PPO_FIELDS]:
            setattr(self, name, settings.pop(name))
        return super().training(**settings)

    def env_runners(self, *, groups_per_env_runner: Any = NotProvided, **settings: Any) -> Self:
        """Set which processes sample.

        Args:
            groups_per_env_runner: number of groups that each of them runs side by side.
            **settings: RLlib's own, but for ``num_envs_per_env_runner``, which follows.

        Raises:
            InvalidArgumentError: ``num_envs_per_env_runner`` is given.
        """
        if "num_envs_per_env_runner" in settings:
            raise InvalidArgumentError(
                "Expect `groups_per_env_runner`, from which the number of environments follows, actually: "
                f"num_envs_per_env_runner={settings['num_envs_per_env_runner']}."
            )
        if groups_per_env_runner is not NotProvided:
            self.groups_per_env_runner = groups_per_env_runner
        return super().env_runners(**settings)

    @property
    def ppo(self) -> PPO:
        """The settings of the update, checked; of a schedule its largest value.

        Raises:
            InvalidArgumentError: a value outside its range.
        """
        return PPO(**{name: _largest(name, getattr(self, name)) for name in PPO_FIELDS})

    @property
    def group_size(self) -> int:
        """N: the number of trajectories of one prompt; an evaluation runs one of each, whatever ``ttrl`` says."""
        return 1 if self.in_evaluation else self.ttrl.n_votes_per_prompt

    @property
    def starts_per_env_runner(self) -> int:
        """Number of groups that a process runs side by side: of groups of one, as many as fill its environments."""
        return self.groups_per_env_runner * self.ttrl.n_votes_per_prompt // self.group_size

    @property
    def shares_module(self) -> bool:
        """Whether the driver samples and learns itself, with one copy of the model; what evaluates has its own."""
        return self.num_env_runners == 0 and self.num_learners == 0 and not self.in_evaluation

    def of_groups(self) -> Self:
        """Give the environment what follows from the groups; returns the configuration itself."""
        self.num_envs_per_env_runner = self.starts_per_env_runner * self.group_size
        self.env_config = {**self.env_config, "group_size": self.group_size, "mode": "hold"}
        return self

    def validate(self) -> None:
        """Check the groups before anything is built.

        Raises:
            InvalidArgumentError: a setting outside its range, groups of one with an estimator that compares siblings, a
                vote that cannot work, or a KL from a reference that the module does not keep or that cannot adapt.
        """
        ppo = self.ppo
        if ppo.adv_estimator != "gae" and self.group_size < 2 and not self.in_evaluation:
            raise InvalidArgumentError(
                f"Expect `ttrl.n_votes_per_prompt` to be at least 2 for {ppo.adv_estimator!r}, which compares the "
                f"trajectories of a prompt, actually: {self.group_size}. For single trajectories use `gae`."
            )
        check_unused(self, vars(VLAPPOConfig()))
        check_used(self.ttrl, ppo)
        self._check_reference(ppo)
        self._check_evaluation()
        self._check_runners()
        self.num_envs_per_env_runner = self.starts_per_env_runner * self.group_size
        # A copy of the model in the driver would do nothing where others sample.
        self.create_local_env_runner = self.num_env_runners == 0
        if self.num_cpus_for_main_process in (0, 1):  # ours: more than that is asked for
            self.num_cpus_for_main_process = int(self.num_env_runners == 0)
        if self.num_env_runners and self.num_learners == 0:
            self.learners(num_cpus_per_learner=0)
        if self._train_batch_size_per_learner is not None:
            raise InvalidArgumentError(
                "Expect no `train_batch_size_per_learner`, because batches are counted in groups, "
                f"actually: {self._train_batch_size_per_learner}. Use `groups_per_iteration`."
            )
        # RLlib's PPO bounds minibatches by it.
        self._train_batch_size_per_learner = self.minibatch_size
        super().validate()
        self._train_batch_size_per_learner = None

    def _check_evaluation(self) -> None:
        if self.evaluation_duration_unit != "episodes" or not _is_count(self.evaluation_duration):
            raise InvalidArgumentError(
                "Expect `evaluation_duration` to be a number of episodes, each from another prompt, because "
                f"trajectories are whole, actually: {self.evaluation_duration!r} {self.evaluation_duration_unit}. Use "
                '`.evaluation(evaluation_duration=16, evaluation_duration_unit="episodes")`.'
            )

    def _check_runners(self) -> None:
        if not _is_count(self.groups_per_env_runner):
            raise InvalidArgumentError(
                f"Expect `groups_per_env_runner` to be an integer above 0, actually: {self.groups_per_env_runner!r}."
            )
        for name in ("sample_timeout_s", "evaluation_sample_timeout_s"):
            seconds = getattr(self, name)
            if seconds is not None and not 0.0 < seconds < float("inf"):
                raise InvalidArgumentError(
                    f"Expect `{name}` to be finite seconds above 0, or None to wait for ever, actually: {seconds!r}."
                )

    def _check_reference(self, ppo: PPO) -> None:
        if ppo.reference_kl is not None and not self.rl_module_spec.model_config.get("reference"):
            raise InvalidArgumentError(
                "Expect a module that keeps its reference, `model_config={'reference': True, ...}`, for "
                f"`reference_kl={ppo.reference_kl!r}`, actually: {self.rl_module_spec.model_config}."
            )
        if ppo.reference_kl_target is not None and (ppo.reference_kl is None or not ppo.reference_kl_coeff > 0):
            raise InvalidArgumentError(
                "Expect a `reference_kl` and a `reference_kl_coeff` above 0 for a weight that adapts by factors to "
                f"hold a `reference_kl_target`, actually: {ppo.reference_kl!r} and {ppo.reference_kl_coeff}."
            )

    def get_default_learner_class(self) -> type:
        """The learner of groups."""
        return VLALearner

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The module that hosts any policy of this package."""
        model_config = {"policy": {"kind": "tiny"}, "reference": self.ppo.reference_kl is not None}
        return RLModuleSpec(module_class=VLAModule, model_config=model_config)


class VLAPPO(rllib_ppo.PPO):
    """Samples whole groups, then updates on the trajectories that carry signal."""

    config: VLAPPOConfig  # type: ignore[assignment]  # a dictionary in Tune's Trainable
    # RLlib declares these as optional; they are there from setup() on.
    env_runner_group: EnvRunnerGroup
    learner_group: LearnerGroup
    metrics: MetricsLogger

    @classmethod
    def get_default_config(cls) -> VLAPPOConfig:
        """The default configuration."""
        return VLAPPOConfig()

    @classmethod
    def default_resource_request(cls, config: Any) -> Any:
        """What Tune reserves for a trial, with a warning where the running Ray does not have it."""
        request: Any = super().default_resource_request(config)
        _warn_of_missing_cores(request.required_resources.get("CPU", 0.0))
        return request

    def setup(self, config: Any) -> None:
        """Build everything; in one process the runner acts with the learner's own module."""
        super().setup(config)
        if self.config.shares_module:
            learner: Any = self.learner_group._learner
            self.env_runner.module = learner.policy_module
        self.ttrl, self.ppo = self.config.ttrl, self.config.ppo
        self.num_timesteps = 0
        self.nonfinite_steps_in_a_row = 0
        """How many of the last gradient steps were not taken: above 0 the weights may be what is not finite."""
        self.temperatures = self.ttrl.temperatures()
        self.kl_coeff = self.ppo.reference_kl_coeff
        self.starts = NumberedStarts(self.config.seed, self._make_prompt_sampler())
        self.sampler = GroupSampler(
            self.env_runner_group,
            self.config.groups_per_env_runner,
            self.config.sample_timeout_s,
            restore=lambda: self.restore_env_runners(self.env_runner_group),
            together=self._groups_together(),
        )
        self.evaluation = None if self.eval_env_runner_group is None else self._make_evaluation()

    def _make_evaluation(self) -> Evaluation:
        runners: Any = self.eval_env_runner_group
        return Evaluation(runners, self.evaluation_config, restore=lambda: self.restore_env_runners(runners))

    def evaluate(self, parallel_train_future: Any = None) -> dict[str, Any]:
        """RLlib's, with one episode of each of ``evaluation_duration`` prompts.

        Raises:
            InvalidArgumentError: the algorithm was built without runners for it.
        """
        if self.evaluation is None:
            raise InvalidArgumentError(
                "Expect runners that evaluate, because those of training run groups from few prompts, actually none. "
                "Build the algorithm with an `evaluation_interval`, or with `evaluation_num_env_runners` above 0."
            )
        return super().evaluate(parallel_train_future)

    def _evaluate_on_local_env_runner(self, env_runner: Any) -> tuple[None, int, int, list[Any]]:
        """RLlib's would ask the runner for a number of episodes, whatever they start from."""
        return self._evaluate_with_fixed_duration()

    def _evaluate_with_fixed_duration(self) -> tuple[None, int, int, list[Any]]:
        """RLlib's for remote runners; returns what it does."""
        assert self.evaluation is not None
        results, timesteps = self.evaluation.run()
        self.metrics.aggregate(results, key=(EVALUATION_RESULTS, ENV_RUNNER_RESULTS))
        return None, timesteps, timesteps, []

    def _make_prompt_sampler(self) -> PromptSampler | None:
        name = self.ttrl.prompts
        if name is None:
            return None
        (prompts, *_) = self.env_runner_group.foreach_env_runner(prompts_of)
        if prompts is None:
            raise InvalidArgumentError(
                f"Expect an environment that lists its `prompts()` for `ttrl.prompts={name!r}`, "
                f"actually: {self.config.env}. Give None to have the environment draw."
            )
        return SAMPLERS[name](prompts)

    def _groups_together(self) -> int:
        """How many groups are scored with each other: all tasks of an initial state, where rewards compare them.

        Raises:
            InvalidArgumentError: one task alone, or numbers of groups that are no multiple of that of the tasks.
        """
        if self.ttrl.reward != "contrast":
            return 1
        sampler = cast(EveryTaskPrompts, self.starts.sampler)  # what the options of this reward ask for
        tasks = len(sampler.tasks)
        numbers = {
            "ppo.groups_per_iteration": self.ppo.groups_per_iteration,
            "resources.groups_per_env_runner": self.config.groups_per_env_runner,
        }
        if tasks < 2:
            raise InvalidArgumentError(
                f"Expect two tasks or more for `ttrl.reward=contrast`, actually one: {sampler.tasks[0]}."
            )
        for name, number in numbers.items():
            if number % tasks:
                raise InvalidArgumentError(
                    f"Expect `{name}` to be a multiple of {tasks}, the number of tasks, for `ttrl.reward=contrast`, "
                    f"actually: {number}."
                )
        return tasks

    def policy_copy(self) -> Policy:
        """A copy of the policy as it is after the last update, on the CPU and in evaluation mode."""
        return self._ask_a_learner(lambda learner: learner.policy_module.policy.cpu_copy())

    def training_step(self) -> None:
        """Sample groups, update the learners, send the weights back to the runners."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER), reduce="mean", window=1):
            started = time.perf_counter()
            try:
                groups = self._sample_groups()
            except NonFiniteError as error:
                raise NonFiniteError(f"Training ends in iteration {self.iteration + 1}: {error}") from None
            seconds = time.perf_counter() - started
        if self.ttrl.rollout_data_dir is not None:
            _write_rollouts(Path(self.ttrl.rollout_data_dir), self.iteration + 1, groups)
        metrics = sampling_metrics(groups, self.sampler.counts, seconds)
        self._adapt(metrics[TRAJECTORIES])
        self._log(metrics)
        episodes = [episode for group in groups for episode in group.episodes]
        # Groups whose trajectories all did equally well, or of which a fault cut one short, teach nothing.
        if episodes:
            with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER), reduce="mean", window=1):
                self._update(GroupTrainingData.of(episodes))
            self._log_peaks()
            with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER), reduce="mean", window=1):
                self._sync_weights()

    def _sample_groups(self) -> list[SampledGroup]:
        """Whole groups, until there are enough of those that count or as many as the bound allows."""
        self.sampler.counts.clear()
        groups: list[SampledGroup] = []
        missing = self.ppo.groups_per_iteration
        allowed = missing * self.ppo.max_num_gen_batches
        together = self.sampler.together
        while missing > 0 and allowed > 0:
            number = -(-min(missing, allowed) // together) * together
            starts = [self.starts.draw() for _ in range(number)]
            sampled = self.sampler.sample(starts, temperatures=self.temperatures, kl_coeff=self.kl_coeff)
            groups += sampled
            missing -= sum(map(self._counts, sampled))
            allowed -= len(starts)
        for group in groups:
            self._learn_from(group)
        self.metrics.aggregate(self.sampler.take_results(), key=ENV_RUNNER_RESULTS)
        return groups

    def _counts(self, group: SampledGroup) -> bool:
        """Whether a group is one of those that an update asks for; others are sampled in place of one that is not."""
        return not group.invalid and (group.informative or not self.ppo.dynamic_sampling)

    def _learn_from(self, group: SampledGroup) -> None:
        self.num_timesteps += group.timesteps
        if self.starts.sampler is not None and group.prompt is not None:
            self.starts.sampler.learn(group.prompt, group.successes)

    def _adapt(self, measured: dict[str, float]) -> None:
        """Set the weight of the KL and the temperatures for the next iteration: by what was measured, or by a decay."""
        if "reference_kl" in measured:
            self.kl_coeff = adapted_kl_coeff(self.kl_coeff, measured["reference_kl"], self.ppo.reference_kl_target)
            measured["reference_kl_coeff"] = self.kl_coeff
        target, decay = self.ttrl.target_diversity, self.ttrl.temperature_decay
        if target is not None and "diversity" in measured:
            self.temperatures = adapt_temperatures(self.temperatures, measured["diversity"], target)
        elif decay < 1.0:
            least = LEAST_TEMPERATURE * self.ttrl.temperatures()
            self.temperatures = np.maximum(decay * self.temperatures, least)
        else:
            return
        measured["mean_temperature"] = float(self.temperatures.mean())

    def _update(self, data: GroupTrainingData) -> None:
        results = self.learner_group.update(
            training_data=data,
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_timesteps},
            seed=[self.starts.seed, self.starts.drawn],
            kl_coeff=self.kl_coeff if self.ppo.reference_kl == "loss" else 0.0,
            critic_alone=self.iteration < self.ppo.vf_warmup_iterations,
            lr_share=self._lr_share(),
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._check_steps()

    def _lr_share(self) -> float:
        """What the next update takes of the learning rate."""
        rising = min(1.0, (self.iteration + 1) / (self.ppo.lr_warmup_iterations + 1))
        last = self.ppo.lr_decay_iterations
        return rising * (max(0.0, 1.0 - self.iteration / last) if last else 1.0)

    def _check_steps(self) -> None:
        """Say that gradient steps were not taken; end the training where none of the last ones was."""

        def measured(name: str) -> float:
            return float(self.metrics.peek((LEARNER_RESULTS, DEFAULT_MODULE_ID, name), default=0.0))

        skipped = int(measured(NONFINITE_STEPS))
        self.nonfinite_steps_in_a_row = int(measured(NONFINITE_IN_A_ROW))
        if not skipped:
            return
        parts = [name for name in LOSS_TERMS if name != TOTAL_LOSS and not np.isfinite(measured(name))]
        terms = ", ".join(parts) or "the gradient"
        if self.nonfinite_steps_in_a_row >= NONFINITE_STEPS_IN_A_ROW:
            raise NonFiniteError(
                f"Training ends in iteration {self.iteration + 1}, because {NONFINITE_STEPS_IN_A_ROW} gradient steps "
                f"in a row were not finite ({terms})."
            )
        _log.warning(
            "Iteration %d: gradient steps that were not finite (%s), and so were not taken: %d",
            self.iteration + 1,
            terms,
            skipped,
        )

    def _log(self, metrics: Mapping[str, Mapping[str, float]]) -> None:
        for part, numbers in metrics.items():
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
        return {
            "starts": self.starts.state_dict(),
            "kl_coeff": self.kl_coeff,
            "temperatures": self.temperatures.tolist(),
            "num_timesteps": self.num_timesteps,
        }

    def load_progress_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`progress_state` was called."""
        self.starts.load_state_dict(state["starts"])
        self.kl_coeff = state["kl_coeff"]
        self.temperatures = np.array(state["temperatures"], np.float32)
        self.num_timesteps = state["num_timesteps"]

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

    def _ask_a_learner(self, question: Callable[..., Any]) -> Any:
        """What one of the learners answers: all are alike."""
        (answer,) = self.learner_group.foreach_learner(question, remote_actor_ids=[0])
        return answer.get()

    def save_to_path(self, *args: Any, **kwargs: Any) -> str:
        """RLlib's.

        Raises:
            NonFiniteError: a weight is NaN or infinite; nothing is written.
        """
        check_finite(self._ask_a_learner(_trained_parameters), "No checkpoint is written.")
        return super().save_to_path(*args, **kwargs)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """RLlib's, for its own checkpoints, with modules that are built as the learners save theirs."""
        config = self.config.copy(copy_frozen=False)
        built = self._ask_a_learner(lambda learner: learner.policy_module.model_config)
        config.rl_module(rl_module_spec=dataclasses.replace(config.rl_module_spec, model_config=built))
        return (config.get_state(),), {}

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, for its own checkpoints, with how far the sampling has come."""
        return {**super().get_state(*args, **kwargs), PROGRESS: self.progress_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's. Its remote runners would act with other weights until the next update."""
        super().set_state(state)
        if PROGRESS in state:
            self.load_progress_state(state[PROGRESS])
            self._sync_weights()


def _write_rollouts(directory: Path, step: int, groups: Sequence[SampledGroup]) -> None:
    """Write a line for each trajectory of an iteration, in the layout of verl's ``rollout_data_dir``."""
    records = [{"step": step, "group": group.start.group_id, **record} for group in groups for record in group.records]
    directory.mkdir(parents=True, exist_ok=True)
    atomic_write_text(directory / f"{step}.jsonl", "".join(f"{json.dumps(each)}\n" for each in records))


def _trained_parameters(learner: VLALearner) -> list[tuple[str, torch.Tensor]]:
    return [(name, torch.from_numpy(each)) for name, each in learner.policy_module.get_state().items()]


def _load_training_state(learner: VLALearner, state: Mapping[str, Any]) -> None:
    learner.load_training_state(state)


def _is_count(value: Any) -> bool:
    return is_integer(value) and value >= 1


def _largest(name: str, value: Any) -> Any:
    """The value itself, or the largest of one of RLlib's schedules, ``[[timestep, value], ...]``."""
    if name not in ("lr", "entropy_coeff") or not isinstance(value, (list, tuple)):
        return value
    try:
        points = np.array(value, float).reshape(len(value), 2)
    except (TypeError, ValueError):
        points = np.full((1, 2), np.nan)
    if not (np.isfinite(points) & (points >= 0.0)).all():
        raise InvalidArgumentError(
            f"Expect the schedule of `ppo.{name}` to be [[timestep, value], ...] of finite numbers of at least 0, "
            f"actually: {value}."
        )
    return points[:, 1].max()


def _warn_of_missing_cores(wanted: float) -> None:
    """Say why a trial will wait: Tune itself says nothing, and waits for ever where no cluster grows."""
    available = ray.cluster_resources().get("CPU", 0.0) if ray.is_initialized() else float("inf")
    if wanted > available:
        warnings.warn(
            f"A trial asks for {wanted:g} CPU cores and Ray has {available:g}: it waits until the cluster grows. Ask "
            "for fewer with `.env_runners(num_env_runners=...)` (--resources.num-env-runners).",
            stacklevel=2,
        )
