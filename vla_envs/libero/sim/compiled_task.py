"""A task ready to simulate, which every environment of a process shares."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.libero.sim.controller import ArmState, Command, Observed, Wiring
from vla_envs.libero.sim.goal import Goal

MAX_STARTS = 64
"""Starts that a task keeps, more than its 50 recorded initial states."""

shared_arrays = threading.Lock()
"""Held by the thread that uses what compiled tasks have for all simulators: ``poses``, and ``starts`` to add to."""
os.register_at_fork(
    before=shared_arrays.acquire, after_in_parent=shared_arrays.release, after_in_child=shared_arrays.release
)


StartKey = tuple[int, bytes]
"""Settle steps, and the bytes of the initial state."""


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
        starts: the starts that simulators of the task have come to, by their keys.
    """

    model: mujoco.MjModel
    scene: str
    wiring: Wiring
    initial: ArmState
    goal: Goal
    starts: dict[StartKey, Start] = field(default_factory=dict)

    @cached_property
    def poses(self) -> mujoco.MjData:
        """Scratch for computing poses from joint positions: MuJoCo reserves 1.3 GB of addresses beside each."""
        return mujoco.MjData(self.model)

    def keep_start(self, key: StartKey, start: Start) -> None:
        """Keep a start, and let go of the oldest where there are too many."""
        with shared_arrays:
            while len(self.starts) >= MAX_STARTS:
                del self.starts[next(iter(self.starts))]
            self.starts[key] = start


def take_over(model: mujoco.MjModel, other: mujoco.MjModel) -> None:
    """Give a model what the official reset writes into one: the fixtures' poses and the lamps."""
    model.body_pos[:] = other.body_pos
    model.body_quat[:] = other.body_quat
    model.site_rgba[:] = other.site_rgba
