from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]


@pytest.fixture(scope="module")
def theirs(libero_assets):
    """robosuite's own functions."""
    from vla_envs.libero.official import quiet_import

    with quiet_import():
        import libero.libero.envs.env_wrapper  # noqa: F401  (robosuite's loading order)
        from robosuite.utils import control_utils
    return control_utils


def test_goal_rotation_equals_robosuites(theirs):
    """To the last bit, float32 rounding included: the goal steers every later substep."""
    from vla_envs.libero.controller import rotation_matrix

    for vector in np.random.default_rng(0).uniform(-0.5, 0.5, (500, 3)):
        expected = theirs.set_goal_orientation(vector, np.eye(3))
        np.testing.assert_array_equal(rotation_matrix(vector), expected)


def test_orientation_error_equals_robosuites(theirs):
    from vla_envs.libero.controller import orientation_error, rotation_matrix

    for one, other in np.random.default_rng(0).uniform(-1, 1, (50, 2, 3)):
        desired, current = rotation_matrix(one), rotation_matrix(other)
        expected = theirs.orientation_error(desired, current)
        np.testing.assert_allclose(orientation_error(desired, current), expected, rtol=0, atol=1e-15)


def test_torques_carry_the_arm_at_its_goal(libero_assets):
    """At rest on the initial pose, with the goal there, the torques are the bias forces and nothing else."""
    import mujoco

    from vla_envs.libero.builder import compile_task
    from vla_envs.libero.controller import ArmController
    from vla_envs.libero.suites import SUITES

    compiled = compile_task(SUITES["libero_object"].tasks[0], libero_assets)
    robot, data = compiled.robot, mujoco.MjData(compiled.model)
    data.qpos[robot.arm_qpos] = robot.initial.joint_pos
    mujoco.mj_step1(compiled.model, data)
    controller = ArmController(compiled.model, robot.grip_site, robot.arm_qpos, robot.arm_dofs, robot.initial)
    for action in (np.zeros(6), None):
        np.testing.assert_allclose(controller.torques(data, action), data.qfrc_bias[robot.arm_dofs], atol=1e-9)
