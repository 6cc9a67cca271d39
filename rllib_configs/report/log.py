"""Scalars of every iteration, as CSV and as TensorBoard events."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

_MODULE = ("learners", "default_policy")

SCALARS: Mapping[str, tuple[str, ...]] = {
    "ttrl/success_rate": ("ttrl", "success_rate"),
    "ttrl/pass_at_n": ("ttrl", "pass_at_n"),
    "ttrl/reward": ("ttrl", "reward"),
    "ttrl/steps": ("ttrl", "steps"),
    "ttrl/frac_zero_std_groups": ("ttrl", "frac_zero_std_groups"),
    "rollout/invalid_trajectories": ("rollout", "invalid_trajectories"),
    "policy/approx_kl": (*_MODULE, "approx_kl"),
    "policy/clip_fraction": (*_MODULE, "clip_fraction"),
    "policy/entropy": (*_MODULE, "entropy"),
    "loss/policy": (*_MODULE, "policy_loss"),
    "loss/value": (*_MODULE, "vf_loss"),
    "time/iteration_s": ("time_this_iter_s",),
    "time/sampling_s": ("timers", "env_runner_sampling_timer"),
    "time/learning_s": ("timers", "learner_update_timer"),
    "time/total_s": ("time_total_s",),
}
"""Name in the log -> where RLlib's result has it; a critic-free run has no ``loss/value``."""


class ResultLog:
    """Writes ``progress.csv`` and TensorBoard events into a directory, one row an iteration."""

    def __init__(self, directory: Path) -> None:
        self._events = SummaryWriter(str(directory))
        self._file = (directory / "progress.csv").open("w", newline="")
        self._csv = csv.DictWriter(self._file, ["iteration", *SCALARS, "eval/success_rate"])
        self._csv.writeheader()

    def write(self, iteration: int, result: Mapping[str, Any], eval_success_rate: float | None) -> None:
        """Add an iteration; what is None or NaN was not measured and is left out."""
        row = {name: _look_up(result, path) for name, path in SCALARS.items()}
        row["eval/success_rate"] = eval_success_rate
        known = {name: float(each) for name, each in row.items() if each is not None and not math.isnan(each)}
        for name, value in known.items():
            self._events.add_scalar(name, value, iteration)
        self._csv.writerow({"iteration": iteration, **known})
        self._file.flush()

    def close(self) -> None:
        """Close both files."""
        self._events.close()
        self._file.close()


def _look_up(result: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    return reduce(lambda level, key: level.get(key) if isinstance(level, Mapping) else None, path, result)
