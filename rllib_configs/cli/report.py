"""``vla report WHAT``: a page of HTML about a run, an evaluation, or a comparison of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rllib_configs.cli.options import check_output
from rllib_configs.run.directory import PAGE
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import named


@dataclass(frozen=True)
class Arguments:
    """Write a page that shows a run, an evaluation or a comparison; it needs no network."""

    what: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The directory of a run that has ended, a file that ``vla evaluate --output`` has written, or two such files,
    which are compared; the directory that ``vla compare --output`` has written names both."""
    output: Path | None = None
    """The page; None writes report.html into the directory, or beside files a page of their names."""


def main(arguments: list[str]) -> None:
    """Write the page and say where it is."""
    given = tyro.cli(Arguments, args=arguments, prog="vla report")
    if len(given.what) not in (1, 2):
        raise InvalidArgumentError(f"Expect a run, or one or two files of results, actually: {len(given.what)} names.")
    missing = next((each for each in given.what if not each.exists()), None)
    if missing is not None:
        raise InvalidArgumentError(f"Expect a run, or files of results, actually: {named(missing)}.")
    first = given.what[0]
    names = "-".join(each.stem for each in given.what)
    output = given.output or (first / PAGE if first.is_dir() else first.with_name(f"{names}.html"))
    check_output(output)
    if len(given.what) == 2:
        _compare(given.what, output)
    elif all((first / f"{each}.jsonl").is_file() for each in "ab"):
        _compare_again(first, output)
    elif first.is_dir():
        from rllib_configs.run.run_page import write_run_page

        write_run_page(first, output)
    else:
        _evaluation(first, output)
    print(f"report in {output}")


def _evaluation(file: Path, output: Path) -> None:
    """Write the page of an evaluation, with the perturbations that it was swept over and its film."""
    from rllib_configs.run.evaluation_page import write_evaluation_page
    from rllib_configs.run.results import read_results
    from rllib_configs.run.robustness import recorded_sweep

    write_evaluation_page(output, read_results(file), file.with_suffix(".mp4"), recorded_sweep(file))


def _compare(files: tuple[Path, ...], output: Path) -> None:
    """Write the page of two whole evaluations."""
    from rllib_configs.run.comparison import compare, recorded
    from rllib_configs.run.evaluation_page import write_comparison_page

    a, b = map(recorded, files)
    write_comparison_page(output, compare(a, b, stop_early=False))


def _compare_again(folder: Path, output: Path) -> None:
    """Write the page of what ``vla compare`` has left, whose files may go on after the prompt that has decided it."""
    from rllib_configs.run.comparison import compare, recorded
    from rllib_configs.run.evaluation_page import write_comparison_page
    from rllib_configs.run.play import FLIPPED

    a, b = (recorded(folder / f"{each}.jsonl", whole=False) for each in "ab")
    comparison = compare(a, b)
    if not comparison.stopped_early:
        for each in "ab":  # undecided, so that only whole files are a comparison
            recorded(folder / f"{each}.jsonl")
    write_comparison_page(output, comparison, folder / FLIPPED)
