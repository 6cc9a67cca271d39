"""The arm controller of LIBERO: operational space control of the end effector (OSC_POSE), on MuJoCo's arrays.

Equals robosuite 1.4.0's controller in LIBERO's configuration: delta poses, position and orientation
uncoupled, fixed gains, torques of the null space pulling towards the initial posture (Khatib 1987).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.spec import METRES_PER_UNIT, RADIANS_PER_UNIT

Array = NDArray[np.floating]

KP = 150.0
"""Stiffness of the end effector, 1/s^2; the damping is critical."""
KD = 2.0 * math.sqrt(KP)
POSTURE_KP = 10.0
"""Stiffness towards the initial posture in the null space, 1/s^2; the damping is critical."""
POSTURE_KD = 2.0 * math.sqrt(POSTURE_KP)


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
        force = KP * (self._goal_position - state.position) - KD * state.linear_velocity
        torque = KP * orientation_error(self._goal_rotation, state.rotation) - KD * state.angular_velocity
        return _joint_torques(state, force, torque, data.qfrc_bias[self._dofs], self._initial.joint_pos)

    def _set_goal(self, state: ArmState, action: Array) -> None:
        self._goal_position = state.position + action[:3] * METRES_PER_UNIT
        if action[3:].any():  # without a rotation the previous goal stays
            self._goal_rotation = rotation_matrix(action[3:] * RADIANS_PER_UNIT) @ state.rotation

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
            mass=self._full_mass[np.ix_(self._dofs, self._dofs)],
        )


def orientation_error(desired: Array, current: Array) -> Array:
    """The rotation (3,) that takes ``current`` (3, 3) towards ``desired``, for small angles in rad."""
    turn = desired @ current.T
    return 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])


def rotation_matrix(axis_angle: Array) -> Array:
    """The rotation (3, 3) of a non-zero ``axis_angle`` (3,) in rad.

    Rounds the quaternion and its products to float32, as the official controller does: the goal
    carries this rounding (1e-7 rad), and trajectories equal the official ones only with it.
    """
    angle = np.linalg.norm(axis_angle)
    axis = axis_angle / angle
    quaternion = np.append(math.cos(angle / 2.0), axis * math.sin(angle / 2.0)).astype(np.float32)
    scale = math.sqrt(2.0 / float(np.dot(quaternion, quaternion)))
    w, x, y, z = (quaternion.astype(np.float64) * scale).astype(np.float32)
    return np.array(
        [
            [1.0 - float(y * y) - float(z * z), x * y - z * w, x * z + y * w],
            [x * y + z * w, 1.0 - float(x * x) - float(z * z), y * z - x * w],
            [x * z - y * w, y * z + x * w, 1.0 - float(x * x) - float(y * y)],
        ],
        dtype=np.float64,
    )


def _joint_torques(state: ArmState, force: Array, torque: Array, bias: Array, posture: Array) -> Array:
    """The joint torques (7,) that apply ``force`` and ``torque``, carry the arm's ``bias`` and hold ``posture``."""
    mass_inverse = np.linalg.inv(state.mass)
    jacobian = np.vstack([state.jacobian_pos, state.jacobian_ori])
    mobility = jacobian @ mass_inverse @ jacobian.T
    # position and orientation are uncoupled: each meets its own inertia
    inertia = np.linalg.pinv(np.stack([mobility[:3, :3], mobility[3:, 3:]]))
    wrench = np.concatenate([inertia[0] @ force, inertia[1] @ torque])
    jacobian_inverse = mass_inverse @ jacobian.T @ np.linalg.pinv(mobility)
    null_space = np.eye(len(posture)) - jacobian_inverse @ jacobian
    hold = state.mass @ (POSTURE_KP * (posture - state.joint_pos) - POSTURE_KD * state.joint_vel)
    return jacobian.T @ wrench + bias + null_space.T @ hold
