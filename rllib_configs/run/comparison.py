"""Two actors on the same prompts: how much better one is, and how sure that is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rllib_configs.config import EnvironmentConfig
from rllib_configs.run.assessment import Stream, watched
from rllib_configs.run.evaluation import Episode, starts_of
from rllib_configs.run.results import Result, Setup, read_results
from rllib_configs.run.statistics import Pairs, Seeds, SequentialTest
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.group import GroupStart
from vla_envs.spec import Prompt

OBSERVED = ("image_size", "cameras", "chunk_size", "instruction", "token_length", "history", "num_workers")
"""Fields of an environment that say what an actor observes, in which two may differ, and not what happens."""


@dataclass(frozen=True)
class Comparison:
    """What is known of two actors."""

    a: Sequence[Result]
    b: Sequence[Result]
    """Of the same prompts as those of ``a``."""
    test: SequentialTest
    """After the last of these prompts."""
    stopped_early: bool
    """Whether the test's decision has ended it, which makes what holds for a fixed number of prompts too good."""

    @property
    def episodes(self) -> list[tuple[Prompt, Episode, Episode]]:
        """The prompts on which both have a valid episode, with these."""
        return paired(self.a, self.b)

    @property
    def pairs(self) -> Pairs:
        """How often which of them succeeded."""
        return Pairs.of((one.success, other.success) for _, one, other in self.episodes)

    @property
    def flipped(self) -> list[tuple[Prompt, Episode, Episode]]:
        """The prompts on which only one of them succeeded."""
        return [each for each in self.episodes if each[1].success != each[2].success]

    @property
    def flipped_starts(self) -> list[GroupStart]:
        """The starts of these prompts."""
        flipped = {prompt for prompt, *_ in self.flipped}
        return [start for start in starts_of([each.prompt for each in self.a]) if start.prompt in flipped]


def compare(a: Stream, b: Stream, stop_early: bool = True) -> Comparison:
    """Compare two actors prompt by prompt, until it is decided or there are no more prompts.

    Args:
        a: one evaluation.
        b: the other, of the same prompts.
        stop_early: whether the test's decision ends the comparison, and so both evaluations.

    Raises:
        InvalidArgumentError: evaluations of other prompts or another environment.
        WorkerError: no prompt gave a valid episode of both.
    """
    check_same_prompts(a, b)
    one, other, test = list[Result](), list[Result](), SequentialTest()
    for result_a, result_b in watched(zip(a.results, b.results, strict=True), len(a.prompts)):
        one.append(result_a)
        other.append(result_b)
        if result_a.episode is not None and result_b.episode is not None:
            _check_same_task(result_a.episode, result_b.episode)
            test.update(result_a.episode.success, result_b.episode.success)
        if stop_early and test.decided_at:
            break
    if not test.n:
        raise WorkerError(f"None of the {len(one)} prompts gave a valid episode of both.")
    return Comparison(one, other, test, stopped_early=stop_early and test.decided_at is not None)


def seeds_of(recipes: Sequence[Sequence[Stream]]) -> list[Seeds]:
    """How often the training seeds of recipes succeed, each on the same prompts; all evaluations run to their ends.

    Raises:
        InvalidArgumentError: evaluations of other prompts or another environment.
        WorkerError: prompts without a valid episode, so that the rates are not of the same number of episodes.
    """
    first = recipes[0][0]
    for each in (stream for streams in recipes for stream in streams):
        check_same_prompts(first, each)
    episodes = [[_whole(stream) for stream in streams] for streams in recipes]
    for of_a_seed in (some for seeds in episodes for some in seeds):
        for one, other in zip(episodes[0][0], of_a_seed, strict=True):
            _check_same_task(one, other)
    return [Seeds(np.array([[each.success for each in some] for some in seeds])) for seeds in episodes]


def _whole(stream: Stream) -> list[Episode]:
    """The episodes of all prompts."""
    episodes = [each.episode for each in watched(stream.results, len(stream.prompts)) if each.episode is not None]
    if len(episodes) < len(stream.prompts):
        lacking = len(stream.prompts) - len(episodes)
        raise WorkerError(
            f"{lacking} of the {len(stream.prompts)} prompts gave no valid episode of {stream.setup.actor}."
        )
    return episodes


def recorded(path: Path, whole: bool = True) -> Stream:
    """The evaluation that a file of :class:`~rllib_configs.run.results.ResultsFile` holds.

    Raises:
        InvalidArgumentError: as :func:`~rllib_configs.run.results.read_results` does.
    """
    results = read_results(path, whole)
    return Stream([each.prompt for each in results], results[0].setup, iter(results))


def paired(a: Sequence[Result], b: Sequence[Result]) -> list[tuple[Prompt, Episode, Episode]]:
    """The prompts of results of the same prompts on which both have a valid episode, with these."""
    both = [(one.prompt, one.episode, other.episode) for one, other in zip(a, b, strict=True)]
    return [(prompt, one, other) for prompt, one, other in both if one is not None and other is not None]


def world_of(setup: Setup, environment: EnvironmentConfig) -> EnvironmentConfig:
    """The environment in which the episodes of a setup happened, with what an actor observes left as it is."""
    known = {each.name for each in dataclasses.fields(EnvironmentConfig)} - {*OBSERVED}
    world = {key: value for key, value in setup.environment.items() if key in known}
    return EnvironmentConfig.from_fields({**json.loads(environment.to_json()), **world})


def differences(a: Setup, b: Setup) -> list[str]:
    """A sentence for each thing in which the worlds of two evaluations differ, beside what their actors observe."""
    keys = dict.fromkeys([*a.environment, *b.environment])
    pairs = {key: (a.environment.get(key), b.environment.get(key)) for key in keys if key not in OBSERVED}
    differing = {key: (one, other) for key, (one, other) in pairs.items() if one != other}
    return [f"The worlds differ: {key} is {one} for A and {other} for B." for key, (one, other) in differing.items()]


def _check_same_task(a: Episode, b: Episode) -> None:
    """Raise where prompts of the same indices are of other suites."""
    if a.task != b.task:
        raise InvalidArgumentError(f"Expect evaluations of the same tasks, actually: {a.task!r} and {b.task!r}.")


def check_same_prompts(a: Stream, b: Stream) -> None:
    """Raise InvalidArgumentError where two evaluations are of other environments or prompts."""
    for key in ("id", "task_id"):
        one, other = a.setup.environment.get(key), b.setup.environment.get(key)
        if one != other:
            raise InvalidArgumentError(f"Expect evaluations of one environment, actually: {key} {one} and {other}.")
    if list(a.prompts) != list(b.prompts):
        raise InvalidArgumentError(
            f"Expect evaluations of the same prompts, actually: {len(a.prompts)} and {len(b.prompts)} that differ. "
            "Evaluate both with the same --num-episodes and --split."
        )
