"""The simulation of one task: LIBERO's control loop on MuJoCo, equal to the official environment's.

A control step is 25 substeps of 2 ms. The observation belongs to the 24th of them: the official
code samples there, after the substep's integration for joint positions and before it for poses
and images.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.libero.builder import CompiledTask
from vla_envs.libero.controller import ArmController
from vla_envs.libero.goal import Goal, Lamps

SUBSTEPS = 25
"""Physics steps of 2 ms in a control step: 20 Hz."""
OBSERVED_SUBSTEP = 23
SETTLE_STEPS = 10
"""Control steps after an initial state is set, which float the objects up to 11 cm above their support."""
SETTLE_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, spec.GRIPPER_OPEN])
GRIPPER_RAMP = np.array([-0.01, 0.01])
"""Change of the two finger targets in a substep while closing, as a fraction of half their range."""


class Simulator:
    """Simulates one task.

    Attributes:
        model: MuJoCo's model, shared by the process's simulators of this task: read it, do not write it.
        data: MuJoCo's data, this simulator's own.
    """

    def __init__(self, compiled: CompiledTask) -> None:
        robot = compiled.robot
        self.compiled = compiled
        self.model: mujoco.MjModel = compiled.model
        self._goal = Goal(compiled.problem)
        self.data: mujoco.MjData = self._goal.data
        self._controller = ArmController(self.model, robot.grip_site, robot.arm_qpos, robot.arm_dofs, robot.initial)
        self._robot = robot
        self._torque_limits = self.model.actuator_ctrlrange[robot.arm_actuators].T
        low, high = self.model.actuator_ctrlrange[robot.finger_actuators].T
        self._finger_centre, self._finger_reach = 0.5 * (high + low), 0.5 * (high - low)
        self._grip = np.zeros(2)
        self._lamps: Lamps = {}
        self._observed = mujoco.MjData(self.model)
        self._observed_qpos = np.zeros(self.model.nq)
        self._observed_fingers = np.zeros(2)
        self._observed_lamps = self._lamps
        self._is_drawn_up = False

    def reset(self, init_state: NDArray[np.float64]) -> None:
        """Set an initial state (1 + nq + nv,), time, qpos and qvel, and let the objects settle."""
        nq = self.model.nq
        mujoco.mj_resetData(self.model, self.data)
        self.data.time = init_state[0]
        self.data.qpos[:] = init_state[1 : 1 + nq]
        self.data.qvel[:] = init_state[1 + nq :]
        mujoco.mj_forward(self.model, self.data)
        self._controller.reset()
        self._grip = np.zeros(2)
        self._lamps = self._goal.lamps()
        for _ in range(SETTLE_STEPS):
            self.step(SETTLE_ACTION)

    def step(self, action: NDArray[np.float64]) -> bool:
        """Execute one control step of an action (7,) in [-1, 1]; whether the goal is reached at its end."""
        self._observed_lamps = self._lamps
        for substep in range(SUBSTEPS):
            mujoco.mj_step1(self.model, self.data)
            self._actuate(action, first=substep == 0)
            if substep == OBSERVED_SUBSTEP:
                self._observed_qpos[:] = self.data.qpos
            mujoco.mj_step2(self.model, self.data)
            if substep == OBSERVED_SUBSTEP:
                self._observed_fingers = self.data.qpos[self._robot.finger_qpos]
        self._is_drawn_up = False
        self._lamps = self._goal.lamps()
        return self._goal.reached()

    def observed(self) -> mujoco.MjData:
        """The poses that the observation of the last control step shows: MuJoCo's data, for reading."""
        if not self._is_drawn_up:
            self._observed.qpos[:] = self._observed_qpos
            mujoco.mj_kinematics(self.model, self._observed)
            mujoco.mj_comPos(self.model, self._observed)
            mujoco.mj_camlight(self.model, self._observed)
            self._is_drawn_up = True
        return self._observed

    def show_lamps(self) -> None:
        """Make the (shared) model show the burners as the observation does: call before drawing."""
        for site, shown in self._observed_lamps.items():
            alpha = self.model.site_rgba[site, 3]
            if (alpha > 0) != shown:
                self.model.site_rgba[site, 3] = 1 - alpha

    def proprioception(self) -> NDArray[np.float32]:
        """float32 (8,): end effector position (m), axis-angle (rad), finger joints (m)."""
        data = self.observed()
        w, *xyz = data.xquat[self._robot.hand_body]
        position = data.site_xpos[self._robot.grip_site]
        return np.concatenate([position, axis_angle(np.array(xyz), w), self._observed_fingers], dtype=np.float32)

    def task_state(self) -> NDArray[np.float32]:
        """float32 (3 per free body + 1 per articulated joint,): the things' positions (m) and joints (m or rad)."""
        robot = {*self._robot.arm_qpos, *self._robot.finger_qpos}
        parts = []
        for kind, address in zip(self.model.jnt_type, self.model.jnt_qposadr, strict=True):
            size = 3 if kind == mujoco.mjtJoint.mjJNT_FREE else 1
            if address not in robot:
                parts.append(self.data.qpos[address : address + size])
        return np.concatenate(parts, dtype=np.float32)

    def _actuate(self, action: NDArray[np.float64], first: bool) -> None:
        torques = self._controller.torques(self.data, action[:6] if first else None)
        self.data.ctrl[self._robot.arm_actuators] = np.clip(torques, *self._torque_limits)
        self._grip = np.clip(self._grip + GRIPPER_RAMP * np.sign(action[6]), -1.0, 1.0)
        self.data.ctrl[self._robot.finger_actuators] = self._finger_centre + self._finger_reach * self._grip


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
