"""One run: clone, evaluate, train by reinforcement learning, evaluate, report; and how it goes on when interrupted."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import ray
import torch
from pydantic import TypeAdapter

from policies.interface import Policy
from policies.registry import load_policy
from rllib_configs.algorithm import VLAPPO, VLAPPOConfig
from rllib_configs.config import Experiment
from rllib_configs.run.checkpoints import POLICY, Checkpoint, Checkpoints, RunState
from rllib_configs.run.cloning import clone_expert, load_initial_policy
from rllib_configs.run.evaluation import Episode, evaluate, held_out_prompts, provenance
from rllib_configs.run.logging import MetricsLog, Progress, scalars
from rllib_configs.run.report import CurvePoint, markdown, plot_curve, success_table
from rllib_configs.run.video import record, write_grid
from vla_envs.errors import InvalidArgumentError, NonFiniteError, require_extra
from vla_envs.files import atomic_write_text
from vla_envs.spec import Prompt

CONFIG_FILE = "config.json"
_EPISODES = TypeAdapter(dict[str, list[Episode]])


def train(experiment: Experiment, root: Path = Path("runs")) -> Path:
    """Run an experiment and leave its results in a directory of its own, which can be moved.

    The directory holds ``config.json``, ``environment.json`` (the versions that simulate and the like),
    ``policy_before/``, ``policy/`` and ``best/`` (``save_pretrained``; the best by held-out greedy success),
    ``checkpoints/`` (see :class:`~rllib_configs.run.checkpoints.Checkpoints`), ``progress.csv`` and TensorBoard
    events with a row per iteration, ``success.md``, ``episodes.json``, ``learning_curve.png`` and
    ``before_after.mp4``.

    Returns:
        The directory, ``root/<name>``, with ``-2``, ``-3``, ... where the name is taken.
    """
    # Whatever is wrong with the experiment shows before hours of work, and before a directory is made.
    experiment = experiment.resolved()
    experiment.environment.check_registered()
    VLAPPOConfig.from_experiment(experiment).validate()
    if experiment.wandb_project is not None:
        require_extra("wandb", "wandb")
    policy = load_initial_policy(experiment)
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
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise InvalidArgumentError(f"Expect the directory of a run that `vla train` wrote, actually: {directory}.")
    try:
        return Experiment.from_json(path)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"{error} Go on with the version that wrote it, or start a new run from its policy with: "
            f"vla train PRESET --policy.path {directory / 'policy'}"
        ) from None


class Run:
    """A run in its directory: first :meth:`begin`, then :meth:`improve`.

    Args:
        experiment: with everything that its environment takes from its policy.
        directory: where the results go.
        prompts: held-out starts of the evaluations.
    """

    def __init__(self, experiment: Experiment, directory: Path, prompts: list[Prompt]) -> None:
        self.experiment = experiment
        self.directory = directory
        self.prompts = prompts
        self.progress = Progress(experiment)
        self.checkpoints = Checkpoints(directory, experiment.checkpoints_kept)
        self.state = RunState()
        torch.set_num_threads(experiment.resources.torch_threads)

    def write_config(self) -> None:
        """Write down what is run."""
        atomic_write_text(self.directory / CONFIG_FILE, self.experiment.to_json())

    def begin(self, policy: Policy) -> None:
        """Make the initial policy of the run, and evaluate it."""
        self.write_config()
        rests_on = json.dumps(provenance(self.experiment.environment), indent=2)
        atomic_write_text(self.directory / "environment.json", rests_on)
        self.progress.phase("initial policy")
        clone_expert(policy, self.experiment, self.progress.cloned)
        policy.eval().save_pretrained(self.policy_before)
        self._write_episodes({"before": self._evaluate(policy)})

    def improve(self, checkpoint: Checkpoint | None = None) -> Path:
        """Train, from the initial policy or from a checkpoint, and report; returns the directory."""
        before = _EPISODES.validate_json((self.directory / "episodes.json").read_text())["before"]
        self.progress.phase("starting RLlib" if checkpoint is None else f"going on from {checkpoint.path.name}")
        policy, after = self._train(before, checkpoint)
        policy.save_pretrained(self.directory / "policy")
        self._write_episodes({"before": before, "after": after})
        table = success_table(before, after)
        atomic_write_text(self.directory / "success.md", markdown(table) + "\n")
        self._write_video(policy)
        self.progress.finish(table, self.directory)
        return self.directory

    @property
    def policy_before(self) -> Path:
        """Directory of the initial policy."""
        return self.directory / "policy_before"

    def _train(self, before: list[Episode], checkpoint: Checkpoint | None) -> tuple[Policy, list[Episode]]:
        """Train to the end, given the episodes of the initial policy; returns the last policy and its episodes."""
        if checkpoint is not None:
            self.state = checkpoint.state
        log = MetricsLog(self.directory, self.state.iteration, self.experiment.wandb_project)
        algorithm = build_algorithm(self.experiment.replace(policy=self.experiment.policy.saved_at(self.policy_before)))
        try:
            if checkpoint is None:
                self._add_curve_point(log, algorithm.policy_copy(), before)
                self._save_checkpoint(algorithm)
            else:
                self.checkpoints.restore_best(checkpoint)
                algorithm.load_training_state(checkpoint.training_state())
            self._iterate(algorithm, log)
            policy = algorithm.policy_copy()
            after = self._evaluate(policy) if self.state.iteration else before
            self._add_curve_point(log, policy, after)
            self._save_checkpoint(algorithm)
            return policy, after
        except NonFiniteError as error:
            sound = self.checkpoints.newest().path
            raise NonFiniteError(
                f"{str(error).removesuffix('.')}; the last sound checkpoint is {sound}, from whose policy a new run "
                f"with other settings, such as a lower --ppo.lr, starts by --policy.path {sound / POLICY}"
            ) from None
        finally:
            log.close()
            algorithm.stop()

    def _iterate(self, algorithm: VLAPPO, log: MetricsLog) -> None:
        """Update until the run is over, with evaluations and checkpoints in between."""
        state, experiment = self.state, self.experiment
        started = time.monotonic() - 60 * state.minutes
        while not self._is_over():
            values = scalars(algorithm.train())
            state.iteration += 1
            state.minutes = (time.monotonic() - started) / 60
            values["time/total_s"] = 60 * state.minutes
            state.sampled.append(values.get("ttrl/success_rate"))
            log.write(state.iteration, values)
            self.progress.trained(state.iteration, values)
            if self._is_over():
                break
            if state.iteration % experiment.evaluation.interval == 0:
                policy = algorithm.policy_copy()
                self._add_curve_point(log, policy, self._evaluate(policy, experiment.evaluation.curve_episodes))
            # Where the last gradient step was not finite, the weights may compute nothing that is.
            if state.iteration % experiment.checkpoint_interval == 0 and not algorithm.nonfinite_steps_in_a_row:
                self._save_checkpoint(algorithm)

    def _is_over(self) -> bool:
        limit = self.experiment.time_limit_minutes
        return self.state.iteration >= self.experiment.iterations or (limit is not None and self.state.minutes > limit)

    def _add_curve_point(self, log: MetricsLog, policy: Policy, episodes: list[Episode]) -> None:
        """Add a point to the learning curve; the policy is kept as the best where no earlier one did as well."""
        counted = [episode.success for episode in episodes[: self.experiment.evaluation.curve_episodes]]
        point = CurvePoint(self.state.iteration, sum(counted), len(counted))
        earlier = [each for each in self.state.curve if each.iteration < point.iteration]
        self.state.curve = [*earlier, point]
        if all(point.rate > each.rate for each in earlier):
            policy.save_pretrained(self.checkpoints.best)
        log.write(point.iteration, {"eval/success_rate": point.rate})
        self.progress.evaluated(point.iteration, point.rate)
        plot_curve(self.state.sampled, self.state.curve, self.experiment.name, self.directory / "learning_curve.png")

    def _save_checkpoint(self, algorithm: VLAPPO) -> None:
        path = self.checkpoints.save(algorithm.policy_copy(), algorithm.training_state(), self.state)
        self.progress.saved(path)

    def _evaluate(self, policy: Policy, num_episodes: int | None = None) -> list[Episode]:
        """Greedy episodes from the first so many held-out prompts, or from all."""
        self.progress.phase("evaluation")
        environment, evaluation = self.experiment.environment, self.experiment.evaluation
        return evaluate(policy.to(_device()), environment, self.prompts[:num_episodes], evaluation.num_envs)

    def _write_episodes(self, episodes: dict[str, list[Episode]]) -> None:
        atomic_write_text(self.directory / "episodes.json", _EPISODES.dump_json(episodes).decode())

    def _write_video(self, policy: Policy) -> None:
        """Show the initial and the last policy on the same prompts, side by side."""
        evaluation, environment = self.experiment.evaluation, self.experiment.environment
        prompts = self.prompts[: evaluation.videos]
        if not prompts:
            return
        self.progress.phase("video")
        before = load_policy(self.experiment.policy.kind, path=self.policy_before).eval()
        policies = {"before": before.to(_device()), "after": policy.to(_device())}
        rows = [(name, record(each, environment, prompts, evaluation.video_stride)) for name, each in policies.items()]
        write_grid(rows, self.directory / "before_after.mp4")


def build_algorithm(experiment: Experiment) -> VLAPPO:
    """The algorithm on the Ray that runs, or on a local one."""
    if not ray.is_initialized():
        # Workers must import this package from wherever the driver did.
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
        ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
    return VLAPPO(config=VLAPPOConfig.from_experiment(experiment))


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
