"""``vla evaluate WHAT``: how often a run, a checkpoint, the scripted expert or chance succeeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rllib_configs.cli.options import check_output, parse_assessment
from rllib_configs.config import Sweep
from rllib_configs.run.interruption import Stopped

if TYPE_CHECKING:
    from rllib_configs.run.evaluation import Episode
    from rllib_configs.run.results import Result
    from rllib_configs.run.subjects import Subject

USAGE = """usage: vla evaluate WHAT [options]

WHAT is the directory of a run (runs/tabletop_ttrl) or of one of its policies (runs/tabletop_ttrl/best), that of a
checkpoint (such as OpenVLA's; --policy.kind says how it decodes), `expert` for the environment's scripted expert, or
`random` for actions drawn uniformly. The environment is that of the run, or else --environment.id.

vla evaluate WHAT --help lists the options."""


def main(arguments: list[str]) -> None:
    """Evaluate and print the success rate with its 95 % interval."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    what, *options = arguments
    from rllib_configs.run.subjects import find_subject

    subject = find_subject(what)
    asked = parse_assessment(f"vla evaluate {what}", subject, Sweep(**vars(subject.defaults)), options)
    check_output(None if asked.output is None else Path(asked.output))
    with advice(asked.output):
        if asked.perturb:
            print_sweep(subject, asked)
        else:
            from rllib_configs.run.assessment import assess

            print_rates(assess(subject, asked))
        if asked.films:
            _film(subject, asked)


def _film(subject: Subject, asked: Sweep) -> None:
    """Film the first episodes, as many as ``--films`` says."""
    from rllib_configs.run.play import FILM_STRIDE, film

    path = Path(str(asked.output)).with_suffix(".mp4")
    film(subject, asked.replace(num_episodes=asked.films), FILM_STRIDE, path)
    print(f"film in {path}")


@contextmanager
def advice(output: str | None) -> Iterator[None]:
    """Say how an evaluation goes on that a signal has ended."""
    try:
        yield
    except Stopped as stopped:
        kept = f"The same command goes on with {output}." if output else "Nothing is kept without --output."
        raise Stopped(stopped.number, kept) from None


def print_rates(results: Sequence[Result]) -> None:
    """Print the success rate of each task, if there are several, and of all."""
    from rich.console import Console

    episodes = [each.episode for each in results if each.episode is not None]
    console = Console(highlight=False)
    tasks = sorted({(each.task_id, each.task) for each in episodes})
    groups = [(task, [each for each in episodes if each.task_id == task_id]) for task_id, task in tasks]
    if len(groups) > 1:
        groups.append(("all tasks", episodes))
    for name, group in groups:
        console.print(f"{rate(group)}: {name}", soft_wrap=True)
    print_caveats(results)


def print_caveats(results: Sequence[Result]) -> None:
    """Print what has to be said beside the success rate."""
    from rllib_configs.run.results import caveats

    for line in caveats(results[0].setup, results):
        print(line)


def print_sweep(subject: Subject, asked: Sweep) -> None:
    """Print the success rate under each perturbation, and what it takes away, as soon as it is known."""
    from rllib_configs.run.robustness import sweep
    from rllib_configs.run.statistics import difference_interval, points

    for (axis, severity), results, pairs in sweep(subject, asked):
        measured = rate([each.episode for each in results if each.episode is not None])
        if axis is None:
            print(f"{measured}: unperturbed")
        else:
            change = f"{100 * pairs.difference:+.1f} points {points(difference_interval(pairs))}"
            print(f"{measured}: {axis} {severity}, {change}")
        print_caveats(results)


def rate(episodes: Sequence[Episode]) -> str:
    """The success rate of episodes with its 95 % interval."""
    from rllib_configs.run.statistics import success_interval

    successes = sum(each.success for each in episodes)
    low, high = success_interval(successes, len(episodes))
    return f"success {successes / len(episodes):.1%} [{low:.1%}, {high:.1%}] over {len(episodes)} episodes"
