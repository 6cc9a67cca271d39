"""The ``vla`` command: ``vla train``, ``evaluate``, ``bench``, ``doctor``, ``assets``, ``seeds``."""

from __future__ import annotations

import importlib
import sys

import gymnasium as gym

from vla_envs.errors import VLAEnvsError
from vla_envs.files import DISK_ERRORS

COMMANDS = {
    "train": "Clone and train a policy by a preset, such as tabletop_ttrl.",
    "evaluate": "Measure the success of a trained policy on held-out initial states.",
    "bench": "Compare with what is official, such as parity with LIBERO's own environment.",
    "doctor": "Examine the installation: versions, drawing, assets, what makes results differ, what a GPU holds.",
    "seeds": "Find RoboTwin scenes that its scripted expert solves.",
    "assets": "Install what a simulator needs, or make a checkpoint.",
}
"""Command -> what it does; each lives in the module of its name."""
OWN_PACKAGES = ("vla_envs", "policies", "rllib_configs")
"""An import from these that fails is no missing extra."""


def main(argv: list[str] | None = None) -> int:
    """Run a command; errors of this package and missing extras end it with one line instead of a traceback."""
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help"):
        print(_usage())
        return 0
    if command not in COMMANDS:
        print(f"vla: no command {command!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(f"rllib_configs.cli.{command}").main(arguments) or 0
    except (VLAEnvsError, gym.error.Error) as error:
        return _fail(command, str(error))
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        return _fail(command, str(error))
    except KeyboardInterrupt as error:
        _fail(command, str(error) or "stopped by SIGINT.")
        return getattr(error, "exit_code", 130)  # rllib_configs.run.interruption.Stopped has one
    except ImportError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        return _fail(command, f"{error}. Install it with: pip install 'vla-envs[rllib]'")


def _fail(command: str, message: str) -> int:
    print(f"vla {command}: {message}", file=sys.stderr)
    return 1


def _usage() -> str:
    lines = [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: vla COMMAND ...", "", *lines, "", "vla COMMAND --help lists its options."])
