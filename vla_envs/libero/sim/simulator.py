"""The simulation of one task: LIBERO's control loop on MuJoCo, equal to the official environment's."""

from __future__ import annotations

import math
import warnings
from typing import NoReturn, TypeVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.errors import InvalidArgumentError
from vla_envs.libero.sim.compiled_task import CompiledTask, Start, shared_arrays
from vla_envs.libero.sim.controller import Command, Memory, Observed, control_step
from vla_envs.libero.sim.native import physics
from vla_envs.saved_state import Arrays, check_arrays

SETTLE_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, spec.GRIPPER_OPEN])
PHYSICS_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
"""Everything that MuJoCo's next step follows from, the warm start of its solver included."""


MOVED = (
    "The arm or the time in `simulator.data` was set from outside, as by mj_setState. That is not the whole state: the "
    "controller goes on to its old goal, and the step count and the observed moment stay. To return to a moment of an "
    "episode take env.unwrapped.save_state() and restore_state(state)."
)

Group = TypeVar("Group", Command, Observed)


class Simulator:
    """Simulates one task.

    Attributes:
        model: MuJoCo's model, shared by the process's simulators of this task: read it, do not write it.
        data: MuJoCo's data, this simulator's own.
        start: where the episode stands before its first step; afterwards None.
    """

    def __init__(self, compiled: CompiledTask) -> None:
        self.compiled = compiled
        self.model: mujoco.MjModel = compiled.model
        self.data = mujoco.MjData(self.model)
        self.start: Start | None = None
        self._physics = physics()
        self._memory = self._view_memory()
        self._command = Command(position=np.zeros(3), rotation=np.zeros((3, 3)), grip=np.zeros(2))
        self._observed = Observed(qpos=np.zeros(self.model.nq), fingers=np.zeros(2), posed=np.zeros(self.model.nq))
        self._fresh = False
        """Whether a state was set and no control step has followed."""
        self._left: NDArray[np.float64] | None = None
        self._glowing = self._observed_glowing = compiled.goal.glowing(self.data)

    def __reduce__(self) -> NoReturn:
        """Neither copies nor pickles: both would go on stepping this one's memory."""
        raise TypeError(
            "A LIBERO simulation cannot be copied or pickled: make another environment and reset it, or give it what "
            "`env.unwrapped.save_state()` returns by `restore_state`."
        )

    def reset(self, init_state: NDArray[np.float64], settle_steps: int) -> None:
        """Set an initial state (1 + nq + nv,), time, qpos and qvel, and let the objects settle.

        The first reset of the process to an initial state simulates the settling; later ones, of any
        simulator of the task, continue from where that ended.
        """
        key = (settle_steps, init_state.tobytes())
        start = self.compiled.starts.get(key)
        if start is None:
            start = self._settle(init_state, settle_steps)
            self.compiled.keep_start(key, start)
        self._continue_from(start)

    def set_state(self, state: NDArray[np.float64]) -> None:
        """Set a state (1 + nq + nv,), time, qpos and qvel, from which the next control step goes on; nothing settles.

        Raises:
            InvalidArgumentError: the state has another number of numbers.
        """
        expected = 1 + self.model.nq + self.model.nv
        if state.shape != (expected,):
            raise InvalidArgumentError(
                f"Expect the `init_state` to be {expected} numbers, MuJoCo's time, {self.model.nq} positions and "
                f"{self.model.nv} velocities, actually: an array of shape {state.shape}. A state belongs to one task."
            )
        self._set(state)
        self._observed.qpos[:] = self._observed.posed[:] = self.data.qpos
        self._observed.fingers[:] = self.data.qpos[self.compiled.wiring.finger_qpos]
        self._observed_glowing = self._glowing
        self.start = None
        self._leave()

    def save(self) -> Arrays:
        """What the next control step, the last observation and the goal follow from, as new arrays."""
        return {
            "physics": self._get_physics(),
            **{f"command_{name}": array.copy() for name, array in self._command._asdict().items()},
            **{f"observed_{name}": array.copy() for name, array in self._observed._asdict().items()},
            "glowing": np.array(self._glowing, np.bool_),
            "observed_glowing": np.array(self._observed_glowing, np.bool_),
            "fresh": np.array(self._fresh),
        }

    def restore(self, saved: Arrays) -> None:
        """Take over what a simulator of the task saved.

        Raises:
            InvalidArgumentError: arrays of another task, or damaged ones.
        """
        check_arrays(saved, self.save())
        _write(self._command, Command(*(saved[f"command_{name}"] for name in Command._fields)))
        _write(self._observed, Observed(*(saved[f"observed_{name}"] for name in Observed._fields)))
        self._glowing, self._observed_glowing = (
            tuple(saved[each].tolist()) for each in ("glowing", "observed_glowing")
        )
        mujoco.mj_setState(self.model, self.data, saved["physics"], PHYSICS_STATE)
        self.data.qpos[:] = self._observed.posed
        mujoco.mj_fwdPosition(self.model, self.data)
        # Again, because computing poses may have written into it.
        mujoco.mj_setState(self.model, self.data, saved["physics"], PHYSICS_STATE)
        self._fresh = bool(saved["fresh"])
        self.start = None
        self._leave()

    def step(self, action: NDArray[np.float64]) -> bool:
        """Execute one control step of an action (7,) in [-1, 1]; whether the goal is reached at its end."""
        self._warn_if_moved()
        self._advance(action)
        self._leave()
        return self.compiled.goal.reached(self.data)

    def observed(self) -> tuple[NDArray[np.float64], tuple[bool, ...]]:
        """What images of the last control step show: joint positions (nq,) and, per lamp, whether it glows."""
        return self._observed.qpos, self._observed_glowing

    def grip_command(self) -> float:
        """Where the fingers are told to be, from -1 (open) to 1 (closed): they press on a thing when it is 1."""
        first, second = self._command.grip
        return float(second - first) / 2

    def proprioception(self) -> NDArray[np.float32]:
        """float32 (8,): end effector position (m), axis-angle (rad), finger joints (m)."""
        wiring = self.compiled.wiring
        with shared_arrays:
            poses = self.compiled.poses
            poses.qpos[:] = self._observed.qpos
            mujoco.mj_kinematics(self.model, poses)
            w, *xyz = poses.xquat[wiring.hand_body]
            position = poses.site_xpos[wiring.grip_site]
            return np.concatenate([position, axis_angle(np.array(xyz), w), self._observed.fingers], dtype=np.float32)

    def task_state(self) -> NDArray[np.float32]:
        """float32 (3 per free body + 1 per articulated joint,): the things' positions (m) and joints (m or rad)."""
        robot = {*self.compiled.wiring.arm_qpos, *self.compiled.wiring.finger_qpos}
        parts = []
        for kind, address in zip(self.model.jnt_type, self.model.jnt_qposadr, strict=True):
            size = 3 if kind == mujoco.mjtJoint.mjJNT_FREE else 1
            if address not in robot:
                parts.append(self.data.qpos[address : address + size])
        return np.concatenate(parts, dtype=np.float32)

    def _advance(self, action: NDArray[np.float64]) -> None:
        compiled = self.compiled
        self.start = None
        self._observed_glowing = self._glowing
        control_step(
            self._physics,
            self._memory,
            compiled.wiring,
            compiled.initial,
            self._fresh,
            self._command,
            self._observed,
            action,
        )
        self._fresh = False
        self._glowing = compiled.goal.glowing(self.data)

    def _set(self, state: NDArray[np.float64]) -> None:
        """Set a state as the official ``set_init_state`` does after a reset."""
        nq, initial = self.model.nq, self.compiled.initial
        mujoco.mj_resetData(self.model, self.data)
        self.data.time = state[0]
        self.data.qpos[:] = state[1 : 1 + nq]
        self.data.qvel[:] = state[1 + nq :]
        mujoco.mj_forward(self.model, self.data)
        self._command.position[:] = initial.position
        self._command.rotation[:] = initial.rotation
        self._command.grip[:] = 0.0
        self._glowing = self.compiled.goal.glowing(self.data)
        self._fresh = True

    def _settle(self, init_state: NDArray[np.float64], settle_steps: int) -> Start:
        self._set(init_state)
        for _ in range(settle_steps):
            self._advance(SETTLE_ACTION)
        return Start(
            self._get_physics(), _copy(self._command), _copy(self._observed), self._glowing, self._observed_glowing, {}
        )

    def _continue_from(self, start: Start) -> None:
        mujoco.mj_setState(self.model, self.data, start.physics, PHYSICS_STATE)
        mujoco.mj_forward(self.model, self.data)
        _write(self._command, start.command)
        _write(self._observed, start.observed)
        self._observed.posed[:] = self.data.qpos
        self._glowing, self._observed_glowing = start.glowing, start.observed_glowing
        self._fresh = False
        self.start = start
        self._leave()

    def _get_physics(self) -> NDArray[np.float64]:
        state = np.empty(mujoco.mj_stateSize(self.model, PHYSICS_STATE))
        mujoco.mj_getState(self.model, self.data, state, PHYSICS_STATE)
        return state

    def _robot(self) -> NDArray[np.float64]:
        return np.append(self.data.qpos[self.compiled.wiring.arm_qpos], self.data.time)

    def _leave(self) -> None:
        self._left = self._robot()

    def _warn_if_moved(self) -> None:
        """Warn where time or the arm are not as the last control step left them: the controller's goal is of that."""
        if self._left is not None and not np.array_equal(self._left, self._robot()):
            warnings.warn(MOVED, stacklevel=5)

    def _view_memory(self) -> Memory:
        data, site = self.data, self.compiled.wiring.grip_site
        return Memory(
            model=self.model._address,
            data=data._address,
            qpos=data.qpos,
            qvel=data.qvel,
            packed_mass=data.qM,
            bias=data.qfrc_bias,
            ctrl=data.ctrl,
            grip_position=data.site_xpos[site],
            grip_rotation=data.site_xmat[site].reshape(3, 3),
        )


def axis_angle(xyz: NDArray[np.float64], w: float) -> NDArray[np.float64]:
    """The axis-angle (3,) in rad of a unit quaternion, with an angle from 0 to 2 pi as in robosuite.

    >>> axis_angle(np.array([0.0, 0.0, 0.0]), 1.0)
    array([0., 0., 0.])
    """
    w = min(1.0, max(-1.0, w))
    sine = math.sqrt(1.0 - w * w)
    if sine == 0.0:
        return np.zeros(3)
    return xyz * 2.0 * math.acos(w) / sine


def _copy(arrays: Group) -> Group:
    return type(arrays)(*(array.copy() for array in arrays))


def _write(arrays: Group, values: Group) -> None:
    for array, value in zip(arrays, values, strict=True):
        array[...] = value
