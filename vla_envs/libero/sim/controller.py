"""The arm controller of LIBERO: operational space control of the end effector (OSC_POSE), compiled.

Equals robosuite's controller in LIBERO's configuration: delta poses, position and orientation
uncoupled, fixed gains, torques of the null space pulling towards the initial posture (Khatib 1987,
"A unified approach for motion and force control of robot manipulators"). Contacts amplify a
difference in the last bit to 1e-5 within a hundred control steps, so the operations, their order,
their precision and the memory layout of the matrices are those of robosuite's own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_envs.libero.sim.native import Physics, call, compiled
from vla_envs.spec import METERS_PER_UNIT, RADIANS_PER_UNIT

Array = NDArray[np.float64]

SUBSTEPS = 25
"""Physics steps of 2 ms in a control step: 20 Hz."""
OBSERVED_SUBSTEP = 23
"""The substep that an observation shows. The official code samples there: joint positions after
the substep's integration, poses and images before it."""
ARM_JOINTS = 7
KP = 150.0
"""Stiffness of the end effector, 1/s^2; the damping is critical."""
KD = 2.0 * math.sqrt(KP)
POSTURE_KP = 10.0
"""Stiffness towards the initial posture in the null space, 1/s^2; the damping is critical."""
POSTURE_KD = math.sqrt(POSTURE_KP) * 2.0
GRIPPER_RAMP = 0.01
"""Change of a finger's target in a substep, as a fraction of half its range."""


