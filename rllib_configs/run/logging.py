"""What a run says while it works: metrics as CSV, TensorBoard events and W&B, and lines for the person who waits."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, takewhile
from numbers import Real
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter

from policies.behavior_cloning import Measurement
from rllib_configs.config import Experiment
from rllib_configs.run.directory import PAGE
from vla_envs.errors import require_extra
from vla_envs.files import atomic_path, set_aside

GROUPS = ("ttrl", "rollout", "throughput", "memory")
"""Parts of RLlib's result whose numbers keep their names, whatever they are."""

LEARNER_NAMES = {
    "policy_loss": "loss/policy",
    "total_loss": "loss/total",
    "vf_loss": "loss/value",
    "gradients_default_optimizer_global_norm": "policy/gradient_norm",
    "default_optimizer_learning_rate": "policy/learning_rate",
}
"""Learner's name -> ours; its other numbers are ``policy/<name>``."""

PHASES = {
    "env_runner_sampling_timer": "time/sampling_s",
    "learner_update_timer": "time/learning_s",
    "synch_weights": "time/weights_sync_s",
}
"""RLlib's timer of a phase -> ours; its others are averages over iterations."""

_BOOKKEEPING = ("num_", "module_train_batch_size", "weights_seq_no", "peak_memory")


def scalars(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of RLlib's result that were measured, sorted by name.

    What RLlib reports of no measurement is NaN, and is left out. A learner that has made an update counts its
    ``nonfinite_steps``, and its NaN stays: that is what it measured.

    ``ttrl/``, ``rollout/``, ``throughput/`` and ``memory/`` are as the algorithm logs them, ``policy/``
    and ``loss/`` the learner's, ``time/`` in seconds.

    >>> learner = {"policy_loss": -0.5, "approx_kl": 0.25, "vf_loss": float("nan")}
    >>> scalars({"ttrl": {"reward": 1.0}, "learners": {"default_policy": learner}, "time_this_iter_s": 3})
    {'loss/policy': -0.5, 'policy/approx_kl': 0.25, 'time/iteration_s': 3.0, 'ttrl/reward': 1.0}
    """
    return {name: float(value) for name, value in sorted(_named(result))}


def _named(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group in GROUPS:
        yield from ((f"{group}/{name}", value) for name, value in _numbers(result.get(group)))
    learner = result.get("learners", {}).get("default_policy", {})
    updated = not math.isnan(learner.get("nonfinite_steps", math.nan))
    for name, value in _numbers(learner, keep_nan=updated):
        if not name.startswith(_BOOKKEEPING):
            yield LEARNER_NAMES.get(name, f"policy/{name}"), value
    yield from ((PHASES[name], value) for name, value in _numbers(result.get("timers")) if name in PHASES)
    if "time_this_iter_s" in result:
        yield "time/iteration_s", result["time_this_iter_s"]


def _numbers(group: Mapping[str, Any] | None, prefix: str = "", keep_nan: bool = False) -> Iterator[tuple[str, Any]]:
    """The numbers of nested dictionaries, their keys joined by slashes."""
    for key, value in (group or {}).items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/", keep_nan)
        elif isinstance(value, Real) and (keep_nan or not math.isnan(value)):
            yield prefix + key, value


TABLE = "progress.csv"


class MetricsLog:
    """Writes ``progress.csv`` and TensorBoard events into a directory.

    Args:
        directory: of the run; where it has a log already, that goes on after ``iteration``.
        iteration: the last one that counts, 0 for a new run; rows and events after it are dropped.
        wandb_project: Weights & Biases project to log to as well, or None.

    Raises:
        DependencyNotInstalled: a project is given, and ``wandb`` is not installed.
    """

    def __init__(self, directory: Path, iteration: int = 0, wandb_project: str | None = None) -> None:
        self._wandb = None if wandb_project is None else _wandb_run(wandb_project, directory)
        self._table = directory / TABLE
        self._rows = {number: row for number, row in _read(self._table).items() if number <= iteration}
        self._events = SummaryWriter(str(directory), purge_step=iteration + 1)

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add values to an iteration; the table gains a column with every new name."""
        for name, value in values.items():
            self._events.add_scalar(name, value, iteration)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=iteration)
        self._rows.setdefault(iteration, {"iteration": iteration}).update(values)
        columns = dict.fromkeys(chain.from_iterable(self._rows.values()))
        with atomic_path(self._table) as path, path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(columns))
            table.writeheader()
            table.writerows(self._rows.values())

    def close(self) -> None:
        """Write what is not yet on disk."""
        self._events.close()
        if self._wandb is not None:
            self._wandb.finish()


