"""What is kept of a run: its learning curve and how its last policy does."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from policies.interface import Policy
from policies.registry import load_policy
from rllib_configs.config import Experiment
from rllib_configs.run.actors import sampled
from rllib_configs.run.evaluation import Episode, evaluate, held_out_prompts, read_episodes
from vla_envs.files import atomic_write_text

RESULT = "result.json"


@dataclass(frozen=True)
class Point:
    """A greedy evaluation on held-out states during training."""

    iteration: int
    minutes: float
    """Of training, the evaluations before this one included."""
    trajectories: int
    """Sampled for training until then."""
    success: float
    """Share of the states that are solved."""
    sampled_steps: float | None
    """Control steps of a sampled success, a mean over the iterations since the last point; None without any."""
    sampled_pass_at_n: float | None
    """Share of the groups with a success, likewise."""


@dataclass(frozen=True)
class Result:
    """A run of an arm; rates are over held-out states."""

    arm: str
    seed: int
    curve: list[Point]
    episodes: int
    """Of each point, and of what follows, of the last policy."""
    steps_per_success: float | None
    """Control steps of a greedy success; None without any."""
    sampled_success: float
    """At the training temperatures."""
    pass_at_n: float
    """Share of the states from which one of n samples succeeds, n and the temperatures as in training."""


def measure(experiment: Experiment, directory: Path, arm: str) -> Result:
    """The result of a finished run, by its table and by further episodes of its last policy."""
    policy = load_policy(experiment.policy.kind, path=directory / "policy").eval()
    successes = sampled_successes(policy, experiment)
    greedy = _last_episodes(directory)
    steps = [episode.steps for episode in greedy if episode.success]
    return Result(
        arm=arm,
        seed=experiment.seed,
        curve=_curve(directory, experiment.ppo.groups_per_iteration * experiment.ttrl.n_votes_per_prompt),
        episodes=len(greedy),
        steps_per_success=float(np.mean(steps)) if steps else None,
        sampled_success=float(successes.mean()),
        pass_at_n=float(successes.any(axis=0).mean()),
    )


def sampled_successes(policy: Policy, experiment: Experiment) -> np.ndarray:
    """bool (n, prompts): which held-out prompts each of the group's temperatures solves, once each."""
    evaluation = experiment.evaluation
    prompts = held_out_prompts(experiment.environment, "eval", evaluation.num_episodes)
    rounds = [
        evaluate(sampled(policy, each, experiment.seed), experiment.environment, prompts, evaluation.num_envs)
        for each in experiment.ttrl.temperatures().tolist()
    ]
    return np.array([[episode.success for episode in episodes] for episodes in rounds])


def write(result: Result, directory: Path) -> None:
    """Write ``result.json`` into the directory of the run."""
    atomic_write_text(directory / RESULT, TypeAdapter(Result).dump_json(result, indent=2).decode())


def read(directory: Path) -> Result:
    """The result that :func:`write` has left."""
    return TypeAdapter(Result).validate_json((directory / RESULT).read_text())


def _last_episodes(directory: Path) -> list[Episode]:
    return read_episodes(directory)["after"]


def _curve(directory: Path, trajectories: int) -> list[Point]:
    """A point for each row of the table that has an evaluation; ``trajectories`` are sampled in an iteration."""
    with (directory / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    evaluated = [index for index, row in enumerate(rows) if row["eval/success_rate"]]
    return [
        Point(
            iteration=int(rows[end]["iteration"]),
            minutes=float(rows[end].get("time/total_s") or 0.0) / 60.0,
            trajectories=int(rows[end]["iteration"]) * trajectories,
            success=float(rows[end]["eval/success_rate"]),
            sampled_steps=_mean(rows[start : end + 1], "ttrl/steps_per_success"),
            sampled_pass_at_n=_mean(rows[start : end + 1], "ttrl/pass_at_n"),
        )
        for start, end in zip([0, *(index + 1 for index in evaluated)], evaluated, strict=False)
    ]


def _mean(rows: list[dict[str, str]], name: str) -> float | None:
    values = [float(row[name]) for row in rows if row.get(name)]
    return float(np.mean(values)) if values else None
