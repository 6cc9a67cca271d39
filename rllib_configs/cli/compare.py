"""``vla compare A B``: whether one actor succeeds more often than another, on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from rllib_configs.cli.evaluate import advice, rate
from rllib_configs.cli.options import parse_assessment
from rllib_configs.config import Measurement
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_write_text, check_writable, expanded

if TYPE_CHECKING:
    from rllib_configs.run.assessment import Stream
    from rllib_configs.run.comparison import Comparison
    from rllib_configs.run.results import Setup
    from rllib_configs.run.subjects import Subject

USAGE = """usage: vla compare A B [options]

A and B are what `vla evaluate` takes (the directory of a run, of a policy or of a checkpoint, `expert`, `random`), or
files that its --output has written. What is no file is evaluated, prompt by prompt beside the other, until a
test decides at the 5 % level that they differ, or there are no more prompts. Where they are patterns in quotes, such as
'runs/mine_*' 'runs/other_*', each names the training seeds of a recipe, and the means over seeds are compared.

vla compare A B --help lists the options."""
FLIPPED_SHOWN = 20
"""Number of prompts with different outcomes that are listed."""


@dataclass(frozen=True)
class Compared(Measurement):
    """Evaluate an actor beside another, on initial states that training never sees, until a test has decided."""

    output: str | None = None
    """Directory for the episodes of both, a.jsonl and b.jsonl, each as ``vla evaluate`` writes them. The same command
    goes on where an interrupted one has stopped."""
    films: NonNegativeInt = 0
    """Number of prompts with different outcomes whose episodes are filmed, for flipped.mp4 in the directory ``output``;
    two files are not filmed."""


def main(arguments: list[str]) -> None:
    """Compare and print the difference, its interval and tests, and where the outcomes differ."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    if len(arguments) < 2:
        raise InvalidArgumentError(f"Expect A and B, actually: {arguments[0]} alone. vla compare --help says more.")
    one, other, *options = arguments
    if "*" in one + other:
        _compare_recipes((one, other), options)
        return
    from rllib_configs.run.comparison import compare, recorded

    recordings = [recorded(path) if (path := expanded(name)).is_file() else None for name in (one, other)]
    if all(recordings) and options:
        raise InvalidArgumentError(f"Expect no options with two files, actually: {' '.join(options)}.")
    known = next((each for each in recordings if each is not None), None)
    acting = _parse([name for name, each in zip((one, other), recordings, strict=True) if each is None], options, known)
    films = any(asked.films for _, asked in acting)
    if films and len(acting) == 1:
        raise InvalidArgumentError("Expect `films` with two actors, actually: a file, whose actor is not run.")
    output = acting[0][1].output if acting else None
    waiting = iter(acting)
    with advice(output):
        a, b = (each or _begin(*next(waiting), place) for place, each in zip("ab", recordings, strict=True))
        for place, name, each in zip("ab", (one, other), recordings, strict=True):
            if each is not None and output is not None:
                _copy(expanded(name), expanded(output) / f"{place}.jsonl")
        comparison = compare(a, b, stop_early=not all(recordings))
        print("\n".join(lines(comparison, a.setup, b.setup)))
        if films:
            _film(comparison, a, b, acting[0][1])


def _compare_recipes(patterns: tuple[str, str], options: list[str]) -> None:
    """Compare two recipes by the training seeds that patterns name, and print how far seeds and evaluations spread."""
    from rllib_configs.run.comparison import differences, seeds_of
    from rllib_configs.run.results import caveats
    from rllib_configs.run.statistics import points, welch_interval

    recipes = [_streams(pattern, options, place) for pattern, place in zip(patterns, "ab", strict=True)]
    a, b = seeds_of(recipes)
    for letter, seeds, pattern in zip("AB", (a, b), patterns, strict=True):
        rates = ", ".join(f"{each:.1%}" for each in seeds.rates)
        spread = (
            f"{100 * seeds.spread:.1f} points; chance on single prompts gives rise to {100 * seeds.chance_spread:.1f}"
        )
        print(f"{letter}  mean success {seeds.mean:.1%} of {len(seeds.rates)} training seeds ({rates}): {pattern}")
        print(f"   {seeds.outcomes.shape[1]} episodes each; standard deviation {spread}")
    interval = welch_interval(a, b)
    shown = "no interval, because the seeds do not differ" if interval is None else points(interval)
    print(f"B - A  {100 * (b.mean - a.mean):+.1f} points, over training seeds {shown}")
    setups = [streams[0].setup for streams in recipes]
    for line in [*differences(*setups), *caveats(setups[0])]:
        print(line)


