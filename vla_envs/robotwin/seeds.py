"""The seeds of a task's initial states: RoboTwin draws its scenes by a seed, and not every seed has a good one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError, WorkerError
from vla_envs.files import atomic_write_text, exclusive, expanded, user_cache
from vla_envs.strict_json import read_json

FILES = {"train": "train_seeds.json", "eval": "eval_seeds.json"}
"""Split -> file of a folder of seeds, as RLinf names them."""
SIMPLEVLA_RL = "robotwin2_"
"""How SimpleVLA-RL's names of the same files begin."""
GIVE_UP = 30
"""Scenes in a row that the expert may fail at before a search ends."""
FIRST = {"train": 100_000, "eval": 100_100_000}
"""Split -> first seed: where upstream's evaluation and RLinf's evaluation seeds begin."""
NUM_UNCHECKED = 50
"""Initial states of each split where no list is known."""
UNCHECKED = "unchecked"


class Seeds(NamedTuple):
    """The seeds of one task's initial states."""

    train: tuple[int, ...]
    eval: tuple[int, ...]
    listed: str
    """The folder or file that lists them."""
    unchecked: tuple[str, ...] = ()
    """The splits whose seeds are in no list: nobody has checked them."""

    @property
    def source(self) -> str:
        """Where they come from: the folder or file, ``"unchecked"``, or a folder and the split it lacks."""
        if len(self.unchecked) == len(FILES):
            return UNCHECKED
        return ", ".join([self.listed, *(f"{split} {UNCHECKED}" for split in self.unchecked)])

    @property
    def all(self) -> tuple[int, ...]:
        """By initial state: those that train, then those that evaluate."""
        return (*self.train, *self.eval)


def seeds_folder(embodiment: str, task_config: str) -> Path:
    """Where the seeds that the expert has solved are kept, for one robot and one configuration of scenes."""
    return user_cache() / "vla_envs" / "robotwin-seeds" / embodiment / task_config


def read_seeds(source: str | Path | None, tasks: Sequence[str], kept: Path) -> dict[str, Seeds]:
    """The seeds of every task.

    Args:
        source: a JSON file in RLinf's format, ``{task: {"success_seeds": [...]}}``, of whose seeds the first half
            trains; or a folder with ``train_seeds.json`` and ``eval_seeds.json``, such as RLinf's and SimpleVLA-RL's.
            None takes ``kept``, and consecutive seeds that nobody has checked for what it lacks.
        tasks: names.
        kept: a folder from :func:`seeds_folder`.

    Raises:
        MissingAssetsError: no such file or folder.
        DamagedAssetsError: a file that is no list of seeds.
        InvalidArgumentError: ``source`` lacks one of the tasks, has fewer than two seeds of it, or one in both splits.
    """
    if source is None:
        return {task: _kept(kept, task) for task in tasks}
    path = expanded(source)
    if not path.exists():
        raise MissingAssetsError(
            f"Expect `seeds` to be a JSON file or a folder with {' and '.join(FILES.values())}, actually: there is no "
            f"{path}. Find seeds with: vla seeds TASK --output FOLDER"
        )
    known = _read(path)
    missing = [task for task in tasks if task not in known]
    if missing:
        raise InvalidArgumentError(
            f"Expect `seeds` to list at least one seed to train and one to evaluate for {', '.join(missing)}, "
            f"actually: {path} has {', '.join(sorted(known)) or 'no task'}. "
            f"Find them with: vla seeds {missing[0]} --output FOLDER"
        )
    for task in tasks:
        both = set(known[task].train) & set(known[task].eval)
        if both:
            raise InvalidArgumentError(
                f"Expect `seeds` that either train or evaluate, actually: {path} has {min(both)} of {task} in both."
            )
    return {task: known[task] for task in tasks}


def find_seeds(why_unsolved: Callable[[int], str | None], split: str, known: Sequence[int]) -> Iterator[int]:
    """Seeds of a split whose scenes the expert solves, in their order, from the last known one on.

    Args:
        why_unsolved: why it does not solve that of a seed, None where it does.
        split: ``"train"`` or ``"eval"``.
        known: seeds that were found before.

    Raises:
        WorkerError: :data:`GIVE_UP` in a row are not solved.

    >>> from itertools import islice
    >>> list(islice(find_seeds(lambda seed: "odd" if seed % 2 else None, "train", known=[100_000]), 2))
    [100002, 100004]
    """
    missed = 0
    for seed in count(max(known) + 1 if known else FIRST[split]):
        reason = why_unsolved(seed)
        if reason is None:
            missed = 0
            yield seed
            continue
        missed += 1
        if missed == GIVE_UP:
            raise WorkerError(f"RoboTwin's expert solves none of {GIVE_UP} scenes up to {seed}; the last: {reason}")


def known_seeds(folder: Path, task: str, split: str) -> list[int]:
    """A task's seeds of a split in a folder, none where it has no such file or task."""
    path = folder / FILES[split]
    return _lists(path).get(task, []) if path.exists() else []


def write_seeds(folder: Path, task: str, split: str, seeds: Sequence[int]) -> Path:
    """Put a task's seeds of a split into a folder, beside those of other tasks; returns the file."""
    path = folder / FILES[split]
    with exclusive(folder):  # searches for several tasks may run side by side
        content = _lists(path) if path.exists() else {}
        content[task] = list(seeds)
        by_task = {name: {"task_name": name, "success_seeds": each} for name, each in sorted(content.items())}
        atomic_write_text(path, json.dumps(by_task, indent=1))
    return path


def _kept(folder: Path, task: str) -> Seeds:
    """What was found of a task, split by split, and seeds that nobody has checked for the rest."""
    found = {split: tuple(known_seeds(folder, task, split)) for split in FILES}
    lacking = tuple(split for split, seeds in found.items() if not seeds)
    for split in lacking:
        found[split] = tuple(range(FIRST[split], FIRST[split] + NUM_UNCHECKED))
    return Seeds(found["train"], found["eval"], str(folder), lacking)


def _read(path: Path) -> dict[str, Seeds]:
    """The tasks that have seeds of both splits."""
    if path.is_dir():
        train, evaluate = (_lists_of(path, split) for split in FILES)
    else:
        halves = {task: (seeds[: len(seeds) // 2], seeds[len(seeds) // 2 :]) for task, seeds in _lists(path).items()}
        train, evaluate = ({task: each[index] for task, each in halves.items()} for index in range(2))
    return {
        task: Seeds(tuple(seeds), tuple(evaluate[task]), str(path))
        for task, seeds in train.items()
        if seeds and evaluate.get(task)
    }


def _lists_of(folder: Path, split: str) -> dict[str, list[int]]:
    files = [folder / f"{prefix}{FILES[split]}" for prefix in ("", SIMPLEVLA_RL)]
    return next((_lists(path) for path in files if path.exists()), {})


def _lists(path: Path) -> dict[str, list[int]]:
    """Task -> seeds of one file."""
    try:
        content = read_json(path)
        return {task: _checked(entry["success_seeds"]) for task, entry in content.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedAssetsError(
            f'Expect {path} to be JSON of the form {{task: {{"success_seeds": [...]}}}}, actually: {error!r}.'
        ) from error


def _checked(seeds: Any) -> list[int]:
    if not isinstance(seeds, list) or not all(type(each) is int and 0 <= each < 2**32 for each in seeds):
        raise ValueError("seeds are integers from 0 to 2**32 - 1")
    return seeds
