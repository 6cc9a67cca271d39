"""What a person sees while a run works."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rllib_configs.experiment import Experiment


class Progress:
    """One line per event: phases, cloning epochs, iterations with the time left, evaluations, checkpoints."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.console = Console(highlight=False)
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

    def trained(self, iteration: int, values: Mapping[str, float]) -> None:
        """A training iteration has ended, with these :func:`~rllib_configs.report.scalars.scalars`."""
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
            f"  {took:4.1f} s, {left / 60:4.1f} min left"
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
        self._line(f"results in [bold]{directory}[/]")

    def _line(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        self.console.print(f"[dim]{minutes:02d}:{seconds:02d}[/]  {text}", soft_wrap=True)


def _number(value: float | None, form: str) -> str:
    """The number, or a dash where nothing was measured: an iteration without a signal updates nothing."""
    return "-" if value is None else format(value, form)
