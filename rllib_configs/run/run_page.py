"""The page of a run: what it has achieved, how it went, and what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from rllib_configs.config import Experiment
from rllib_configs.run.checkpoints import Checkpoints, RunState
from rllib_configs.run.directory import ENVIRONMENT_FILE, FILM, PAGE, load_experiment
from rllib_configs.run.evaluation import Episode, read_episodes
from rllib_configs.run.logging import read_metrics
from rllib_configs.run.page import MAX_BYTES, Section, drawing, film, flat, paragraph, table, write_page
from rllib_configs.run.report import (
    HISTOGRAMS,
    CurvePoint,
    cloned_from,
    curve_figure,
    episode_histograms,
    success_table,
)
from rllib_configs.run.statistics import Pairs, difference_interval, mcnemar, points
from vla_envs.errors import InvalidArgumentError

GOAL = 0.8
"""Success up to which training episodes are counted."""
PANELS = {
    "policy/approx_kl": "KL of the update (nats)",
    "policy/entropy": "entropy (nats a token)",
    "ttrl/reward": "mean reward",
    "ttrl/majority_ratio": "share of the majority",
    "ttrl/label_accuracy": "accuracy of the vote's label",
    "ttrl/reward_accuracy": "accuracy of the vote's rewards",
    "ttrl/frac_zero_std_groups": "share of groups without a signal",
    "throughput/control_steps_per_s": "control steps a second",
}
"""Metric -> what the page calls it; those that were measured are drawn."""


def write_run_page(directory: Path, path: Path | None = None) -> Path:
    """Write the page of a run that has ended, and return its path.

    Args:
        directory: of the run.
        path: of the page; None takes ``report.html`` in the directory.

    Raises:
        InvalidArgumentError: no run, or one that has not ended.
    """
    experiment, episodes = load_experiment(directory), read_episodes(directory)
    if "after" not in episodes:
        raise InvalidArgumentError(f"{directory} has no episodes of a trained policy: the run has not ended.")
    before, after = episodes["before"], episodes["after"]
    state, measured = Checkpoints(directory, experiment.checkpoints_kept).newest().state, read_metrics(directory)
    sections = [
        Section("Success", _success(experiment, state, before, after, measured.get("rollout/trajectories", ()))),
        Section("Episodes", [drawing(episode_histograms({"before": before, "after": after}), HISTOGRAMS)]),
        Section("Training", _training(experiment, measured)),
        Section("What it rests on", _setup(directory, experiment)),
    ]
    if (directory / FILM).is_file():
        written = sum(len(block) for section in sections for block in section.blocks)
        room = MAX_BYTES - written - 2**16
        shown = film(directory / FILM, "The same held-out prompts before and after training", room)
        sections.insert(1, Section("Film", [shown]))
    path = path or directory / PAGE
    write_page(path, experiment.name, _lead(before, after), sections)
    return path


def _lead(before: Sequence[Episode], after: Sequence[Episode]) -> str:
    one, other = (sum(each.success for each in episodes) / len(episodes) for episodes in (before, after))
    return f"Greedy success on {len(after)} held-out episodes: {one:.0%} before and {other:.0%} after training."


def _success(
    experiment: Experiment,
    state: RunState,
    before: Sequence[Episode],
    after: Sequence[Episode],
    trajectories: Sequence[tuple[int, float]],
) -> list[str]:
    # An episode without a valid attempt is missing in either list.
    earlier = {(each.task_id, each.init_state_id): each.success for each in before}
    places = [((each.task_id, each.init_state_id), each.success) for each in after]
    pairs = Pairs.of((earlier[place], success) for place, success in places if place in earlier)
    change = f"{100 * pairs.difference:+.1f} points {points(difference_interval(pairs))}"
    difference = (
        f"On the same prompts success changes by {change}, exact McNemar test p = {mcnemar(pairs):.2g}. "
        "Brackets are 95 % intervals."
    )
    curve = curve_figure(state.sampled, state.curve, experiment.name)
    initial = ", ".join(filter(None, ("the initial policy", cloned_from(experiment))))
    actors = (
        f"Before: {initial}. After: the policy of iteration {state.iteration} of "
        f"{experiment.iterations}, in policy/. That of the highest point of the curve is in best/; it was chosen by "
        "these same episodes."
    )
    going_on = "In this folder, vla train --resume . --iterations N goes on to N iterations."
    return [
        table(success_table({"before": before, "after": after}), has_total=True),
        paragraph(difference),
        paragraph(actors),
        paragraph(sample_efficiency(state.curve, trajectories)),
        paragraph(going_on),
        drawing(curve, "Learning curve."),
    ]


def sample_efficiency(curve: Sequence[CurvePoint], trajectories: Sequence[tuple[int, float]]) -> str:
    """After how many training episodes success reached 80 %, in a sentence.

    Args:
        curve: the greedy evaluations.
        trajectories: iteration, and how many were sampled in it, whether they were trained on or not.

    >>> sample_efficiency([CurvePoint(0, 5, 10), CurvePoint(2, 8, 10)], [(1, 64.0), (2, 96.0), (3, 64.0)])
    'Held-out success reached 80% at iteration 2, after 160 training episodes.'
    """
    reached = next((point.iteration for point in curve if point.rate >= GOAL), None)
    if reached is None:
        return f"Held-out success has not reached {GOAL:.0%}."
    episodes = int(sum(number for iteration, number in trajectories if iteration <= reached))
    return f"Held-out success reached {GOAL:.0%} at iteration {reached}, after {episodes:,} training episodes."


def _training(experiment: Experiment, measured: Mapping[str, Sequence[tuple[int, float]]]) -> list[str]:
    panels = {name: measured[metric] for metric, name in PANELS.items() if measured.get(metric)}
    temperatures = ", ".join(f"{each:.2f}" for each in experiment.ttrl.temperatures())
    text = (
        f"Groups of {experiment.ttrl.n_votes_per_prompt} trajectories at temperatures {temperatures}, multiplied by "
        f"{experiment.ttrl.temperature_decay} an iteration; reward: {experiment.ttrl.reward}."
    )
    if not panels:
        return [paragraph(text)]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(8, 2 * rows), layout="constrained")
    for axes, (name, measurements) in zip(figure.subplots(rows, 2, squeeze=False).flat, panels.items(), strict=False):
        iterations, values = zip(*measurements, strict=True)
        axes.plot(iterations, values, color="#1f77b4", lw=1)
        axes.set_title(name, fontsize="medium")
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    return [paragraph(text), drawing(figure, "By iteration.")]


def _setup(directory: Path, experiment: Experiment) -> list[str]:
    rests_on = json.loads((directory / ENVIRONMENT_FILE).read_text())
    options = json.loads(experiment.to_json())
    rows = [(name, json.dumps(value)) for name, value in flat({"rests on": rests_on, **options})]
    return [table([("", "value"), *rows])]
