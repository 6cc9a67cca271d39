"""One run: clone, evaluate, train by reinforcement learning, evaluate, report; and how it goes on when interrupted."""

from __future__ import annotations

import json
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
import torch

from policies.interface import Policy
from policies.registry import load_policy
from rllib_configs.algorithm import VLAPPO, VLAPPOConfig
from rllib_configs.config import Experiment
from rllib_configs.run.actors import device, greedy
from rllib_configs.run.checkpoints import POLICY, Checkpoint, Checkpoints, RunState
from rllib_configs.run.cloning import clone_demonstrations, load_demonstrations, load_initial_policy
from rllib_configs.run.cluster import check_address, connect
from rllib_configs.run.directory import (
    CHECKPOINTS,
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    FILM,
    SUCCESS_TABLE,
    load_experiment,
    new_directory,
)
from rllib_configs.run.evaluation import (
    EPISODES_FILE,
    Episode,
    evaluate,
    held_out_prompts,
    provenance,
    read_episodes,
    starts_of,
    write_episodes,
)
from rllib_configs.run.interruption import Interruption, Stopped
from rllib_configs.run.logging import MetricsLog, Progress, scalars
from rllib_configs.run.model_card import CARD, write_model_card
from rllib_configs.run.report import CurvePoint, markdown, plot_curve, success_table
from rllib_configs.run.run_page import write_run_page
from rllib_configs.run.video import record, write_grid
from vla_envs.errors import InvalidArgumentError, NonFiniteError, VLAEnvsError, WorkerError, require_extra
from vla_envs.files import DISK_ERRORS, atomic_write_text, check_writable, claimed, expanded, set_aside
from vla_envs.spec import Prompt

RAY_FOLDERS = ("~/.ray", "~/ray_results")
"""What Ray writes, wherever the results of a run go."""


