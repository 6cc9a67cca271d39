"""Scalars of every iteration, as CSV, as TensorBoard events and, where asked for, on Weights & Biases."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from vla_envs.errors import require_extra
from vla_envs.files import atomic_path

TABLE = "progress.csv"


class ResultLog:
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


def _read(table: Path) -> dict[int, dict[str, Any]]:
    """Iteration -> what was measured in it; nothing if there is no table yet."""
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        return {
            int(row["iteration"]): {name: value for name, value in row.items() if value} for row in csv.DictReader(file)
        }


def _wandb_run(project: str, directory: Path) -> Any:
    """A run of Weights & Biases, or the one that a killed session of the same directory has left open."""
    wandb = require_extra("wandb", "wandb")
    return wandb.init(project=project, name=directory.name, dir=directory, resume="auto")
