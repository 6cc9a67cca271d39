"""``vla bc PRESET --demonstrations PATH``: clone the policy of a preset; every field of the preset is an option."""

from __future__ import annotations

from rllib_configs.cli.options import description, parse_options, preset_lines
from rllib_configs.config import Experiment
from rllib_configs.presets import PRESETS
from vla_envs.arguments import check_choice

VALIDATION_SHARE = 0.1
"""Share of the demonstrations that validate, unless ``--bc.validation-share`` says otherwise."""


def main(arguments: list[str]) -> None:
    """Parse the options and clone."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: vla bc PRESET [--demonstrations PATH] [options]")
        print("       vla bc PRESET [--demonstrations PATH] [options] policy:KIND [options of the policy]\n")
        print(
            "PATH has a LeRobot dataset, or HDF5 files of LIBERO or RoboTwin, of this package's recorder or of others."
        )
        print("Without it the environment's scripted expert makes demonstrations.\n")
        print(f"{preset_lines()}\n")
        print("vla bc PRESET --help lists the options of a preset, those of cloning as --bc.*.")
        return
    preset, *options = arguments
    experiment = parse_bc(preset, options)
    from rllib_configs.run.bc import clone_policy  # after the options: torch takes seconds

    clone_policy(experiment)


def parse_bc(preset: str, options: list[str]) -> Experiment:
    """The experiment of a preset with options over its values; ``--demonstrations`` is short for
    ``--bc.demonstrations``.

    Raises:
        VLAEnvsError: an unknown preset, or a value that is not valid.
        SystemExit: an unknown option, a value of another type or none of the choices, or a call for help.

    >>> parse_bc("tabletop_ttrl", ["--demonstrations", "recordings/tabletop"]).bc.demonstrations
    'recordings/tabletop'
    """
    check_choice("preset", preset, PRESETS)
    default = PRESETS[preset]()
    default = default.replace(name=f"{default.name}_bc", bc=default.bc.replace(validation_share=VALIDATION_SHARE))
    named = [_full_name(option) for option in options]
    return parse_options(f"vla bc {preset}", description(PRESETS[preset]), default, named)


def _full_name(option: str) -> str:
    name, equals, value = option.partition("=")
    return f"--bc.demonstrations{equals}{value}" if name == "--demonstrations" else option
