"""What a run leaves for people: the table of success and the learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from rllib_configs.config import Experiment
from rllib_configs.run.evaluation import Episode
from rllib_configs.run.statistics import success_interval
from vla_envs.files import atomic_path

Cells = tuple[str, ...]
HISTOGRAMS = "After how many control steps the episodes that succeeded were over, and what all of them were paid."
"""Caption of :func:`episode_histograms`."""


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
    """Write the learning curve as a PNG, see :func:`curve_figure`."""
    figure = curve_figure(sampled, points, title)
    with atomic_path(path) as scratch:
        figure.savefig(scratch, dpi=120)


def curve_figure(sampled: Sequence[float | None], points: Sequence[CurvePoint], title: str) -> Figure:
    """Sampled success per iteration, with gaps for None, and greedy held-out success with its 95 % band."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    rates = np.array(sampled, float)  # None becomes NaN
    axes.plot(range(1, len(rates) + 1), rates, color="#9aa5b1", lw=1, label="training states, sampled")
    iterations = [point.iteration for point in points]
    low, high = zip(*(success_interval(point.successes, point.episodes) for point in points), strict=True)
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
    return figure


def histogram(axes: Any, named: Mapping[str, Sequence[float]]) -> None:
    """Draw how often which values of one or two occur, side by side in the same bins."""
    edges = np.histogram_bin_edges([each for some in named.values() for each in some] or [0.0, 1.0], bins=20)
    colors = ("#9aa5b1", "#1f77b4")[-len(named) :]
    axes.hist([[*some] for some in named.values()], bins=edges, color=colors, label=[*named])
    if len(named) > 1:
        axes.legend()


def episode_histograms(named: Mapping[str, Sequence[Episode]]) -> Figure:
    """Control steps of successes, and rewards of all episodes, of one or two evaluations."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    steps, rewards = figure.subplots(1, 2)
    histogram(steps, {name: [each.steps for each in some if each.success] for name, some in named.items()})
    steps.set(xlabel="control steps of a success", ylabel="episodes")
    paid = {name: [each.reward for each in some if each.reward is not None] for name, some in named.items()}
    histogram(rewards, paid)
    rewards.set(xlabel="reward of an episode")
    return figure


def success_table(named: Mapping[str, Sequence[Episode]]) -> list[Cells]:
    """A row for each task with the success of named episodes, under a header; the last row is over all tasks."""
    *_, last = named.values()
    rows: list[Cells] = [("task", "episodes", *named)]
    for task_id, task in sorted({(each.task_id, each.task) for some in named.values() for each in some}):
        groups = [[each for each in some if each.task_id == task_id] for some in named.values()]
        rows.append((task, str(len(groups[-1])), *map(interval_text, groups)))
    return [*rows, ("all tasks", str(len(last)), *map(interval_text, named.values()))]


def markdown(rows: Sequence[Cells]) -> str:
    """The rows as a Markdown table.

    >>> print(markdown([("task", "after"), ("stack", "50 %")]))
    | task | after |
    |---|---|
    | stack | 50 % |
    """
    header, *body = rows
    lines = [header, tuple("---" for _ in header), *body]
    return "\n".join(f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines)


def cloned_from(experiment: Experiment) -> str:
    """What the initial policy was cloned from, in words; empty where no expert was."""
    if not experiment.clones_expert:
        return ""
    return f"cloned from {experiment.bc.demonstrations_per_task} demonstrations a task"


def interval_text(episodes: Sequence[Episode]) -> str:
    """The success rate with its 95 % interval; a dash where there is no episode."""
    if not episodes:
        return "-"
    successes = sum(episode.success for episode in episodes)
    low, high = success_interval(successes, len(episodes))
    return f"{successes / len(episodes):.0%} [{low:.0%}, {high:.0%}]"
