"""``vla train PRESET``: every field of the preset is an option; ``vla train --resume RUN`` goes on with a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import tyro

from rllib_configs.cli.options import description, parse_options, preset_lines
from rllib_configs.config import Experiment
from rllib_configs.presets import PRESETS
from vla_envs.arguments import check_choice
from vla_envs.errors import InvalidArgumentError


@dataclass(frozen=True)
class Resumption:
    """Go on with a run from its newest sound checkpoint."""

    resume: Path
    """Directory of the run."""
    iterations: int | None = None
    """Number of updates in all, if it shall be more than the run has."""
    time_limit_minutes: float | None = None
    """Limit for the training of all sessions together, if it shall be another."""


def main(arguments: list[str]) -> None:
    """Parse the options and begin a run, or go on with one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: vla train PRESET [options]")
        print("       vla train PRESET [options] policy:KIND [options of the policy]")
        print("       vla train --resume RUN [--iterations N] [--time-limit-minutes M]\n")
        print(f"{preset_lines()}\n")
        print("vla train PRESET --help lists the options of a preset.")
        print("vla train PRESET policy:openvla --help lists those of a hosted checkpoint.")
        return
    if any(argument.partition("=")[0] == "--resume" for argument in arguments):
        _resume(arguments)
    else:
        preset, *options = arguments
        experiment = parse_experiment(preset, options)
        from rllib_configs.run.train import train  # after the options: RLlib takes seconds

        _quieten_ray()
        train(experiment)


def parse_experiment(preset: str, options: list[str]) -> Experiment:
    """The experiment of a preset with options over its values.

    Without a subcommand the options of the policy are those of the preset's kind; ``policy:KIND`` takes another kind.

    Raises:
        VLAEnvsError: an unknown preset, or a value that is not valid.
        SystemExit: an unknown option, a value of another type or none of the choices, or a call for help.

    >>> parse_experiment("tabletop_ttrl", ["--ttrl.n-votes-per-prompt", "5"]).ttrl.n_votes_per_prompt
    5
    """
    check_choice("preset", preset, PRESETS)
    default = PRESETS[preset]()
    parsed = parse_options(f"vla train {preset}", description(PRESETS[preset]), default, options)
    if parsed.policy.path is not None and parsed.bc != default.bc:
        raise InvalidArgumentError(
            "Expect options of `bc` without `policy.path`, whose checkpoint is not cloned from demonstrations again, "
            f"actually: {parsed.bc} with {parsed.policy.path}. Leave one of them out."
        )
    return parsed


def _resume(arguments: list[str]) -> None:
    """Go on with a run; a changed experiment would not be the same run."""
    given, others = tyro.cli(Resumption, args=arguments, prog="vla train", return_unknown_args=True)
    if others:
        raise InvalidArgumentError(
            "A run goes on as its config.json says, so that its results are those of one experiment: beside --resume "
            f"only --iterations and --time-limit-minutes are allowed, actually: {' '.join(others)}. For other options "
            f"start a new run with: vla train PRESET --policy.path {given.resume / 'policy'} OPTIONS"
        )
    from rllib_configs.run.train import resume

    _quieten_ray()
    resume(given.resume, given.iterations, given.time_limit_minutes)


def _quieten_ray() -> None:
    """RLlib's notices at the start would bury the progress; importing it sets the levels."""
    for name in ("ray", "ray.rllib"):
        logging.getLogger(name).setLevel(logging.ERROR)
