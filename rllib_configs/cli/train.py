"""``vla train PRESET``: every field of the preset is an option."""

from __future__ import annotations

import logging

import tyro

from rllib_configs.experiment import Experiment
from rllib_configs.presets import PRESETS
from rllib_configs.run import train
from vla_envs.errors import check_choice


def main(arguments: list[str]) -> None:
    """Parse the options over the preset's values and run it."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: vla train PRESET [options]\n\npresets: {', '.join(PRESETS)}\n")
        print("vla train PRESET --help lists the options of a preset.")
        return
    preset, *options = arguments
    check_choice("preset", preset, PRESETS)
    default = PRESETS[preset]()
    experiment = tyro.cli(Experiment, args=options, default=default, prog=f"vla train {preset}")
    # RLlib's notices at the start would bury the progress.
    logging.getLogger("ray").setLevel(logging.ERROR)
    train(experiment)
