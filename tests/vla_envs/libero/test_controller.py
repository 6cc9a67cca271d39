from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]


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