def _streams(pattern: str, options: list[str], place: str) -> list[Stream]:
    """What a pattern names: files of results, or policies, whose evaluation begins."""
    from rllib_configs.run.comparison import recorded

    paths = [Path(each) for each in sorted(glob(str(expanded(pattern))))]
    if len(paths) < 2:
        raise InvalidArgumentError(
            f"Expect a pattern of at least two training seeds, actually: {pattern}, which names {len(paths)}."
        )
    files = [path for path in paths if path.is_file()]
    if files and (options or len(files) < len(paths)):
        raise InvalidArgumentError(f"Expect files of results without options and policies, actually: {files[0]}.")
    if files:
        return [recorded(path) for path in files]
    acting = _parse([*map(str, paths)], options, None)
    if acting[0][1].films:
        raise InvalidArgumentError("Expect `films` with two actors, actually: training seeds of recipes.")
    return [_begin(*each, f"{place}-{path.name}") for each, path in zip(acting, paths, strict=True)]


def _parse(names: Sequence[str], options: list[str], other: Stream | None) -> list[tuple[Subject, Compared]]:
    """Actors and how each is evaluated: in the environment of the first policy among them, if nothing else is said.

    Beside a file it is that of the file, and there are as many prompts as the file has.
    """
    from rllib_configs.run.comparison import world_of
    from rllib_configs.run.subjects import find_subject

    subjects = [find_subject(name) for name in names]
    lead = next((each for each in subjects if each.is_policy), None)
    asked = []
    for subject in subjects:
        spoken_for = subject if subject.is_policy else lead or subject
        default = Compared(**vars(spoken_for.defaults))
        if other is not None:
            default = default.replace(num_episodes=len(other.prompts), split=other.setup.split, train_ok=True)
        if other is not None and subject.run is None:
            default = default.replace(environment=world_of(other.setup, default.environment))
        asked.append((subject, parse_assessment(f"vla compare {subject.name} ...", spoken_for, default, options)))
    return asked


def _begin(subject: Subject, asked: Compared, place: str) -> Stream:
    """Begin the evaluation of an actor; its results go into a file of the directory that ``--output`` names."""
    from rllib_configs.run.assessment import stream

    if asked.output is not None:
        folder = expanded(asked.output)
        check_writable(folder, "`--output`", "Name another directory.")
        folder.mkdir(parents=True, exist_ok=True)
        asked = asked.replace(output=str(folder / f"{place}.jsonl"), films=0)
    return stream(subject, asked)


def _copy(file: Path, place: Path) -> None:
    """Copy what was given as a file beside the results of the other, where ``vla report`` finds both."""
    if place.resolve() != file.resolve():
        atomic_write_text(place, file.read_text())


def _film(comparison: Comparison, a: Stream, b: Stream, asked: Compared) -> None:
    """Film the first prompts with different outcomes, as many as ``--films`` says."""
    from rllib_configs.run.play import FLIPPED, film_both

    starts = comparison.flipped_starts[: asked.films]
    if starts and a.stage and b.stage and asked.output:
        path = expanded(asked.output) / FLIPPED
        film_both(a.stage, b.stage, starts, path)
        print(f"film in {path}")


def lines(comparison: Comparison, a: Setup, b: Setup) -> list[str]:
    """What a comparison says, line by line."""
    from rllib_configs.run.comparison import differences
    from rllib_configs.run.results import caveats
    from rllib_configs.run.statistics import difference_interval, mcnemar, points, resolved

    pairs, test = comparison.pairs, comparison.test
    evidence = f"evidence {test.evidence:.3g} (20 decides)"
    fixed = f"{points(difference_interval(pairs))}, exact McNemar test p = {mcnemar(pairs):.2g}"
    if comparison.stopped_early:
        fixed = "nothing, because the difference has ended it; files of all prompts (vla evaluate --output) say more"
    counts = f"both {pairs.both}, A alone {pairs.only_a}, B alone {pairs.only_b}, neither {pairs.neither}"
    return [
        f"A  {rate([each for _, each, _ in comparison.episodes])}: {a.actor}",
        f"B  {rate([each for _, _, each in comparison.episodes])}: {b.actor}",
        *differences(a, b),
        f"B - A  {100 * pairs.difference:+.1f} points of success on {pairs.n} prompts: {counts}",
        f"whenever one stops         {points(test.interval())}, {test.verdict}, {evidence}",
        f"for prompts fixed before   {fixed}",
        *([] if comparison.stopped_early else [f"resolution                 {resolved(pairs)}"]),
        *caveats(a, comparison.a, comparison.b),
        *_flipped(comparison),
    ]


def _flipped(comparison: Comparison) -> list[str]:
    """The prompts with different outcomes."""
    flipped = comparison.flipped
    shown = [
        f"  {'B' if other.success else 'A'} alone: {one.task} ({prompt.task_id}, initial state {prompt.init_state_id})"
        for prompt, one, other in flipped[:FLIPPED_SHOWN]
    ]
    more = [f"  and {len(flipped) - len(shown)} more"] if len(flipped) > len(shown) else []
    return [f"The outcome differs on {len(flipped)} prompts:", *shown, *more] if flipped else []
