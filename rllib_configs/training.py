"""The updates of a run, with the evaluations and checkpoints between them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import ray

from policies.interface import Policy
from rllib_configs.algorithm import VLAPPO
from rllib_configs.checkpoints import Checkpoint, Checkpoints, RunState
from rllib_configs.evaluation import Episode
from rllib_configs.experiment import Experiment
from rllib_configs.progress import Progress
from rllib_configs.report.curve import CurvePoint, plot_curve
from rllib_configs.report.log import ResultLog
from rllib_configs.report.scalars import scalars


class Training:
    """Group RL from a first policy, or from a checkpoint, to the last iteration.

    Args:
        experiment: whose policy is the first one.
        directory: of the run.
        evaluate: greedy episodes of a policy from the first so many held-out prompts, or from all.
        progress: what a person sees.
        checkpoint: where to go on; None begins.
    """

    def __init__(
        self,
        experiment: Experiment,
        directory: Path,
        evaluate: Callable[[Policy, int | None], list[Episode]],
        progress: Progress,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.experiment = experiment
        self.directory = directory
        self.evaluate = evaluate
        self.progress = progress
        self.checkpoint = checkpoint
        self.checkpoints = Checkpoints(directory, experiment.checkpoints_kept)
        self.state = RunState() if checkpoint is None else checkpoint.state
        self.log = ResultLog(directory, self.state.iteration, experiment.wandb_project)
        self.algorithm = build_algorithm(experiment)

    def execute(self, before: list[Episode]) -> tuple[Policy, list[Episode]]:
        """Train to the end, given the episodes of the first policy; returns the last one and its episodes."""
        try:
            if self.checkpoint is None:
                self._mark_and_save(self.algorithm.policy_copy(), before)
            else:
                self.checkpoints.restore_best(self.checkpoint)
                self.algorithm.load_training_state(self.checkpoint.training_state())
            self._iterate()
            policy = self.algorithm.policy_copy()
            after = self.evaluate(policy, None) if self.state.iteration else before
            self._mark_and_save(policy, after)
            return policy, after
        finally:
            self.log.close()
            self.algorithm.stop()

    def _iterate(self) -> None:
        state, experiment = self.state, self.experiment
        started = time.monotonic() - 60 * state.minutes
        while not self._is_over():
            values = scalars(self.algorithm.train())
            state.iteration += 1
            state.minutes = (time.monotonic() - started) / 60
            values["time/total_s"] = 60 * state.minutes
            state.sampled.append(values.get("ttrl/success_rate"))
            self.log.write(state.iteration, values)
            self.progress.trained(state.iteration, values)
            if self._is_over():
                break
            if state.iteration % experiment.evaluation.interval == 0:
                policy = self.algorithm.policy_copy()
                self._mark(policy, self.evaluate(policy, experiment.evaluation.curve_episodes))
            if state.iteration % experiment.checkpoint_interval == 0:
                self._save(self.algorithm.policy_copy())

    def _is_over(self) -> bool:
        limit = self.experiment.time_limit_minutes
        return self.state.iteration >= self.experiment.iterations or (limit is not None and self.state.minutes > limit)

    def _mark(self, policy: Policy, episodes: list[Episode]) -> None:
        """Add a point to the learning curve; the policy is kept as the best where no earlier one did as well."""
        counted = [episode.success for episode in episodes[: self.experiment.evaluation.curve_episodes]]
        point = CurvePoint(self.state.iteration, sum(counted), len(counted))
        earlier = [each for each in self.state.curve if each.iteration < point.iteration]
        self.state.curve = [*earlier, point]
        if all(point.rate > each.rate for each in earlier):
            policy.save_pretrained(self.checkpoints.best)
        self.log.write(point.iteration, {"eval/success_rate": point.rate})
        self.progress.evaluated(point.iteration, point.rate)
        plot_curve(self.state.sampled, self.state.curve, self.experiment.name, self.directory / "learning_curve.png")

    def _save(self, policy: Policy) -> None:
        self.progress.saved(self.checkpoints.save(policy, self.algorithm.training_state(), self.state))

    def _mark_and_save(self, policy: Policy, episodes: list[Episode]) -> None:
        """At both ends, which belong to the curve and can be gone on from."""
        self._mark(policy, episodes)
        self._save(policy)


def build_algorithm(experiment: Experiment) -> VLAPPO:
    """The algorithm on the Ray that runs, or on a local one."""
    if not ray.is_initialized():
        # Workers must import this package from wherever the driver did.
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
        ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
    return experiment.to_rllib().build_algo()