def read_metrics(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> the iterations of a run in which it was measured, with the values."""
    metrics: dict[str, list[tuple[int, float]]] = {}
    for iteration, row in _read(directory / TABLE).items():
        for name, value in row.items():
            if name != "iteration":
                metrics.setdefault(name, []).append((iteration, float(value)))
    return metrics


def _read(table: Path) -> dict[int, dict[str, Any]]:
    """Iteration -> what was measured in it; nothing if there is no table yet."""
    if not table.is_file():
        return {}
    lines = table.read_bytes().decode(errors="replace").splitlines()
    try:
        header, *rows = csv.reader(lines, strict=True)
        if header[:1] != ["iteration"]:
            raise ValueError(f"its header is {lines[0][:80]!r}")
    except (csv.Error, ValueError) as error:
        set_aside(table, error)
        return {}
    sound = list(takewhile(partial(_is_sound, header), rows))
    if len(sound) < len(rows):
        set_aside(table, f"line {len(sound) + 2} is damaged; the lines before it are kept")
    return {int(row[0]): {name: cell for name, cell in zip(header, row, strict=True) if cell} for row in sound}


def _is_sound(header: Sequence[str], row: Sequence[str]) -> bool:
    """Whether a row has the cells of the header, which are numbers where they are not empty."""
    try:
        int(row[0])
        [float(cell) for cell in row if cell]
    except (IndexError, ValueError):
        return False
    return len(row) == len(header)


def _wandb_run(project: str, directory: Path) -> Any:
    """A run of Weights & Biases, or the one that a killed session of the same directory has left open."""
    wandb = require_extra("wandb", "wandb")
    return wandb.init(project=project, name=directory.name, dir=directory, resume="auto")


class _Console(Console):
    """Lets the run end as it ends by other errors, with a checkpoint, where nobody reads its output any more."""

    def on_broken_pipe(self) -> None:
        raise  # what rich is handling while it calls this


class Progress:
    """One line per event: phases, cloning epochs, iterations with the time left, evaluations, checkpoints."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.console = _Console(highlight=False)
        self.started = time.monotonic()
        self.training_started: float | None = None
        self.trained_here = 0
        environment = experiment.environment
        self.console.print(f"[bold]{experiment.name}[/]: {environment.id}, {experiment.policy.kind} policy")

    def phase(self, name: str) -> None:
        """A phase begins."""
        self._line(f"[cyan]{name}[/]")

    def cloned(self, step: int, loss: float) -> None:
        """A gradient step of cloning has been made."""
        if step % 500 == 0:
            self._line(f"step {step:5d}/{self.experiment.bc.steps}  cloning loss {loss:.3f}")

    def validated(self, measured: Measurement) -> None:
        """The validation loss of cloning has been measured."""
        best = "  [bold]best[/]" if measured.is_best else ""
        self._line(f"step {measured.step:5d}/{self.experiment.bc.steps}  validation loss {measured.loss:.3f}{best}")

    def trained(self, iteration: int, values: Mapping[str, float]) -> None:
        """A training iteration has ended, with these :func:`scalars`."""
        now, took = time.monotonic(), values["time/iteration_s"]
        self.training_started = self.training_started or now - took
        self.trained_here += 1
        left = (now - self.training_started) / self.trained_here * (self.experiment.iterations - iteration)
        if self.experiment.time_limit_minutes is not None:
            left = min(left, 60 * self.experiment.time_limit_minutes - values["time/total_s"])
        self._line(
            f"iteration {iteration:3d}/{self.experiment.iterations}"
            f"  sampled success {_number(values.get('ttrl/success_rate'), '4.0%')}"
            f"  reward {_number(values.get('ttrl/reward'), '.3f')}"
            f"  KL {_number(values.get('policy/approx_kl'), '.4f')}"
            f"  {took:4.1f} s, {max(left, 0.0) / 60:4.1f} min left"
        )

    def evaluated(self, iteration: int, rate: float) -> None:
        """A point of the learning curve is known."""
        self._line(f"[bold]iteration {iteration:3d}  held-out greedy success {rate:.0%}[/]")

    def saved(self, checkpoint: Path) -> None:
        """A checkpoint is on disk."""
        self._line(f"[dim]checkpoint {checkpoint.name}[/]")

    def finish(self, rows: Sequence[tuple[str, ...]], directory: Path) -> None:
        """The run has ended."""
        header, *body = rows
        table = Table(*header, title="greedy success on held-out initial states, 95 % intervals")
        for row in body:
            table.add_row(*row, style="bold" if row is body[-1] else None)
        self.console.print(table)
        self._line(f"results in [bold]{directory}[/], to look at: [bold]{PAGE}[/]")

    def cloned_in(self, directory: Path) -> None:
        """A policy has been cloned, which other commands take from there."""
        self._line(f"policy in [bold]{directory}[/]")
        self._line(f"measure it with: vla evaluate {directory}")
        self._line(f"train it with: vla train PRESET --policy.path {directory}")

    def _line(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        self.console.print(f"[dim]{minutes:02d}:{seconds:02d}[/]  {text}", soft_wrap=True)


def _number(value: float | None, form: str) -> str:
    """The number, or a dash where nothing was measured: an iteration without a signal updates nothing."""
    return "-" if value is None else format(value, form)
