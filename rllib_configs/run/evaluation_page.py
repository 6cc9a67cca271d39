"""The pages of an evaluation and of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rllib_configs.run.comparison import Comparison, differences
from rllib_configs.run.evaluation import Episode
from rllib_configs.run.page import MAX_BYTES, Section, drawing, film, flat, paragraph, table, write_page
from rllib_configs.run.play import FLIPPED
from rllib_configs.run.report import histogram, interval_text, success_table
from rllib_configs.run.results import Result, Setup
from rllib_configs.run.statistics import difference_interval, mcnemar, points, resolution, success_interval


def write_evaluation_page(path: Path, results: Sequence[Result]) -> None:
    """Write the page of an evaluation: success by task, when episodes ended, and what it rests on."""
    episodes = [each.episode for each in results if each.episode is not None]
    setup = results[0].setup
    rates = table(success_table({"success": episodes}), has_total=True)
    sections = [
        Section("Success", [rates, drawing(_bars(episodes), "Success by task, 95 % intervals.")]),
        Section("Episodes", [drawing(_steps({"": episodes}), "When the episodes that succeeded were over.")]),
        Section("What it rests on", [table([("", "value"), *_setup(setup)])]),
    ]
    lead = f"{setup.actor} succeeds in {interval_text(episodes)} of {len(episodes)} episodes."
    write_page(path, "Evaluation", lead, sections)


def write_comparison_page(path: Path, comparison: Comparison, a: Setup, b: Setup) -> None:
    """Write the page of a comparison: the difference and how sure it is, by task, and which outcomes differ."""
    one, other = [each for _, each, _ in comparison.episodes], [each for _, _, each in comparison.episodes]
    sections = [
        Section("Difference", [table(_difference(comparison)), *map(paragraph, differences(a, b))]),
        Section("Success", [table(success_table({"A": one, "B": other}), has_total=True)]),
        Section("Episodes", [drawing(_steps({"A": one, "B": other}), "When the episodes that succeeded were over.")]),
        Section("Outcomes that differ", [*_film(path.with_name(FLIPPED)), table(_flipped(comparison))]),
        Section("What it rests on", [table([("", "A", "B"), *_both(a, b)])]),
    ]
    change = f"{100 * comparison.pairs.difference:+.1f} points"
    lead = f"B ({b.actor}) against A ({a.actor}): {change} of success on the same {comparison.pairs.n} prompts."
    write_page(path, "Comparison", lead, sections)


def _bars(episodes: Sequence[Episode]) -> Figure:
    """Success of each task with its interval."""
    tasks = sorted({(each.task_id, each.task) for each in episodes}, reverse=True)
    figure = Figure(figsize=(8, 0.6 + 0.3 * len(tasks)), layout="constrained")
    axes = figure.subplots()
    for place, (task_id, _) in enumerate(tasks):
        outcomes = [each.success for each in episodes if each.task_id == task_id]
        rate, (low, high) = np.mean(outcomes), success_interval(sum(outcomes), len(outcomes))
        axes.barh(place, rate, color="#1f77b4", alpha=0.7)
        axes.plot((low, high), (place, place), color="#222", lw=1)
    axes.set_yticks(range(len(tasks)), [task for _, task in tasks], fontsize="small")
    axes.set(xlim=(0, 1), xlabel="success rate")
    return figure


def _steps(named: Mapping[str, Sequence[Episode]]) -> Figure:
    """Control steps of the episodes that succeeded."""
    figure = Figure(figsize=(8, 2.5), layout="constrained")
    axes = figure.subplots()
    histogram(axes, {name: [each.steps for each in some if each.success] for name, some in named.items()})
    axes.set(xlabel="control steps of a success", ylabel="episodes")
    return figure


def _difference(comparison: Comparison) -> list[tuple[str, str]]:
    pairs, test = comparison.pairs, comparison.test
    rows = [
        ("", "value"),
        ("prompts: both succeed, A alone, B alone, neither", ", ".join(map(str, pairs))),
        ("95 % interval, whenever one stops", f"{points(test.interval())} points"),
        ("sequential test at the 5 % level", f"{test.verdict}, evidence {test.evidence:.3g}"),
    ]
    if comparison.stopped_early:
        rows.append(("tests for prompts fixed before", "none, because the difference has ended the comparison"))
    else:
        rows += [
            ("95 % interval, for prompts fixed before", f"{points(difference_interval(pairs))} points"),
            ("exact McNemar test, for prompts fixed before", f"p = {mcnemar(pairs):.2g}"),
        ]
    return [*rows, ("difference that so many prompts resolve", f"{100 * resolution(pairs):.0f} points (80 % power)")]


def _film(path: Path) -> list[str]:
    """What ``vla compare --films`` has left beside the files."""
    return [film(path, "The first of these prompts: A above, B below.", MAX_BYTES // 2)] if path.is_file() else []


def _flipped(comparison: Comparison) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("task", "initial state", "succeeds", "control steps")]
    if not comparison.flipped:
        rows.append(("none", "", "", ""))
    for prompt, one, other in comparison.flipped:
        winner, name = (one, "A") if one.success else (other, "B")
        rows.append((winner.task, str(prompt.init_state_id), name, str(winner.steps)))
    return rows


def _setup(setup: Setup) -> list[tuple[str, str]]:
    return [(name, json.dumps(value)) for name, value in flat(vars(setup))]


def _both(a: Setup, b: Setup) -> list[tuple[str, str, str]]:
    one, other = dict(_setup(a)), dict(_setup(b))
    return [(name, one.get(name, "-"), other.get(name, "-")) for name in {**one, **other}]
