"""``vla report WHAT``: a page of HTML about a run, an evaluation, or a comparison of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rllib_configs.cli.options import check_output
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import named


@dataclass(frozen=True)
class Arguments:
    """Write a page that shows a run, an evaluation or a comparison; it needs no network."""

    what: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The directory of a run that has ended, a file that ``vla evaluate --output`` has written, or two such files,
    which are compared; the directory that ``vla compare --output`` has written names both."""
    output: Path | None = None
    """The page; None writes report.html beside what it shows."""


def main(arguments: list[str]) -> None:
    """Write the page and say where it is."""
    given = tyro.cli(Arguments, args=arguments, prog="vla report")
    if len(given.what) not in (1, 2):
        raise InvalidArgumentError(f"Expect a run, or one or two files of results, actually: {len(given.what)} names.")
    missing = next((each for each in given.what if not each.exists()), None)
    if missing is not None:
        raise InvalidArgumentError(f"Expect a run, or files of results, actually: {named(missing)}.")
    pair = tuple(given.what[0] / f"{each}.jsonl" for each in "ab")
    compared = len(given.what) == 1 and all(each.is_file() for each in pair)
    what = pair if compared else given.what
    first = what[0]
    output = given.output or (first if first.is_dir() else first.parent) / "report.html"
    check_output(output)
    if len(what) == 2:
        _compare(what, output, stop_early=compared)
    elif first.is_dir():
        from rllib_configs.run.run_page import write_run_page

        write_run_page(first, output)
    else:
        from rllib_configs.run.comparison import recorded
        from rllib_configs.run.evaluation_page import write_evaluation_page

        write_evaluation_page(output, list(recorded(first).results))
    print(f"report in {output}")


def _compare(files: tuple[Path, ...], output: Path, stop_early: bool) -> None:
    """Write the page of two files; those of a comparison may hold more than the prompts after which it has ended."""
    from rllib_configs.run.comparison import compare, recorded
    from rllib_configs.run.evaluation_page import write_comparison_page

    a, b = map(recorded, files)
    write_comparison_page(output, compare(a, b, stop_early), a.setup, b.setup)
