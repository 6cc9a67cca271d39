"""The pages of an evaluation and of a comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rllib_configs.run.comparison import Comparison, differences
from rllib_configs.run.evaluation import Episode
from rllib_configs.run.page import MAX_BYTES, Section, drawing, flat, paragraph, table, write_page
from rllib_configs.run.page import film as film_of
from rllib_configs.run.report import HISTOGRAMS, episode_histograms, interval_text, success_table
from rllib_configs.run.results import Result, Setup, caveats
from rllib_configs.run.robustness import Measured
from rllib_configs.run.statistics import difference_interval, mcnemar, points, resolved, success_interval


def write_evaluation_page(path: Path, results: Sequence[Result], film: Path, sweep: Sequence[Measured] = ()) -> None:
    """Write the page of an evaluation: success by task, when episodes ended, and what it rests on.

    Args:
        path: of the page.
        results: of the evaluation.
        film: of its first episodes, where there is one.
        sweep: the same evaluation under perturbations, where there are any.
    """
    episodes = [each.episode for each in results if each.episode is not None]
    setup = results[0].setup
    rates = table(success_table({"success": episodes}), has_total=True)
    bars = drawing(_bars(episodes), "Success by task, 95 % intervals.")
    sections = [
        Section(
            "Success", [rates, *map(paragraph, caveats(setup, results)), bars, *_film(film, "The first episodes.")]
        ),
        *([Section("Robustness", _robustness(sweep))] if sweep else []),
        Section("Episodes", [drawing(episode_histograms({"": episodes}), HISTOGRAMS)]),
        Section("What it rests on", [table([("", "value"), *_setup(setup)])]),
    ]
    lead = f"{setup.actor} succeeds in {interval_text(episodes)} of {len(episodes)} episodes."
    write_page(path, "Evaluation", lead, sections)


def write_comparison_page(path: Path, comparison: Comparison, film: Path | None = None) -> None:
    """Write the page of a comparison: the difference and how sure it is, by task, and which outcomes differ.

    Args:
        path: of the page.
        comparison: what is known of the two.
        film: of prompts with different outcomes, where there is one.
    """
    one, other = [each for _, each, _ in comparison.episodes], [each for _, _, each in comparison.episodes]
    a, b = comparison.a[0].setup, comparison.b[0].setup
    said = [*differences(a, b), *caveats(a, comparison.a, comparison.b)]
    flipped = _film(film, "The first of these prompts: A above, B below.")
    sections = [
        Section("Difference", [table(_difference(comparison)), *map(paragraph, said)]),
        Section("Success", [table(success_table({"A": one, "B": other}), has_total=True)]),
        Section("Episodes", [drawing(episode_histograms({"A": one, "B": other}), HISTOGRAMS)]),
        Section("Outcomes that differ", [*flipped, table(_flipped(comparison))]),
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


def _robustness(sweep: Sequence[Measured]) -> list[str]:
    """Success under each perturbation, and what it takes away of the success on the same prompts without one."""
    rows: list[tuple[str, ...]] = [("perturbation", "severity", "success", "change in points")]
    for (axis, severity), results, pairs in sweep:
        episodes = [each.episode for each in results if each.episode is not None]
        change = f"{100 * pairs.difference:+.1f} {points(difference_interval(pairs))}"
        rows.append((str(axis), f"{severity:g}", interval_text(episodes), change))
    return [table(rows), drawing(_severities(sweep), "Success by severity, 95 % intervals.")]


def _severities(sweep: Sequence[Measured]) -> Figure:
    """Success of each axis over its severities, of which 0 is the unperturbed one."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    for axis in dict.fromkeys(each.condition.axis for each in sweep):
        measured = [each for each in sweep if each.condition.axis == axis]
        unperturbed = measured[0].pairs
        severities = [0.0, *(each.condition.severity for each in measured)]
        successes = [unperturbed.both + unperturbed.only_a, *(each.pairs.both + each.pairs.only_b for each in measured)]
        counts = [unperturbed.n, *(each.pairs.n for each in measured)]
        rates = np.divide(successes, counts)
        bounds = np.array([success_interval(*each) for each in zip(successes, counts, strict=True)])
        axes.errorbar(severities, rates, np.abs(bounds - rates[:, None]).T, marker="o", capsize=3, label=axis)
    axes.set(xlabel="severity", ylabel="success rate", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
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
            ("resolution of so many prompts", resolved(pairs)),
        ]
    return rows


def _film(path: Path | None, caption: str) -> list[str]:
    """A film that ``--films`` has left."""
    return [film_of(path, caption, MAX_BYTES // 2)] if path is not None and path.is_file() else []


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
