"""One run: clone, evaluate, train by group RL, evaluate, report; and how it goes on after an interruption."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from policies.interface import Policy
from policies.registry import load_policy
from rllib_configs.checkpoints import Checkpoint, Checkpoints
from rllib_configs.evaluation import Episode, evaluate, held_out_prompts, provenance
from rllib_configs.experiment import Experiment
from rllib_configs.first_policy import clone_expert, load_first_policy
from rllib_configs.progress import Progress
from rllib_configs.report.tables import markdown, success_table
from rllib_configs.report.video import record, write_grid
from rllib_configs.training import Training
from vla_envs.errors import InvalidArgumentError, require_extra
from vla_envs.files import atomic_write_text
from vla_envs.spec import Prompt

_EXPERIMENT = TypeAdapter(Experiment)
_EPISODES = TypeAdapter(dict[str, list[Episode]])


def train(experiment: Experiment, root: Path = Path("runs")) -> Path:
    """Run an experiment and leave its results in a directory of its own, which can be moved.

    The directory holds ``config.json``, ``environment.json`` (the versions that simulate and the like),
    ``policy_before/``, ``policy/`` and ``best/`` (``save_pretrained``; the best by held-out greedy success),
    ``checkpoints/`` (see :class:`~rllib_configs.checkpoints.Checkpoints`), ``progress.csv`` and TensorBoard
    events with a row per iteration, ``success.md``, ``episodes.json``, ``learning_curve.png`` and
    ``before_after.mp4``.

    Returns:
        The directory, ``root/<name>``, with ``-2``, ``-3``, ... where the name is taken.
    """
    # Whatever is wrong with the experiment shows before hours of work, and before a directory is made.
    experiment.validate()
    experiment = experiment.resolved()
    if experiment.wandb_project is not None:
        require_extra("wandb", "wandb")
    policy = load_first_policy(experiment)
    prompts = _prompts(experiment)
    run = Run(experiment, _new_directory(root, experiment.name), prompts)
    run.begin(policy)
    del policy  # training loads its own, and may need the memory
    return run.improve()


def resume(directory: Path, iterations: int | None = None, time_limit_minutes: float | None = None) -> Path:
    """Go on with a run from its newest sound checkpoint, as if it had never been interrupted.

    Args:
        directory: of the run.
        iterations: a new total, at least the old one; None keeps that.
        time_limit_minutes: a new limit for the training of all sessions together; None keeps the old one.

    Returns:
        The directory.

    Raises:
        InvalidArgumentError: no run, no sound checkpoint, fewer iterations, or more of them than the time limit leaves.
    """
    experiment = load_experiment(directory)
    if iterations is not None:
        if iterations < experiment.iterations:
            raise InvalidArgumentError(
                f"Expect `iterations` to be at least those of the run, {experiment.iterations}, actually: {iterations}."
            )
        experiment = experiment.replace(iterations=iterations)
    if time_limit_minutes is not None:
        experiment = experiment.replace(time_limit_minutes=time_limit_minutes)
    checkpoint = Checkpoints(directory, experiment.checkpoints_kept).newest()
    limit, used = experiment.time_limit_minutes, checkpoint.state.minutes
    if iterations is not None and limit is not None and used > limit:
        raise InvalidArgumentError(
            f"The run has trained for {used:.1f} minutes, and its `time_limit_minutes` is {limit}. For more iterations "
            f"raise that too: vla train --resume {directory} --iterations {iterations} --time-limit-minutes MINUTES"
        )
    run = Run(experiment, directory, _prompts(experiment))
    run.write_config()
    return run.improve(checkpoint)


def load_experiment(directory: Path) -> Experiment:
    """The experiment of a run's ``config.json``.

    Raises:
        InvalidArgumentError: there is none, or the file does not hold an experiment of this version.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise InvalidArgumentError(f"Expect the directory of a run that `vla train` wrote, actually: {directory}.")
    try:
        return _EXPERIMENT.validate_json(path.read_text())
    except ValidationError as error:
        raise InvalidArgumentError(f"{path} is not an experiment of this version: {error}") from error


class Run:
    """The steps of a run in their order, and what passes between them."""

    def __init__(self, experiment: Experiment, directory: Path, prompts: list[Prompt]) -> None:
        self.experiment = experiment
        self.directory = directory
        self.prompts = prompts
        self.progress = Progress(experiment)
        torch.set_num_threads(experiment.resources.torch_threads)

    def write_config(self) -> None:
        """Write down what is run."""
        atomic_write_text(self.directory / "config.json", json.dumps(dataclasses.asdict(self.experiment), indent=2))

    def begin(self, policy: Policy) -> None:
        """Make the first policy, and evaluate it."""
        self.write_config()
        rests_on = json.dumps(provenance(self.experiment.environment), indent=2)
        atomic_write_text(self.directory / "environment.json", rests_on)
        self.progress.phase("first policy")
        clone_expert(policy, self.experiment, self.progress.cloned)
        policy.eval().save_pretrained(self.policy_before)
        self._write_episodes({"before": self._evaluate(policy)})

    def improve(self, checkpoint: Checkpoint | None = None) -> Path:
        """Train, from the first policy or from a checkpoint, and report; returns the directory."""
        before = _EPISODES.validate_json((self.directory / "episodes.json").read_text())["before"]
        self.progress.phase("starting RLlib" if checkpoint is None else f"going on from {checkpoint.path.name}")
        first = dataclasses.replace(self.experiment.policy, path=str(self.policy_before.resolve()))
        training = Training(
            self.experiment.replace(policy=first), self.directory, self._evaluate, self.progress, checkpoint
        )
        policy, after = training.execute(before)
        policy.save_pretrained(self.directory / "policy")
        self._write_episodes({"before": before, "after": after})
        table = success_table(before, after)
        atomic_write_text(self.directory / "success.md", markdown(table) + "\n")
        self._film(policy)
        self.progress.finish(table, self.directory)
        return self.directory

    @property
    def policy_before(self) -> Path:
        """The first policy."""
        return self.directory / "policy_before"

    def _evaluate(self, policy: Policy, num_episodes: int | None = None) -> list[Episode]:
        self.progress.phase("evaluation")
        environment, evaluation = self.experiment.environment, self.experiment.evaluation
        return evaluate(policy.to(_device()), environment, self.prompts[:num_episodes], evaluation.num_envs)

    def _write_episodes(self, episodes: dict[str, list[Episode]]) -> None:
        atomic_write_text(self.directory / "episodes.json", _EPISODES.dump_json(episodes).decode())

    def _film(self, policy: Policy) -> None:
        """The first and the last policy on the same prompts, side by side."""
        evaluation, environment = self.experiment.evaluation, self.experiment.environment
        prompts = self.prompts[: evaluation.videos]
        if not prompts:
            return
        self.progress.phase("video")
        before = load_policy(self.experiment.policy.kind, path=self.policy_before).eval()
        policies = {"before": before.to(_device()), "after": policy.to(_device())}
        rows = [(name, record(each, environment, prompts, evaluation.video_stride)) for name, each in policies.items()]
        write_grid(rows, self.directory / "before_after.mp4")


def _device() -> str:
    """Where the driver evaluates."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _prompts(experiment: Experiment) -> list[Prompt]:
    return held_out_prompts(experiment.environment, "eval", experiment.evaluation.num_episodes)


def _new_directory(root: Path, name: str) -> Path:
    candidates = (root / (name if number == 1 else f"{name}-{number}") for number in range(1, 10_000))
    for directory in candidates:
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory
    raise FileExistsError(f"Every directory from {name} to {name}-9999 in {root} is taken.")
