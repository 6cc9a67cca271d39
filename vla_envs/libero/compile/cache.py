"""Keeps compiled tasks on disk: building one imports the official code and takes seconds, loading it does not."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from vla_envs.files import atomic_directory, exclusive, user_cache
from vla_envs.libero import official
from vla_envs.libero.compile.fingerprint import fingerprint
from vla_envs.libero.sim.compiled_task import CompiledTask
from vla_envs.libero.sim.controller import ArmState, Wiring
from vla_envs.libero.sim.goal import (
    AllJoints,
    AnyJoint,
    Goal,
    InRegion,
    JointBound,
    Lamp,
    OnRegion,
    OnThing,
    Touch,
)
from vla_envs.libero.sim.memory import trim
from vla_envs.libero.suites import Task
from vla_envs.strict_json import read_json

SOURCES = (
    "official.py",
    "compile/builder.py",
    "compile/cache.py",
    "compile/goal_reader.py",
    "sim/compiled_task.py",
    "sim/controller.py",
    "sim/goal.py",
)
"""Files of ``vla_envs/libero`` that decide what a compiled task is."""
PHYSICS_FILE = "physics.mjb"
SCENE_FILE = "scene.xml"
ROBOT_FILE = "robot.npz"
GOAL_FILE = "goal.json"
CHECKSUM_FILE = "sha256"

KINDS = {
    kind.__name__: kind for kind in (Goal, Lamp, AnyJoint, AllJoints, JointBound, Touch, OnThing, OnRegion, InRegion)
}
"""Name -> class of what a goal consists of."""

_log = logging.getLogger(__name__)


def load_or_build(task: Task, assets: Path, build: Callable[[Task, Path], CompiledTask]) -> CompiledTask:
    """The task as the disk keeps it, else built and kept; one process builds it, the others wait.

    An entry is found by the installed versions, the content of the assets and of the task's file, where
    assets and packages are, and the code that builds. A disk that cannot be written costs a warning.
    """
    folder = cache_folder() / task.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _log.warning("Compiled tasks cannot be kept in %s (%s): every process builds them anew.", folder, error)
        return build(task, assets)
    entry = folder / key(task, assets)
    compiled = _load(entry)
    if compiled is not None:
        return compiled
    with exclusive(folder):
        compiled = _load(entry)
        if compiled is None:
            compiled = build(task, assets)
            _store(compiled, entry)
            gc.collect()  # the official environment, which refers to itself
            trim()
    return compiled


def cache_folder() -> Path:
    """Where compiled tasks are kept: ``vla_envs/libero-tasks`` in the user's cache. It may be deleted at any time."""
    return user_cache() / "vla_envs" / "libero-tasks"


def key(task: Task, assets: Path) -> str:
    """Name of a task's entry: 16 hexadecimal digits."""
    decides = {
        "versions": official.versions(),
        "assets": fingerprint(assets),
        "places": [str(assets), *official.package_folders()],
        "bddl": task.bddl_file.read_text(),
        "code": _code_digest(),
    }
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def save(compiled: CompiledTask, folder: Path) -> None:
    """Write a task into an existing folder."""
    mujoco.mj_saveModel(compiled.model, str(folder / PHYSICS_FILE))
    (folder / SCENE_FILE).write_text(compiled.scene)
    np.savez(folder / ROBOT_FILE, **compiled.wiring._asdict(), **compiled.initial._asdict())
    (folder / GOAL_FILE).write_text(json.dumps(_encode(compiled.goal), indent=1))
    (folder / CHECKSUM_FILE).write_text(_checksum(folder))


def load(folder: Path) -> CompiledTask:
    """Read what :func:`save` wrote.

    Raises:
        OSError: a file is missing or cannot be read.
        ValueError: a file is not as it was written.
    """
    if (folder / CHECKSUM_FILE).read_text() != _checksum(folder):
        raise ValueError("its files are not as they were written")
    with np.load(folder / ROBOT_FILE) as file:  # pickles are refused
        arrays = {name: file[name] for name in file.files}
    values: dict[str, Any] = {name: array if array.ndim else int(array) for name, array in arrays.items()}
    return CompiledTask(
        model=mujoco.MjModel.from_binary_path(str(folder / PHYSICS_FILE)),
        scene=(folder / SCENE_FILE).read_text(),
        wiring=Wiring(**{name: values[name] for name in Wiring._fields}),
        initial=ArmState(**{name: values[name] for name in ArmState._fields}),
        goal=_decode(read_json(folder / GOAL_FILE)),
    )


def _load(entry: Path) -> CompiledTask | None:
    if not entry.is_dir():
        return None
    try:
        return load(entry)
    except (OSError, ValueError) as error:
        _log.warning("The compiled task at %s is damaged (%s) and built anew.", entry, error)
        return None


def _store(compiled: CompiledTask, entry: Path) -> None:
    try:
        with atomic_directory(entry) as scratch:
            save(compiled, scratch)
    except OSError as error:
        _log.warning("The compiled task cannot be kept at %s: %s.", entry, error)


@cache
def _code_digest() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((Path(__file__).parents[1] / name).read_bytes())
    return digest.hexdigest()


def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (PHYSICS_FILE, SCENE_FILE, ROBOT_FILE, GOAL_FILE):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    return [_encode(each) for each in value] if isinstance(value, tuple) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        fields = {name: _decode(each) for name, each in value.items()}
        return KINDS[fields.pop("is")](**fields)
    return tuple(_decode(each) for each in value) if isinstance(value, list) else value
