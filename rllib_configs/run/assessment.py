"""An evaluation from the command line: who acts where, episode by episode into a file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rllib_configs.config import Assessment, EnvironmentConfig, Experiment, Measurement
from rllib_configs.run.actors import Actor, device, greedy, idle, sampled, uniform
from rllib_configs.run.cloning import load_fitting_policy
from rllib_configs.run.evaluation import batches, check_any_valid, held_out_prompts, provenance
from rllib_configs.run.results import Result, ResultsFile, Setup
from rllib_configs.run.subjects import EXPERT, Subject
from vla_envs import __version__
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import sha256_of
from vla_envs.spec import Prompt

T = TypeVar("T")
LOG_INTERVAL = 30.0
"""Seconds between two lines about progress where there is no terminal."""


class Stage(NamedTuple):
    """What an evaluation runs: who acts, where, and from which starts."""

    actor: Actor
    environment: EnvironmentConfig
    prompts: list[Prompt]


class Stream(NamedTuple):
    """The results of an evaluation, which runs while they are asked for."""

    prompts: Sequence[Prompt]
    setup: Setup
    results: Iterator[Result]
    """One for each prompt, in order."""
    stage: Stage | None = None
    """What runs; None where the results are those of a file."""


def stage(subject: Subject, assessment: Assessment) -> Stage:
    """What an assessment of a subject runs.

    Raises:
        InvalidArgumentError: options that contradict each other or the subject.
    """
    assessment.environment.check_registered()
    environment = environment_of(subject, assessment)
    prompts = held_out_prompts(environment, assessment.split, assessment.num_episodes, assessment.train_ok)
    return Stage(actor_of(subject, assessment, environment), environment, prompts)


def stream(subject: Subject, assessment: Measurement) -> Stream:
    """Begin to evaluate a subject, or go on with what ``assessment.output`` holds.

    Raises:
        InvalidArgumentError: options that contradict each other or the subject, or a file of another evaluation.
    """
    _check_output(subject, assessment)
    staged = actor, environment, prompts = stage(subject, assessment)
    setup = _setup(subject, assessment, environment)
    file = ResultsFile(None if assessment.output is None else Path(assessment.output), setup, prompts)

    def results() -> Iterator[Result]:
        yield from file.results
        for batch in batches(actor, environment, prompts, assessment.num_envs, first=len(file.results)):
            yield from file.append(batch)

    return Stream(prompts, setup, results(), staged)


def assess(subject: Subject, assessment: Measurement) -> list[Result]:
    """Evaluate a subject to the end, and return a result for each prompt.

    Raises:
        InvalidArgumentError: as :func:`stream` does.
        WorkerError: no prompt gave a valid episode.
    """
    evaluation = stream(subject, assessment)
    results = list(watched(evaluation.results, len(evaluation.prompts)))
    check_any_valid([each.episode for each in results])
    return results


def watched(results: Iterable[T], total: int) -> Iterator[T]:
    """The same, with a bar that shows how many there are and how long the others will take; in a log, lines."""
    columns = (TextColumn("episodes"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, transient=True, console=console, disable=not console.is_terminal) as progress:
        bar, told = progress.add_task("", total=total), monotonic()
        for done, each in enumerate(results, 1):
            progress.update(bar, completed=done)
            if not console.is_terminal and monotonic() - told >= LOG_INTERVAL:
                left, told = progress.tasks[bar].time_remaining or 0.0, monotonic()
                console.print(f"{done} of {total} episodes, {timedelta(seconds=round(left))} left", soft_wrap=True)
            yield each


def environment_of(subject: Subject, assessment: Assessment) -> EnvironmentConfig:
    """The environment with what the actor observes; the expert and chance need no images, and act step by step."""
    if subject.is_policy:
        return Experiment(environment=assessment.environment, policy=assessment.policy).resolved().environment
    follow = ("FollowExpert()",) if subject.name == EXPERT else ()
    wrappers = (*assessment.environment.wrappers, *follow)
    return assessment.environment.replace(cameras=(), chunk_size=None, history=0, wrappers=wrappers)


def actor_of(subject: Subject, assessment: Assessment, environment: EnvironmentConfig) -> Actor:
    """Who acts; a policy is loaded, and checked against the environment."""
    if not subject.is_policy:
        return idle if subject.name == EXPERT else uniform(assessment.seed)
    policy = load_fitting_policy(assessment.policy, environment).eval().to(device())
    if assessment.temperature is None:
        return greedy(policy)
    return sampled(policy, assessment.temperature, assessment.seed)


def _check_output(subject: Subject, assessment: Measurement) -> None:
    """Raise where results would be written among the files by which the policy is known."""
    policy = Path(subject.name).resolve()
    if subject.is_policy and assessment.output is not None and policy in Path(assessment.output).resolve().parents:
        raise InvalidArgumentError(
            f"Expect `--output` outside of the policy's directory, whose files tell policies apart, actually: "
            f"{assessment.output} in {subject.name}."
        )


def _setup(subject: Subject, assessment: Measurement, environment: EnvironmentConfig) -> Setup:
    # That the expert acts by a wrapper is no difference of the worlds.
    world = {**dataclasses.asdict(environment), "wrappers": assessment.environment.wrappers}
    options = {**json.loads(assessment.policy.to_json()), "path": None} if subject.is_policy else None
    return Setup(
        vla_envs=__version__,
        actor=subject.name,
        sha256=_sha256(Path(subject.name)) if subject.is_policy else None,
        policy=options,
        protocol=assessment.protocol,
        temperature=assessment.temperature,
        sampling_seed=assessment.seed,
        split=assessment.split,
        num_envs=assessment.num_envs,
        environment=json.loads(json.dumps({**world, **provenance(environment)})),
    )


def _sha256(directory: Path) -> str:
    """Of the names and contents of a policy's files: another policy in the same place is another actor."""
    digest = hashlib.sha256()
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        digest.update(f"{path.relative_to(directory)} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
