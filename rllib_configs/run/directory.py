"""The directory of a run: what lies in it, and how it is found again."""

from __future__ import annotations

from pathlib import Path

from rllib_configs.config import Experiment
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import named

CONFIG_FILE = "config.json"
"""The experiment."""
ENVIRONMENT_FILE = "environment.json"
"""What the environment says that results rest on."""
CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints, each of which has policies of its own."""
PAGE = "report.html"
"""What is to be looked at."""
FILM = "before_after.mp4"
"""The same prompts before and after training."""
SUCCESS_TABLE = "success.md"
"""Success by task, in a run that has ended."""


def is_run(directory: Path) -> bool:
    """Whether it is the directory of a run, whose configuration says where it is: a policy's file has the same name."""
    path = directory / CONFIG_FILE
    return path.is_file() and '"environment"' in path.read_text(errors="replace")


def run_of(policy: Path) -> Path | None:
    """The run that the directory of a policy belongs to: it lies in the run's, or in one of its checkpoints."""
    folder, *further = policy.absolute().parents
    if len(further) > 1 and further[0].name == CHECKPOINTS:
        folder = further[1]
    return folder if is_run(folder) else None


def load_experiment(directory: Path) -> Experiment:
    """The experiment of a run's ``config.json``.

    Raises:
        InvalidArgumentError: there is none, or the file does not hold an experiment of this version.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise InvalidArgumentError(
            f"Expect the directory of a run that `vla train` wrote, actually: {named(directory)}."
        )
    try:
        experiment = Experiment.from_json(path)
        experiment.environment.check_registered()
        return experiment
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"{error} Go on with the version that wrote it, or start a new run from its policy with: "
            f"vla train PRESET --policy.path {directory / 'policy'}"
        ) from None


def new_directory(root: Path, name: str) -> Path:
    """Make the directory of a run, ``root/<name>``, with ``-2``, ``-3``, ... where the name is taken."""
    candidates = (root / (name if number == 1 else f"{name}-{number}") for number in range(1, 10_000))
    for directory in candidates:
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory
    raise FileExistsError(f"Every directory from {name} to {name}-9999 in {root} is taken.")
