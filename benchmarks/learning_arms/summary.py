"""The runs of all arms as a table, and their curves with bands over the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.learning_arms.arms import PANELS
from benchmarks.learning_arms.results import Result
from rllib_configs.run.report import Cells
from vla_envs.files import atomic_path

TARGET = 0.9
"""Greedy success whose time the table tells."""

QUANTITIES = {
    "success": "held-out greedy success",
    "sampled_steps": "steps of a sampled success",
    "sampled_pass_at_n": "sampled groups with a success",
}
"""Field of a point of the curve -> what an axis calls it."""

Runs = Mapping[str, Sequence[Result]]
"""Arm -> its results, one for each seed."""


def table(runs: Runs) -> list[Cells]:
    """A header and a row for each arm: means over the seeds, lowest and highest in brackets."""
    header = ("arm", "seeds", "success", "best", "over the run", f"minutes to {TARGET:.0%}", "steps per success")
    header += ("sampled success", "pass@n")
    return [header, *(_row(arm, results) for arm, results in runs.items())]


def _row(arm: str, results: Sequence[Result]) -> Cells:
    return (
        arm,
        str(len(results)),
        _percent(each.curve[-1].success for each in results),
        _percent(max(point.success for point in each.curve) for each in results),
        _percent(_over_the_run(each) for each in results),
        ", ".join(_minutes(each) for each in results),
        _spread([each.steps_per_success for each in results if each.steps_per_success is not None], "{:.1f}"),
        _percent(each.sampled_success for each in results),
        _percent(each.pass_at_n for each in results),
    )


def _over_the_run(result: Result) -> float:
    """Mean of all points but the initial policy's: how fast it learns, with less chance than in the last point."""
    trained = result.curve[1:] or result.curve
    return float(np.mean([point.success for point in trained]))


def _minutes(result: Result) -> str:
    reached = [point.minutes for point in result.curve if point.success >= TARGET]
    return f"{reached[0]:.1f}" if reached else "-"


def _percent(values: Iterable[float]) -> str:
    return _spread(list(values), "{:.0%}")


def _spread(values: Sequence[float], form: str) -> str:
    """The mean with the lowest and the highest."""
    if not values:
        return "-"
    mean, low, high = (form.format(each) for each in (np.mean(values), min(values), max(values)))
    return f"{mean} [{low}, {high}]"


def draw(runs: Runs, path: Path) -> None:
    """The panels of these arms, against sampled trajectories: means over the seeds, bands from lowest to highest."""
    panels = {title: panel for title, panel in PANELS.items() if set(panel.arms) & runs.keys()}
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4 * columns, 3.5 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).flat
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, panel) in zip(every, panels.items(), strict=False):
        for arm in filter(runs.get, panel.arms):
            _draw_arm(axes, runs[arm], arm, panel.quantity)
        axes.set(title=title, xlabel="trajectories", ylabel=QUANTITIES[panel.quantity])
        axes.set_ylim(0, None if panel.quantity == "sampled_steps" else 1)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(loc="lower right")
    with atomic_path(path) as scratch:
        figure.savefig(scratch, dpi=110)


def _draw_arm(axes: Axes, results: Sequence[Result], arm: str, quantity: str) -> None:
    curves = [{point.trajectories: getattr(point, quantity) for point in each.curve} for each in results]
    shared = sorted(set.intersection(*({key for key, value in curve.items() if value is not None} for curve in curves)))
    values = np.array([[curve[each] for each in shared] for curve in curves])
    (line,) = axes.plot(shared, values.mean(axis=0), "o-", markersize=3, label=arm.replace("_", " "))
    axes.fill_between(shared, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.15, linewidth=0)
