"""A task ready to simulate, and its form on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.libero.controller import ArmState, Command, Observed, Wiring
from vla_envs.libero.goal import (
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

PHYSICS_FILE = "physics.mjb"
SCENE_FILE = "scene.xml"
ROBOT_FILE = "robot.npz"
GOAL_FILE = "goal.json"
CHECKSUM_FILE = "sha256"
DRAWN_MEMORY = 2**20
"""Bytes that MuJoCo reserves beside a drawn model, with which nothing is simulated; LIBERO reserves 1.3 GB."""
MAX_STARTS = 64
"""Starts that a task keeps, more than its 50 recorded initial states."""


KINDS = {
    kind.__name__: kind for kind in (Goal, Lamp, AnyJoint, AllJoints, JointBound, Touch, OnThing, OnRegion, InRegion)
}
"""What a goal consists of, by name."""


class Start(NamedTuple):
    """An initial state after its objects have settled: where an episode starts.

    Attributes:
        physics: MuJoCo's integration state.
        command: what the controller remembers.
        observed: what the first observation shows.
        glowing, observed_glowing: the lamps, and those that the first observation shows.
        images: of the first observation, those that were drawn, by what their drawer calls them.
    """

    physics: NDArray[np.float64]
    command: Command
    observed: Observed
    glowing: tuple[bool, ...]
    observed_glowing: tuple[bool, ...]
    images: dict[Any, NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class CompiledTask:
    """A task ready to simulate. Every environment of the process shares it: treat the models as read-only.

    Attributes:
        model: MuJoCo's model for simulating, with the fixtures at their poses and without the shapes that
            only images show: 3 MB instead of 150 to 270 MB, and 8 to 15 % faster to step, to the same bits.
        scene: the complete model in MuJoCo's XML, which drawing needs.
        wiring: where the robot is in the model's arrays.
        initial: the arm's state at an official reset, before an initial state is set.
        goal: what the task asks for.
        starts: the starts that simulators of the task have come to, by the bytes of the initial state.
    """

    model: mujoco.MjModel
    scene: str
    wiring: Wiring
    initial: ArmState
    goal: Goal
    starts: dict[bytes, Start] = field(default_factory=dict)

    def drawn_model(self) -> mujoco.MjModel:
        """A new complete model, for drawing: bodies, joints, sites and cameras are those of ``model``.

        Raises:
            ValueError: a file of the assets is gone or damaged.
        """
        spec = mujoco.MjSpec.from_string(self.scene)
        spec.memory = DRAWN_MEMORY
        model = spec.compile()
        take_over(model, self.model)
        return model

    @cached_property
    def poses(self) -> mujoco.MjData:
        """Scratch for computing poses from joint positions: MuJoCo reserves 1.3 GB of addresses beside each."""
        return mujoco.MjData(self.model)

    def keep_start(self, key: bytes, start: Start) -> None:
        """Keep a start, and let go of the oldest where there are too many."""
        while len(self.starts) >= MAX_STARTS:
            del self.starts[next(iter(self.starts))]
        self.starts[key] = start

    def save(self, folder: Path) -> None:
        """Write the task into an existing folder."""
        mujoco.mj_saveModel(self.model, str(folder / PHYSICS_FILE))
        (folder / SCENE_FILE).write_text(self.scene)
        np.savez(folder / ROBOT_FILE, **self.wiring._asdict(), **self.initial._asdict())
        (folder / GOAL_FILE).write_text(json.dumps(_encode(self.goal), indent=1))
        (folder / CHECKSUM_FILE).write_text(_checksum(folder))

    @classmethod
    def load(cls, folder: Path) -> CompiledTask:
        """Read what :meth:`save` wrote.

        Raises:
            OSError: a file is missing or cannot be read.
            ValueError: a file is not as it was written.
        """
        if (folder / CHECKSUM_FILE).read_text() != _checksum(folder):
            raise ValueError("its files are not as they were written")
        with np.load(folder / ROBOT_FILE) as file:  # pickles are refused
            arrays = {name: file[name] for name in file.files}
        values: dict[str, Any] = {name: array if array.ndim else int(array) for name, array in arrays.items()}
        return cls(
            model=mujoco.MjModel.from_binary_path(str(folder / PHYSICS_FILE)),
            scene=(folder / SCENE_FILE).read_text(),
            wiring=Wiring(**{name: values[name] for name in Wiring._fields}),
            initial=ArmState(**{name: values[name] for name in ArmState._fields}),
            goal=_decode(json.loads((folder / GOAL_FILE).read_text())),
        )


def physics_model(scene: str, official: mujoco.MjModel) -> mujoco.MjModel:
    """The model of a scene's XML without what only images show, as the official environment has prepared it."""
    spec = mujoco.MjSpec.from_string(scene)
    spec.compiler.discardvisual = True
    model = spec.compile()
    take_over(model, official)
    return model


def take_over(model: mujoco.MjModel, other: mujoco.MjModel) -> None:
    """Give a model what the official reset writes into one: the fixtures' poses and the lamps."""
    model.body_pos[:] = other.body_pos
    model.body_quat[:] = other.body_quat
    model.site_rgba[:] = other.site_rgba


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
