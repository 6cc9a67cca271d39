"""What ``vla bc`` does: a policy cloned from demonstrations, in a directory that evaluation and training take."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from policies.behavior_cloning import Measurement
from policies.interface import Policy
from rllib_configs.config import Experiment
from rllib_configs.run.cloning import GIVE_SOME, clone_demonstrations, load_demonstrations, load_initial_policy
from rllib_configs.run.directory import CONFIG_FILE, new_directory
from rllib_configs.run.logging import Progress
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_write_text, check_writable

LOSSES_FILE = "validation.json"


def clone_policy(experiment: Experiment, root: Path = Path("runs")) -> Path:
    """Clone the policy of an experiment, a fresh one or that of a checkpoint.

    The directory holds ``config.json``, ``policy/`` (``save_pretrained``), which after every improvement of the
    validation loss is the best so far, and ``validation.json``, a list of ``{"step", "loss"}``.

    Returns:
        The directory, ``root/<name>``, with ``-2``, ``-3``, ... where the name is taken.

    Raises:
        InvalidArgumentError: no demonstrations; the message names the commands that make or fetch some.
    """
    experiment = experiment.resolved()
    if experiment.bc.demonstrations is None and experiment.bc.demonstrations_per_task == 0:
        raise InvalidArgumentError(
            f"Expect demonstrations to clone, actually: none. {GIVE_SOME} Where the environment has a scripted expert, "
            "it makes some: --bc.demonstrations-per-task 20"
        )
    check_writable(root, "runs", "Start from another working directory.")
    experiment.environment.check_registered()
    policy = load_initial_policy(experiment)
    torch.set_num_threads(experiment.resources.torch_threads)
    policy.to("cuda" if torch.cuda.is_available() else "cpu")
    progress = Progress(experiment)
    progress.phase("demonstrations")
    demonstrations = load_demonstrations(experiment)
    progress.phase("cloning")
    results = _Results(experiment, policy, progress, new_directory(root, experiment.name))
    clone_demonstrations(policy, experiment, demonstrations, progress.cloned, results.add)
    policy.save_pretrained(results.directory / "policy")
    progress.cloned_in(results.directory)
    return results.directory


class _Results:
    """The directory of a cloned policy, kept up to date."""

    def __init__(self, experiment: Experiment, policy: Policy, progress: Progress, directory: Path) -> None:
        self.policy, self.progress, self.directory = policy, progress, directory
        self.measured: list[Measurement] = []
        atomic_write_text(self.directory / CONFIG_FILE, experiment.to_json())

    def add(self, measured: Measurement) -> None:
        """Write down a validation loss, and the policy where it is the best."""
        self.measured.append(measured)
        losses = [{"step": each.step, "loss": each.loss} for each in self.measured]
        atomic_write_text(self.directory / LOSSES_FILE, json.dumps(losses, indent=1))
        if measured.is_best:
            self.policy.save_pretrained(self.directory / "policy")
        self.progress.validated(measured)