class ArmState(NamedTuple):
    """What the controller measures. Matrices are in column order.

    Attributes:
        position: (3,) end effector, m.
        rotation: (3, 3) end effector to world, in row order.
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


class Wiring(NamedTuple):
    """Where the robot is in MuJoCo's arrays, and its limits.

    Attributes:
        arm_qpos, arm_dofs, arm_actuators: (7,) addresses; the arm's joints follow each other from base to hand.
        mass_rows: (7,) addresses of the arm's rows in the packed inertia matrix.
        torque_limits: (2, 7) lowest and highest, N m.
        finger_qpos, finger_actuators: (2,) addresses.
        finger_center, finger_reach: (2,) middle and half of the fingers' range, m.
        grip_site: site of the end effector's position.
        hand_body: body of the end effector's orientation.
    """

    arm_qpos: NDArray[np.int64]
    arm_dofs: NDArray[np.int64]
    arm_actuators: NDArray[np.int64]
    mass_rows: NDArray[np.int64]
    torque_limits: Array
    finger_qpos: NDArray[np.int64]
    finger_actuators: NDArray[np.int64]
    finger_center: Array
    finger_reach: Array
    grip_site: int
    hand_body: int


class Memory(NamedTuple):
    """MuJoCo's memory: the addresses of model and data, and views of the data's arrays."""

    model: int
    data: int
    qpos: Array
    qvel: Array
    packed_mass: Array
    bias: Array
    ctrl: Array
    grip_position: Array
    grip_rotation: Array


class Command(NamedTuple):
    """What the controller remembers: changed in place.

    Attributes:
        position: (3,) goal of the end effector, m.
        rotation: (3, 3) its orientation.
        grip: (2,) targets of the fingers, -1 to 1.
    """

    position: Array
    rotation: Array
    grip: Array


class Observed(NamedTuple):
    """What the observation of a control step shows: written in place.

    Attributes:
        qpos: (nq,) that its poses and images follow from.
        fingers: (2,) m.
        posed: (nq,) that MuJoCo's poses and contacts follow from at the end of the control step, by which goals are
            decided: those before the last integration.
    """

    qpos: Array
    fingers: Array
    posed: Array


@compiled
def control_step(
    physics: Physics,
    memory: Memory,
    wiring: Wiring,
    initial: ArmState,
    is_first: bool,
    command: Command,
    observed: Observed,
    action: Array,
) -> None:
    """Simulate one control step.

    Args:
        physics, memory, wiring: what to step.
        initial: the arm's state when the official environment is reset, before an initial state is
            set; the null-space torques pull towards its posture.
        is_first: the first control step after that. Its first substep acts on ``initial`` instead
            of what is measured, as the official controller does.
        command, observed: are brought up to date.
        action: (7,) in [-1, 1].
    """
    addresses = (memory.model, memory.data)
    for substep in range(SUBSTEPS):
        call(physics.step1, addresses)
        state = initial if is_first and substep == 0 else _measure(physics, memory, wiring)
        if substep == 0:
            set_goal(command, state, action)
        torques = arm_torques(state, command, initial.joint_pos, memory.bias[wiring.arm_dofs])
        _actuate(memory, wiring, command, torques, action[6])
        if substep == OBSERVED_SUBSTEP:
            observed.qpos[:] = memory.qpos
        if substep == SUBSTEPS - 1:
            observed.posed[:] = memory.qpos
        call(physics.step2, addresses)
        if substep == OBSERVED_SUBSTEP:
            observed.fingers[:] = memory.qpos[wiring.finger_qpos]


@compiled
def set_goal(command: Command, state: ArmState, action: Array) -> None:
    """Command the pose that ``action`` (at least 6) asks for from ``state``; without a rotation the old one stays."""
    command.position[:] = state.position + action[:3] * METERS_PER_UNIT
    if action[3] != 0.0 or action[4] != 0.0 or action[5] != 0.0:
        command.rotation[:] = np.dot(_rotation_of(action[3:6] * RADIANS_PER_UNIT), state.rotation)


@compiled
def arm_torques(state: ArmState, command: Command, posture: Array, bias: Array) -> Array:
    """The joint torques (7,) in N m of one substep, not clipped to the motors' limits.

    Args:
        state: of the arm.
        command: of which the pose is used.
        posture: (7,) joint positions that the null space is used for, rad.
        bias: (7,) Coriolis, centrifugal and gravitational torques, N m.
    """
    jacobian = _stack(state.jacobian_pos, state.jacobian_ori)
    inverse_mass = np.linalg.inv(state.mass)
    inertia = np.linalg.pinv(_projected(jacobian, inverse_mass))
    inertia_pos = np.linalg.pinv(_projected(state.jacobian_pos, inverse_mass))
    inertia_ori = np.linalg.pinv(_projected(state.jacobian_ori, inverse_mass))

    turn = _orientation_error(command.rotation, state.rotation)
    force = KP * (command.position - state.position) - KD * state.linear_velocity
    torque = KP * turn - KD * state.angular_velocity
    wrench = np.empty(6)
    wrench[:3] = np.dot(inertia_pos, force)
    wrench[3:] = np.dot(inertia_ori, torque)

    dynamically_consistent = np.dot(np.dot(inverse_mass, jacobian.T), inertia)
    null_space = np.eye(ARM_JOINTS) - np.dot(dynamically_consistent, jacobian)
    pull = np.dot(state.mass, POSTURE_KP * (posture - state.joint_pos) - POSTURE_KD * state.joint_vel)
    return np.dot(jacobian.T, wrench) + bias + np.dot(null_space.T, pull)


@compiled
def _measure(physics: Physics, memory: Memory, wiring: Wiring) -> ArmState:
    jacobians = np.empty((2, 3, len(memory.qvel)))
    positions, rotations = jacobians[0], jacobians[1]
    call(
        physics.jac_site,
        (memory.model, memory.data, positions.ctypes.data, rotations.ctypes.data, wiring.grip_site),
    )
    return ArmState(
        memory.grip_position.copy(),
        memory.grip_rotation.copy(),
        np.dot(positions, memory.qvel),
        np.dot(rotations, memory.qvel),
        memory.qpos[wiring.arm_qpos],
        memory.qvel[wiring.arm_dofs],
        _columns(positions, wiring.arm_dofs),
        _columns(rotations, wiring.arm_dofs),
        _unpacked(memory.packed_mass, wiring.mass_rows),
    )


@compiled
def _actuate(memory: Memory, wiring: Wiring, command: Command, torques: Array, grip: float) -> None:
    low, high = wiring.torque_limits
    for joint in range(ARM_JOINTS):
        memory.ctrl[wiring.arm_actuators[joint]] = min(max(torques[joint], low[joint]), high[joint])
    for finger, side in enumerate((-1.0, 1.0)):
        target = command.grip[finger] + side * GRIPPER_RAMP * np.sign(grip)
        command.grip[finger] = min(max(target, -1.0), 1.0)
        memory.ctrl[wiring.finger_actuators[finger]] = (
            wiring.finger_center[finger] + wiring.finger_reach[finger] * command.grip[finger]
        )


@compiled
def _projected(jacobian: Array, inverse_mass: Array) -> Array:
    """The inverse of the inertia that the end effector shows along the rows of ``jacobian``."""
    return np.dot(np.dot(jacobian, inverse_mass), jacobian.T)


@compiled
def _orientation_error(desired: Array, current: Array) -> Array:
    """(3,) small rotation from ``current`` to ``desired``, rad."""
    error = np.cross(current[:, 0], desired[:, 0]) + np.cross(current[:, 1], desired[:, 1])
    return 0.5 * (error + np.cross(current[:, 2], desired[:, 2]))


@compiled
def _rotation_of(turn: Array) -> Array:
    """The rotation matrix (3, 3) of an axis-angle (3,), in rad and not zero, through a quaternion of float32."""
    angle = math.sqrt(np.dot(turn, turn))
    quaternion = np.empty(4, np.float32)
    quaternion[0] = math.cos(angle / 2.0)
    quaternion[1:] = turn / angle * math.sin(angle / 2.0)
    quaternion *= math.sqrt(2.0 / np.dot(quaternion, quaternion))
    q = np.outer(quaternion, quaternion)
    return np.array(
        [
            [1.0 - q[2, 2] - q[3, 3], q[1, 2] - q[3, 0], q[1, 3] + q[2, 0]],
            [q[1, 2] + q[3, 0], 1.0 - q[1, 1] - q[3, 3], q[2, 3] - q[1, 0]],
            [q[1, 3] - q[2, 0], q[2, 3] + q[1, 0], 1.0 - q[1, 1] - q[2, 2]],
        ]
    )


@compiled
def _stack(upper: Array, lower: Array) -> Array:
    """(6, 7) in column order."""
    stacked = np.empty((ARM_JOINTS, 6)).T
    stacked[:3] = upper
    stacked[3:] = lower
    return stacked


@compiled
def _columns(matrix: Array, indices: NDArray[np.int64]) -> Array:
    """Some columns of (3, nv), in column order."""
    columns = np.empty((len(indices), 3)).T
    for i, index in enumerate(indices):
        columns[:, i] = matrix[:, index]
    return columns


@compiled
def _unpacked(packed: Array, rows: NDArray[np.int64]) -> Array:
    """The inertia matrix (7, 7) of a chain of joints: MuJoCo packs the rows from the diagonal towards the base."""
    matrix = np.empty((ARM_JOINTS, ARM_JOINTS)).T
    for i, row in enumerate(rows):
        for j in range(i + 1):
            matrix[i, i - j] = matrix[i - j, i] = packed[row + j]
    return matrix
