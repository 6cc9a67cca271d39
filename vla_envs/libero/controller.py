"""The arm controller of LIBERO: operational space control of the end effector (OSC_POSE), on MuJoCo's arrays.

Equals robosuite's controller in LIBERO's configuration to the last bit: delta poses, position and
orientation uncoupled, fixed gains, torques of the null space pulling towards the initial posture
(Khatib 1987). The matrices come from robosuite's own compiled functions: the same formulas in NumPy
round differently, which contacts amplify to 1e-5 within a hundred control steps, and take longer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.libero.official import control_functions
from vla_envs.spec import METRES_PER_UNIT, RADIANS_PER_UNIT

Array = NDArray[np.floating]

KP = 150.0
"""Stiffness of the end effector, 1/s^2; the damping is critical."""
KD = 2.0 * math.sqrt(KP)


class ArmState(NamedTuple):
    """What the controller measures.

    Attributes:
        position: (3,) end effector, m.
        rotation: (3, 3) end effector to world.
        linear_velocity: (3,) m/s.
        angular_velocity: (3,) rad/s.
        joint_pos: (7,) rad.
        joint_vel: (7,) rad/s.
        jacobian_pos: (3, 7).
        jacobian_ori: (3, 7).
        mass: (7, 7) joint-space inertia of the arm.
    """

    position: Array
    rotation: Array
    linear_velocity: Array
    angular_velocity: Array
    joint_pos: Array
    joint_vel: Array
    jacobian_pos: Array
    jacobian_ori: Array
    mass: Array


class ArmController:
    """Turns delta poses into joint torques.

    Args:
        model: the compiled task.
        site: id of the end effector's site.
        qpos, dofs: (7,) addresses of the arm's joints.
        initial: the arm's state when the official environment is reset, before an initial state is
            set. The first substep after a reset acts on it, as the official controller does, and
            the null-space torques pull towards its posture.
    """

    def __init__(
        self, model: mujoco.MjModel, site: int, qpos: NDArray[np.intp], dofs: NDArray[np.intp], initial: ArmState
    ) -> None:
        self._model = model
        self._site = site
        self._qpos = qpos
        self._dofs = dofs
        self._initial = initial
        self._functions = control_functions()
        self._jacobians = np.zeros((2, 3, model.nv))
        self._full_mass = np.zeros((model.nv, model.nv))
        self.reset()

    def reset(self) -> None:
        """Forget the goal; the next substep acts on the initial state."""
        self._stale = True
        self._goal_position = self._initial.position
        self._goal_rotation = self._initial.rotation

    def torques(self, data: mujoco.MjData, action: Array | None = None) -> Array:
        """The joint torques (7,) in N m of one substep, not clipped to the motors' limits.

        Args:
            data: after ``mj_step1``.
            action: (6,) in [-1, 1] on the first substep of a control step: sets the goal.
        """
        state = self._initial if self._stale else self._measure(data)
        self._stale = False
        if action is not None:
            self._set_goal(state, action)
        return self._torques_towards_goal(state, data.qfrc_bias[self._dofs])

    def _set_goal(self, state: ArmState, action: Array) -> None:
        self._goal_position = state.position + action[:3] * METRES_PER_UNIT
        if action[3:].any():  # without a rotation the previous goal stays
            turn = action[3:] * RADIANS_PER_UNIT
            self._goal_rotation = self._functions.set_goal_orientation(turn, state.rotation)

    def _torques_towards_goal(self, state: ArmState, bias: Array) -> Array:
        turn = self._functions.orientation_error(self._goal_rotation, state.rotation)
        force = KP * (self._goal_position - state.position) - KD * state.linear_velocity
        torque = KP * turn - KD * state.angular_velocity
        jacobian = np.vstack([state.jacobian_pos, state.jacobian_ori])
        _, inertia_pos, inertia_ori, null_space = self._functions.opspace_matrices(
            state.mass, jacobian, state.jacobian_pos, state.jacobian_ori
        )
        wrench = np.concatenate([inertia_pos @ force, inertia_ori @ torque])
        hold = self._functions.nullspace_torques(
            state.mass, null_space, self._initial.joint_pos, state.joint_pos, state.joint_vel
        )
        return jacobian.T @ wrench + bias + hold

    def _measure(self, data: mujoco.MjData) -> ArmState:
        jacp, jacr = self._jacobians
        mujoco.mj_jacSite(self._model, data, jacp, jacr, self._site)
        mujoco.mj_fullM(self._model, self._full_mass, data.qM)
        return ArmState(
            position=data.site_xpos[self._site].copy(),
            rotation=data.site_xmat[self._site].reshape(3, 3).copy(),
            linear_velocity=jacp @ data.qvel,
            angular_velocity=jacr @ data.qvel,
            joint_pos=data.qpos[self._qpos],
            joint_vel=data.qvel[self._dofs],
            jacobian_pos=jacp[:, self._dofs],
            jacobian_ori=jacr[:, self._dofs],
            mass=self._full_mass[self._dofs, :][:, self._dofs],
        )
