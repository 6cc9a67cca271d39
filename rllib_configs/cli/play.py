"""``vla play WHAT``: watch a policy or the scripted expert, in a window or as a film."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import PositiveInt

from rllib_configs.cli.options import check_output, parse_assessment
from rllib_configs.config import Assessment

USAGE = """usage: vla play WHAT [options]

WHAT is what `vla evaluate` takes: the directory of a run, of one of its policies or of a checkpoint, `expert`, or
`random`. Without --output a window shows the episodes, where there is a display; elsewhere, or with --output, a film is
written.

vla play WHAT --help lists the options."""
FILM = "play.mp4"
"""The film, where neither --output nor a display is there."""


@dataclass(frozen=True)
class Play(Assessment):
    """Watch episodes from initial states that training never sees."""

    num_episodes: PositiveInt | None = 4
    """Number of episodes, spread evenly over the tasks; None takes every initial state of the split."""
    output: str | None = None
    """MP4 file of the film, which has the episodes beside each other."""
    stride: PositiveInt = 1
    """Number of control steps between two frames."""


def main(arguments: list[str]) -> None:
    """Show the episodes, or write a film of them and say where it is."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    what, *options = arguments
    from rllib_configs.run.subjects import find_subject

    subject = find_subject(what)
    default = Play(environment=subject.defaults.environment, policy=subject.defaults.policy)
    given = parse_assessment(f"vla play {what}", subject, default, options)
    from rllib_configs.run.play import film, show

    if given.output is None and has_display():
        show(subject, given)
        return
    path = Path(given.output or FILM)
    check_output(path)
    successes = film(subject, given, given.stride, path)
    print(f"{sum(successes)} of {len(successes)} episodes succeed: film in {path}")


def has_display() -> bool:
    """Whether a window can be opened."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
