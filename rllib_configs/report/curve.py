"""The learning curve of a run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from rllib_configs.evaluation import wilson_interval
from vla_envs.files import atomic_path


class CurvePoint(NamedTuple):
    """A greedy evaluation during training."""

    iteration: int
    successes: int
    episodes: int

    @property
    def rate(self) -> float:
        """Share of the episodes that succeeded."""
        return self.successes / self.episodes


def plot_curve(sampled: Sequence[float | None], points: Sequence[CurvePoint], title: str, path: Path) -> None:
    """Sampled success per iteration, with gaps for None, and greedy held-out success with its 95 % band, as a PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    rates = np.array(sampled, float)  # None becomes NaN
    axes.plot(range(1, len(rates) + 1), rates, color="#9aa5b1", lw=1, label="training states, sampled")
    iterations = [point.iteration for point in points]
    low, high = zip(*(wilson_interval(point.successes, point.episodes) for point in points), strict=True)
    axes.fill_between(iterations, low, high, color="#1f77b4", alpha=0.15, lw=0)
    axes.plot(
        iterations,
        [point.rate for point in points],
        "o-",
        color="#1f77b4",
        label="held-out states, greedy (95 % interval)",
    )
    axes.set(xlabel="iteration", ylabel="success rate", ylim=(0, 1), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path) as scratch:
        figure.savefig(scratch, dpi=120)
