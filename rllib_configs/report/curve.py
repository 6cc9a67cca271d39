"""The learning curve of a run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from rllib_configs.evaluation import wilson_interval
from vla_envs.files import atomic_path


class CurvePoint(NamedTuple):
    """A greedy evaluation during training."""

    iteration: int
    successes: int
    episodes: int


def plot_curve(sampled: Sequence[float], points: Sequence[CurvePoint], title: str, path: Path) -> None:
    """Sampled success per iteration and greedy held-out success with its 95 % band, as a PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(sampled) + 1), sampled, color="#9aa5b1", lw=1, label="training states, sampled")
    iterations = [point.iteration for point in points]
    low, high = zip(*(wilson_interval(point.successes, point.episodes) for point in points), strict=True)
    axes.fill_between(iterations, low, high, color="#1f77b4", alpha=0.15, lw=0)
    greedy = [point.successes / point.episodes for point in points]
    axes.plot(iterations, greedy, "o-", color="#1f77b4", label="held-out states, greedy (95 % interval)")
    axes.set(xlabel="iteration", ylabel="success rate", ylim=(0, 1), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path) as scratch:
        figure.savefig(scratch, dpi=120)
