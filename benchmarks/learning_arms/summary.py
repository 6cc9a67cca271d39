"""The runs of all arms as a table, and their curves with bands over the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.learning_arms.arms import PANELS
from benchmarks.learning_arms.results import Result
from rllib_configs.report.tables import Cells
from vla_envs.files import atomic_path

TARGET = 0.9
"""Greedy success whose time the table tells."""

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
    """Mean of all points but the first policy's: how fast it learns, with less chance than in the last point."""
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
    """Greedy success against sampled trajectories: the mean over the seeds, a band from the lowest to the highest."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flat
    colours = {arm: f"C{index}" for index, arm in enumerate(runs)}
    for axes, (title, arms) in zip(panels, PANELS.items(), strict=True):
        for arm in arms:
            if arm in runs:
                _draw_arm(axes, runs[arm], arm, colours[arm])
        axes.axhline(TARGET, color="0.6", linestyle=":", linewidth=1)
        axes.set(title=title, xlabel="trajectories", ylabel="held-out greedy success", ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    with atomic_path(path) as scratch:
        figure.savefig(scratch, dpi=110)


def _draw_arm(axes: Axes, results: Sequence[Result], arm: str, colour: str) -> None:
    curves = [{point.trajectories: point.success for point in each.curve} for each in results]
    shared = sorted(set.intersection(*map(set, curves)))
    values = np.array([[curve[each] for each in shared] for curve in curves])
    axes.fill_between(shared, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.plot(shared, values.mean(axis=0), "o-", color=colour, markersize=3, label=arm.replace("_", " "))
