"""Checkpoints of a run: written whole, checked before they are used, the last few kept."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from policies.interface import Policy, check_finite
from policies.options import STRICT, read_typed
from rllib_configs.run.directory import CHECKPOINTS
from rllib_configs.run.report import CurvePoint
from vla_envs.errors import InvalidArgumentError, NonFiniteError
from vla_envs.files import atomic_directory, clear_scratch, sha256_of
from vla_envs.strict_json import read_json

POLICY = "policy"
BEST = "best"
TRAINING_FILE = "training.pt"
RUN_FILE = "run.json"
SUMS_FILE = "sha256.json"

_log = logging.getLogger(__name__)


@dataclass
class RunState:
    """What a run knows beside what its algorithm knows."""

    __pydantic_config__ = STRICT

    iteration: int = 0
    """Updates so far."""
    minutes: float = 0.0
    """Time spent in training and its evaluations so far, over all sessions."""
    sampled: list[float | None] = field(default_factory=list)
    """Success rate of the sampled trajectories per iteration; None where none was measured."""
    curve: list[CurvePoint] = field(default_factory=list)
    """Greedy evaluations, the first of them at iteration 0."""


_STATE = TypeAdapter(RunState)


@dataclass(frozen=True)
class Checkpoint:
    """A sound checkpoint on disk."""

    path: Path
    state: RunState

    def training_state(self) -> dict[str, Any]:
        """What ``VLAPPO.load_training_state`` takes, on the CPU."""
        return torch.load(self.path / TRAINING_FILE, map_location="cpu", weights_only=True)


class Checkpoints:
    """The checkpoints of the run in ``directory``, of which the last ``kept`` stay.

    ``checkpoints/iteration_000012/`` holds ``policy/`` (``save_pretrained``), ``best/`` (the run's, as it was then),
    ``training.pt`` (the training state), ``run.json`` (a :class:`RunState`) and ``sha256.json`` (the checksums of these
    files).
    """

    def __init__(self, directory: Path, kept: int) -> None:
        self.folder = directory / CHECKPOINTS
        self.best = directory / BEST
        self.kept = kept

    def save(self, policy: Policy, training_state: Mapping[str, Any], state: RunState) -> Path:
        """Write a checkpoint aside and rename it into place, then remove those that are not kept.

        Args:
            policy: as it is after ``state.iteration`` updates.
            training_state: nested dictionaries and lists of tensors, numbers and strings.
            state: where the run is.

        Raises:
            NonFiniteError: a weight or a moment of the optimizer is NaN or infinite; nothing is written or removed.
        """
        check_finite(_tensors(training_state), "No checkpoint is written.")
        path = self.folder / f"iteration_{state.iteration:06d}"
        with atomic_directory(path) as scratch:
            policy.save_pretrained(scratch / POLICY)
            if self.best.is_dir():
                shutil.copytree(self.best, scratch / BEST)
            with (scratch / TRAINING_FILE).open("wb") as file:  # whose errors say what is wrong
                torch.save(training_state, file)
            (scratch / RUN_FILE).write_bytes(_STATE.dump_json(state, indent=2))
            (scratch / SUMS_FILE).write_text(json.dumps(_checksums(scratch), indent=2))
        self._remove_all_but_kept(path)
        return path

    def restore_best(self, checkpoint: Checkpoint) -> None:
        """Have ``best/`` of the run be that of a checkpoint: a later one belongs to a course that is left."""
        with atomic_directory(self.best) as scratch:
            shutil.copytree(checkpoint.path / BEST, scratch, dirs_exist_ok=True)

    def newest(self) -> Checkpoint:
        """The newest sound checkpoint; damaged ones are passed over with a warning.

        Raises:
            InvalidArgumentError: there is none.
        """
        clear_scratch(self.folder)
        looked_at = []
        for path in sorted(self.folder.glob("iteration_*"), reverse=True):
            try:
                return _read(path)
            except (OSError, ValueError, TypeError, NonFiniteError) as error:
                _log.warning("%s is damaged and is passed over: %s", path, error)
                looked_at.append(f"{path.name} ({error})")
        raise InvalidArgumentError(
            f"{self.folder} has no sound checkpoint: {'; '.join(looked_at) or 'nothing is there'}. "
            "Start anew with: vla train PRESET"
        )

    def _remove_all_but_kept(self, last: Path) -> None:
        # Later ones belong to a course that a resumed run has left.
        every = sorted(self.folder.glob("iteration_*"))
        course = [path for path in every if path <= last]
        for path in every:
            if path not in course[-self.kept :]:
                shutil.rmtree(path)


def _read(path: Path) -> Checkpoint:
    """Read a checkpoint whose files are all as they were written, and whose numbers are finite.

    Raises:
        OSError, ValueError, TypeError, NonFiniteError: one is not; the message says which.
    """
    written, present = dict(read_json(path / SUMS_FILE)), _checksums(path)
    changed = sorted(name for name in {*written, *present} if written.get(name) != present.get(name))
    if changed:
        raise ValueError(f"missing or not as written: {', '.join(changed)}")
    checkpoint = Checkpoint(path, read_typed(_STATE, path / RUN_FILE))
    check_finite(_tensors(checkpoint.training_state()), "It is of a training that failed.")
    return checkpoint


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested dictionaries and lists, by their keys joined by dots."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, Mapping | list | tuple):
        for key, each in state.items() if isinstance(state, Mapping) else enumerate(state):
            yield from _tensors(each, f"{name}.{key}".lstrip("."))


def _checksums(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SUMS_FILE]
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
