"""The command ``vla``, whose subcommands are the modules beside this one."""

from __future__ import annotations

import importlib
import os
import signal
import sys

import gymnasium as gym

from rllib_configs.run.interruption import Interruption, Stopped
from vla_envs.errors import VLAEnvsError
from vla_envs.files import DISK_ERRORS

COMMANDS = {
    "train": "Clone and train a policy by a preset, such as tabletop_ttrl.",
    "bc": "Clone a policy from demonstrations, recorded ones or those of a scripted expert.",
    "evaluate": "Measure how often a policy, the scripted expert or chance succeeds on held-out initial states.",
    "compare": "Tell whether one succeeds more often than another, on the same initial states.",
    "play": "Watch episodes, in a window or as a film.",
    "report": "Write a page about a run, an evaluation or a comparison.",
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
    try:
        try:
            return _run(command, arguments)
        finally:
            _flush()
    except BrokenPipeError:  # whoever read the output has ended, as in `vla doctor | head -1`
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        return _fail(command, str(error))


def _run(command: str, arguments: list[str]) -> int:
    if command in ("-h", "--help"):
        print(_usage())
        return 0
    if command not in COMMANDS:
        print(f"vla: no command {command!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    try:
        with Interruption().listening():
            return importlib.import_module(f"rllib_configs.cli.{command}").main(arguments) or 0
    except (VLAEnvsError, gym.error.Error) as error:
        return _fail(command, str(error))
    except KeyboardInterrupt as error:
        _fail(command, str(error) or "stopped by SIGINT.")
        return error.exit_code if isinstance(error, Stopped) else 130
    except ImportError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        return _fail(command, f"{error}. Install it with: pip install 'vla-envs[rllib]'")


def _flush() -> None:
    """Write the rest of the output now: where that fails at the end of Python, it complains by itself."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _fail(command: str, message: str) -> int:
    print(f"vla {command}: {message}", file=sys.stderr)
    return 1


def _usage() -> str:
    lines = [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: vla COMMAND ...", "", *lines, "", "vla COMMAND --help lists its options."])
