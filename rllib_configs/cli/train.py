"""``vla train PRESET``: every field of the preset is an option; ``vla train --resume RUN`` goes on with a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import tyro

from rllib_configs.experiment import Experiment
from rllib_configs.presets import PRESETS
from rllib_configs.run import resume, train
from vla_envs.errors import InvalidArgumentError, check_choice


@dataclass(frozen=True)
class Resumption:
    """Go on with a run from its newest sound checkpoint."""

    resume: Path
    """Directory of the run."""
    iterations: int | None = None
    """Updates in all, if they shall be more than the run has."""
    time_limit_minutes: float | None = None
    """Limit for the training of all sessions together, if it shall be another."""


def main(arguments: list[str]) -> None:
    """Parse the options and begin a run, or go on with one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: vla train PRESET [options]")
        print("       vla train --resume RUN [--iterations N] [--time-limit-minutes M]\n")
        print(f"presets: {', '.join(PRESETS)}\n")
        print("vla train PRESET --help lists the options of a preset.")
        return
    # RLlib's notices at the start would bury the progress.
    for name in ("ray", "ray.rllib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if any(argument.partition("=")[0] == "--resume" for argument in arguments):
        _resume(arguments)
    else:
        _train(*arguments)


def _train(preset: str, *options: str) -> None:
    """Run a preset with the options over its values."""
    check_choice("preset", preset, PRESETS)
    default = PRESETS[preset]()
    train(tyro.cli(Experiment, args=options, default=default, prog=f"vla train {preset}"))


def _resume(arguments: list[str]) -> None:
    """Go on with a run; a changed experiment would not be the same run."""
    given, others = tyro.cli(Resumption, args=arguments, prog="vla train", return_unknown_args=True)
    if others:
        raise InvalidArgumentError(
            "A run goes on as its config.json says, so that its results are those of one experiment: beside --resume "
            f"only --iterations and --time-limit-minutes are allowed, actually: {' '.join(others)}. For other options "
            f"start a new run with: vla train PRESET --policy.path {given.resume / 'policy'} OPTIONS"
        )
    resume(given.resume, given.iterations, given.time_limit_minutes)