def train(experiment: Experiment, root: Path = Path("runs")) -> Path:
    """Run an experiment and leave its results in a directory of its own, which can be moved.

    The directory holds ``config.json``, ``environment.json`` (the versions that simulate and the like),
    ``policy_before/``, ``policy/`` and ``best/`` (``save_pretrained``; the best by held-out greedy success),
    ``checkpoints/`` (see :class:`~rllib_configs.run.checkpoints.Checkpoints`), ``progress.csv`` and TensorBoard
    events with a row per iteration, ``success.md``, ``episodes.json``, ``learning_curve.png``, ``before_after.mp4``,
    ``report.html``, which shows all of it, and ``model_card.md``.

    Returns:
        The directory, ``root/<name>``, with ``-2``, ``-3``, ... where the name is taken.
    """
    # Whatever is wrong with the experiment shows before hours of work, and before a directory is made.
    experiment = experiment.resolved()
    check_writable(root, "runs", "Start from another working directory.")
    experiment.environment.check_registered()
    _check(experiment)
    interruption = Interruption()
    with interruption.listening():
        policy = load_initial_policy(experiment)
        prompts = _prompts(experiment)
        directory = new_directory(root, experiment.name)
        with claimed(directory), _advice(directory):
            run = Run(experiment, directory, prompts, interruption)
            if directory.name != experiment.name:
                run.progress.phase(f"{root / experiment.name} is taken: results go to {directory}")
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
        InvalidArgumentError: no run, one that another process works on, no sound checkpoint, fewer iterations, or more
            of them than the time limit leaves.
        Stopped: a signal has ended the run.
    """
    experiment = load_experiment(directory)
    _check(experiment)
    interruption = Interruption()
    with claimed(directory), interruption.listening(), _advice(directory):
        return _go_on(experiment, directory, interruption, iterations, time_limit_minutes)


def _go_on(
    experiment: Experiment,
    directory: Path,
    interruption: Interruption,
    iterations: int | None,
    time_limit_minutes: float | None,
) -> Path:
    """Go on with the run of a directory that no other process works on."""
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
    has_ended = (directory / CARD).is_file()
    if limit is not None and used > limit and (iterations is not None or has_ended):
        raise InvalidArgumentError(
            f"The run has trained for {used:.1f} minutes, and its `time_limit_minutes` is {limit}. Raise that for "
            f"more: vla train --resume {directory} --iterations {experiment.iterations} --time-limit-minutes MINUTES"
        )
    run = Run(experiment, directory, _prompts(experiment), interruption)
    if has_ended and checkpoint.state.iteration == experiment.iterations:
        run.progress.phase(f"the run has all its {experiment.iterations} iterations; --iterations N goes on to N")
        return directory
    (directory / CARD).unlink(missing_ok=True)
    run.write_config()
    return run.improve(checkpoint)


class Run:
    """A run in its directory: first :meth:`begin`, then :meth:`improve`.

    Args:
        experiment: with everything that its environment takes from its policy.
        directory: where the results go.
        prompts: held-out starts of the evaluations.
        interruption: what signals do.
    """

    def __init__(
        self, experiment: Experiment, directory: Path, prompts: list[Prompt], interruption: Interruption | None = None
    ) -> None:
        self.experiment = experiment
        self.directory = directory
        self.prompts = prompts
        self.progress = Progress(experiment)
        self.checkpoints = Checkpoints(directory, experiment.checkpoints_kept)
        self.state = RunState()
        self.saved_iteration = -1
        self.interruption = interruption or Interruption()
        torch.set_num_threads(experiment.resources.torch_threads)

    def write_config(self) -> None:
        """Write down what is run."""
        atomic_write_text(self.directory / CONFIG_FILE, self.experiment.to_json())

    def begin(self, policy: Policy) -> None:
        """Make the initial policy of the run, and evaluate it."""
        self.write_config()
        machine = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
        rests_on = {**provenance(self.experiment.environment), "machine": machine}
        atomic_write_text(self.directory / ENVIRONMENT_FILE, json.dumps(rests_on, indent=2))
        self.progress.phase("initial policy")
        if self.experiment.clones:
            demonstrations = load_demonstrations(self.experiment)
            clone_demonstrations(policy, self.experiment, demonstrations, self.progress.cloned, self.progress.validated)
        policy.eval().save_pretrained(self.policy_before)
        write_episodes(self.directory, {"before": self._evaluate(policy)})

    def improve(self, checkpoint: Checkpoint | None = None) -> Path:
        """Train, from the initial policy or from a checkpoint, and report; returns the directory."""
        before = self._episodes_before()
        self.progress.phase("starting RLlib" if checkpoint is None else f"going on from {checkpoint.path.name}")
        policy, after = self._train(before, checkpoint)
        policy.save_pretrained(self.directory / "policy")
        write_episodes(self.directory, {"before": before, "after": after})
        table = success_table({"before": before, "after": after})
        atomic_write_text(self.directory / SUCCESS_TABLE, markdown(table) + "\n")
        self._write_video(policy)
        write_run_page(self.directory)
        write_model_card(self.directory)  # the last: it says that the run has ended
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
            self.saved_iteration = self.state.iteration
        log = MetricsLog(self.directory, self.state.iteration, self.experiment.wandb_project)
        algorithm = build_algorithm(self.experiment.replace(policy=self.experiment.policy.saved_at(self.policy_before)))
        try:
            if checkpoint is None:
                with self.interruption.postponed():
                    self._add_curve_point(log, algorithm.policy_copy(), before)
                    self._save_checkpoint(algorithm)
            else:
                self.checkpoints.restore_best(checkpoint)
                algorithm.load_training_state(checkpoint.training_state())
            self._iterate(algorithm, log)
            if self.state.iteration < self.experiment.iterations:
                self.progress.phase(self._stopped_by_limit())
            policy = algorithm.policy_copy()
            after = self._evaluate(policy) if self.state.iteration else before
            with self.interruption.postponed():
                self._add_curve_point(log, policy, after)
                self._save_checkpoint(algorithm)
            return policy, after
        except NonFiniteError as error:
            sound = self.checkpoints.newest().path
            raise NonFiniteError(
                f"{str(error).removesuffix('.')}; the last sound checkpoint is {sound}, from whose policy a new run "
                f"with other settings, such as a lower --ppo.lr, starts by --policy.path {sound / POLICY}"
            ) from None
        except (Stopped, BrokenPipeError):
            if self._can_be_saved(algorithm):
                self._save_checkpoint(algorithm)
            raise
        except ray.exceptions.RayError as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise WorkerError(f"A process of Ray failed in iteration {self.state.iteration + 1}: {reason}.") from error
        finally:
            log.close()
            algorithm.stop()

    def _iterate(self, algorithm: VLAPPO, log: MetricsLog) -> None:
        """Update until the run is over, with evaluations and checkpoints in between."""
        state, experiment = self.state, self.experiment
        started = time.monotonic() - 60 * state.minutes
        while not self._is_over():
            # First, because a run that was stopped before its evaluation goes on with it.
            if state.iteration % experiment.evaluation.interval == 0 and not self._is_evaluated():
                policy = algorithm.policy_copy()
                episodes = self._evaluate(policy, experiment.evaluation.curve_episodes)
                with self.interruption.postponed():
                    self._add_curve_point(log, policy, episodes)
            with self.interruption.postponed():
                if state.iteration % experiment.checkpoint_interval == 0 and self._can_be_saved(algorithm):
                    self._save_checkpoint(algorithm)
                values = scalars(algorithm.train())
                state.iteration += 1
                state.minutes = (time.monotonic() - started) / 60
                values["time/total_s"] = 60 * state.minutes
                state.sampled.append(values.get("ttrl/success_rate"))
                log.write(state.iteration, values)
                self.progress.trained(state.iteration, values)

    def _is_evaluated(self) -> bool:
        return any(point.iteration == self.state.iteration for point in self.state.curve)

    def _can_be_saved(self, algorithm: VLAPPO) -> bool:
        """Whether there is something new; after a gradient step that was not finite, weights may compute nothing."""
        return self.state.iteration > self.saved_iteration and not algorithm.nonfinite_steps_in_a_row

    def _is_over(self) -> bool:
        limit = self.experiment.time_limit_minutes
        return self.state.iteration >= self.experiment.iterations or (limit is not None and self.state.minutes > limit)

    def _stopped_by_limit(self) -> str:
        return (
            f"stopped by the time limit of {self.experiment.time_limit_minutes:g} minutes after "
            f"{self.state.iteration} of {self.experiment.iterations} iterations; go on with: "
            f"vla train --resume {self.directory} --time-limit-minutes MINUTES"
        )

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
        self.saved_iteration = self.state.iteration
        self.progress.saved(path)

    def _evaluate(self, policy: Policy, num_episodes: int | None = None) -> list[Episode]:
        """Greedy episodes from the first so many held-out prompts, or from all."""
        self.progress.phase("evaluation")
        environment, evaluation = self.experiment.environment, self.experiment.evaluation
        actor = greedy(policy.to(device()))
        return evaluate(actor, environment, self.prompts[:num_episodes], evaluation.num_envs)

    def _episodes_before(self) -> list[Episode]:
        """Those of the initial policy; where their file is damaged, the same ones once more."""
        try:
            return read_episodes(self.directory)["before"]
        except (InvalidArgumentError, KeyError) as error:
            set_aside(self.directory / EPISODES_FILE, error)
        policy = load_policy(self.experiment.policy.kind, path=self.policy_before).eval()
        before = self._evaluate(policy)
        write_episodes(self.directory, {"before": before})
        return before

    def _write_video(self, policy: Policy) -> None:
        """Show the initial and the last policy on the same prompts, side by side."""
        evaluation, environment = self.experiment.evaluation, self.experiment.environment
        prompts = self.prompts[: evaluation.videos]
        if not prompts:
            return
        self.progress.phase("video")
        before = load_policy(self.experiment.policy.kind, path=self.policy_before).eval()
        policies = {"before": before.to(device()), "after": policy.to(device())}
        rows = [
            (name, record(greedy(each), environment, starts_of(prompts), evaluation.video_stride))
            for name, each in policies.items()
        ]
        write_grid(rows, self.directory / FILM)


def build_algorithm(experiment: Experiment) -> VLAPPO:
    """The algorithm on the Ray that runs, or on a local one."""
    connect()
    return VLAPPO(config=VLAPPOConfig.from_experiment(experiment))


@contextmanager
def _advice(directory: Path) -> Iterator[None]:
    """Say how a run goes on that a signal, the disk, a process of Ray or the reader of its output has ended."""
    try:
        yield
    except Stopped as stopped:
        raise Stopped(stopped.number, _how_to_go_on(directory)) from None
    except WorkerError as error:
        raise WorkerError(f"{error} {_how_to_go_on(directory)}") from error
    except BrokenPipeError:
        raise Stopped(signal.SIGPIPE, _how_to_go_on(directory)) from None
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise VLAEnvsError(f"{error}. {_how_to_go_on(directory)}") from error


def _how_to_go_on(directory: Path) -> str:
    if any((directory / CHECKPOINTS).glob("iteration_*")):
        return f"Go on with: vla train --resume {directory}"
    return "Nothing is trained yet: start again."


def _check(experiment: Experiment) -> None:
    """Check what can be checked without hours of work."""
    VLAPPOConfig.from_experiment(experiment).validate()
    if experiment.wandb_project is not None:
        require_extra("wandb", "wandb")
    for folder in RAY_FOLDERS:
        check_writable(expanded(folder), "Ray's own files", "Set HOME to a directory that can be written.")
    check_address()


def _prompts(experiment: Experiment) -> list[Prompt]:
    return held_out_prompts(experiment.environment, "eval", experiment.evaluation.num_episodes)
