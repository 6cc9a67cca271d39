"""One run: clone, evaluate, train by group RL, evaluate, report."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import ray
import torch
from pydantic import TypeAdapter, ValidationError

from policies.behaviour_cloning import clone
from policies.interface import Policy
from policies.registry import load_policy
from rllib_configs import demonstrations
from rllib_configs.algorithm import VLAPPO
from rllib_configs.evaluation import Episode, evaluate, held_out_prompts, provenance, success_rate
from rllib_configs.experiment import Experiment, PolicyConfig
from rllib_configs.progress import Progress
from rllib_configs.report.curve import CurvePoint, plot_curve
from rllib_configs.report.log import ResultLog
from rllib_configs.report.tables import markdown, success_table
from rllib_configs.report.video import record, write_grid
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_directory, atomic_write_text


def train(experiment: Experiment, root: Path = Path("runs")) -> Path:
    """Run an experiment and leave its results in a directory of its own.

    The directory holds ``config.json``, ``environment.json`` (the versions that simulate and the like),
    ``policy_before/`` and ``policy/`` (``save_pretrained``), ``checkpoint/`` (RLlib's), ``progress.csv``
    and TensorBoard events with a row per iteration, ``success.md``, ``episodes.json``,
    ``learning_curve.png`` and ``before_after.mp4``.

    Returns:
        The directory, ``root/<name>``, with ``-2``, ``-3``, ... where the name is taken.
    """
    return Run(experiment, root).execute()


def load_experiment(directory: Path) -> Experiment:
    """The experiment of a run's ``config.json``.

    Raises:
        InvalidArgumentError: the file does not hold an experiment of this version.
    """
    text = (directory / "config.json").read_text()
    try:
        return TypeAdapter(Experiment).validate_json(text)
    except ValidationError as error:
        raise InvalidArgumentError(
            f"{directory / 'config.json'} is not an experiment of this version: {error}"
        ) from error


class Run:
    """The steps of a run in their order, and what passes between them."""

    def __init__(self, experiment: Experiment, root: Path) -> None:
        # Whatever is wrong with the experiment shows before hours of work, and before a directory is made.
        experiment.validate()
        self.experiment = experiment
        self.clones = experiment.policy.path is None and experiment.bc.demonstrations_per_task > 0
        if self.clones:
            demonstrations.check(experiment.environment, experiment.bc)
        self.prompts = held_out_prompts(experiment.environment, "eval", experiment.evaluation.num_episodes)
        self.policy = _load_policy(experiment)
        self.sampled: list[float] = []
        self.curve: list[CurvePoint] = []
        self.directory = _new_directory(root, experiment.name)
        self.progress = Progress(experiment)

    def execute(self) -> Path:
        """Do everything."""
        atomic_write_text(self.directory / "config.json", json.dumps(dataclasses.asdict(self.experiment), indent=2))
        rests_on = json.dumps(provenance(self.experiment.environment), indent=2)
        atomic_write_text(self.directory / "environment.json", rests_on)
        torch.set_num_threads(self.experiment.resources.torch_threads)
        policy = self._first_policy()
        policy.save_pretrained(self.directory / "policy_before")
        before = self._evaluate(policy)
        frames_before = self._record(policy)
        policy = self._improve(before[: self.experiment.evaluation.curve_episodes])
        policy.save_pretrained(self.directory / "policy")
        after = self._evaluate(policy)
        self._report(before, after)
        if frames_before:
            rows = [("before", frames_before), ("after", self._record(policy))]
            write_grid(rows, self.directory / "before_after.mp4")
        self.progress.finish(success_table(before, after), self.directory)
        return self.directory

    def _first_policy(self) -> Policy:
        experiment, bc, policy = self.experiment, self.experiment.bc, self.policy
        if self.clones:
            self.progress.phase("behaviour cloning")
            clone(
                policy,
                demonstrations.collect(experiment.environment, bc, experiment.seed),
                steps=bc.steps,
                learning_rate=bc.learning_rate,
                batch_size=bc.batch_size,
                seed=experiment.seed,
                on_step=self.progress.cloned,
            )
        return policy.eval()

    def _evaluate(self, policy: Policy, num_episodes: int | None = None) -> list[Episode]:
        self.progress.phase("evaluation")
        prompts = self.prompts[:num_episodes]
        return evaluate(policy, self.experiment.environment, prompts, self.experiment.evaluation.num_envs)

    def _record(self, policy: Policy) -> list[Any]:
        evaluation = self.experiment.evaluation
        self.progress.phase("video")
        return record(policy, self.experiment.environment, self.prompts[: evaluation.videos], evaluation.video_stride)

    def _improve(self, before: list[Episode]) -> Policy:
        """Group RL from the saved first policy; returns the trained one."""
        experiment = self.experiment
        started = PolicyConfig(kind=experiment.policy.kind, path=str(self.directory.resolve() / "policy_before"))
        self.progress.phase("starting RLlib")
        algorithm = build_algorithm(experiment.replace(policy=started))
        try:
            with closing(ResultLog(self.directory)) as log:
                self._mark(0, before)
                self._iterate(algorithm, log)
            with atomic_directory(self.directory / "checkpoint") as folder:
                # RLlib takes a relative path for a URL without a scheme.
                algorithm.save_to_path(folder.resolve())
            return algorithm.policy_copy()
        finally:
            algorithm.stop()

    def _iterate(self, algorithm: VLAPPO, log: ResultLog) -> None:
        experiment, limit = self.experiment, self.experiment.time_limit_minutes
        deadline = math.inf if limit is None else time.monotonic() + 60 * limit
        for iteration in range(1, experiment.iterations + 1):
            result = algorithm.train()
            # Nothing was measured when faults spoilt every group so far.
            self.sampled.append(float(result.get("ttrl", {}).get("success_rate", math.nan)))
            self.progress.trained(iteration, result)
            last = iteration == experiment.iterations or time.monotonic() > deadline
            rate = None
            if last or iteration % experiment.evaluation.interval == 0:
                episodes = self._evaluate(algorithm.policy_copy(), experiment.evaluation.curve_episodes)
                rate = success_rate(episodes)
                self._mark(iteration, episodes)
            log.write(iteration, result, rate)
            if last:
                break

    def _mark(self, iteration: int, episodes: list[Episode]) -> None:
        self.curve.append(CurvePoint(iteration, sum(episode.success for episode in episodes), len(episodes)))
        self.progress.evaluated(iteration, success_rate(episodes))
        plot_curve(self.sampled, self.curve, self.experiment.name, self.directory / "learning_curve.png")

    def _report(self, before: list[Episode], after: list[Episode]) -> None:
        episodes = {"before": before, "after": after}
        rows = {key: [dataclasses.asdict(episode) for episode in each] for key, each in episodes.items()}
        atomic_write_text(self.directory / "episodes.json", json.dumps(rows))
        atomic_write_text(self.directory / "success.md", markdown(success_table(before, after)) + "\n")


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


def _load_policy(experiment: Experiment) -> Policy:
    """The policy to start from.

    Raises:
        InvalidArgumentError: a checkpoint made for another environment.
        MissingAssetsError: no checkpoint.
    """
    torch.manual_seed(experiment.seed)
    policy = load_policy(**experiment.policy_keywords())
    for name, expected in experiment.environment.policy_config().items():
        given = getattr(policy.config, name)
        # A camera that the policy does not look at does no harm.
        if not (set(given) <= set(expected) if name == "image_keys" else given == expected):
            raise InvalidArgumentError(
                f"Expect the `{name}` of {experiment.policy.path} to fit the environment's, which is {expected}, "
                f"actually: {given}."
            )
    return policy


def _new_directory(root: Path, name: str) -> Path:
    candidates = (root / (name if number == 1 else f"{name}-{number}") for number in range(1, 10_000))
    for directory in candidates:
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory
    raise FileExistsError(f"Every directory from {name} to {name}-9999 in {root} is taken.")
