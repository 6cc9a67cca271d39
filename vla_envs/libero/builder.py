"""Builds tasks with the official code: one compiled MuJoCo model, the goal and the robot's wiring per task."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import DamagedAssetsError
from vla_envs.libero.controller import ArmState
from vla_envs.libero.official import make_problem, preserved_random_state
from vla_envs.libero.suites import Task

MAX_CACHED_TASKS = 4
"""Compiled tasks that a process keeps beyond those in use; each takes about 150 MB."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Robot:
    """Where the robot is in the model's arrays.

    Attributes:
        arm_qpos, arm_dofs, arm_actuators: (7,) addresses.
        finger_qpos, finger_actuators: (2,) addresses.
        grip_site: site of the end effector's position.
        hand_body: body of the end effector's orientation.
        initial: the arm's state at an official reset, before an initial state is set.
    """

    arm_qpos: Indices
    arm_dofs: Indices
    arm_actuators: Indices
    finger_qpos: Indices
    finger_actuators: Indices
    grip_site: int
    hand_body: int
    initial: ArmState


@dataclass(frozen=True, eq=False)
class CompiledTask:
    """A task ready to simulate. Every environment of the process shares it: treat the model as read-only.

    Attributes:
        model: MuJoCo's model, with the fixtures at their poses.
        problem: the official environment object, which defines the goal.
        robot: where the robot is in the model's arrays.
    """

    model: mujoco.MjModel
    problem: Any
    robot: Robot


@lru_cache(maxsize=MAX_CACHED_TASKS)
def compile_task(task: Task, assets: Path) -> CompiledTask:
    """Build a task as a freshly constructed official environment is after ``seed(0); reset()``.

    The fixtures (cabinet, stove, rack, microwave) stand where that reset puts them: the initial
    states do not hold their poses, and the official code draws them anew at every reset.

    Raises:
        DamagedAssetsError: a file of the asset folder is missing or unreadable.
        DependencyNotInstalled: a package that LIBERO imports is missing.
    """
    with preserved_random_state():
        try:
            official = make_problem(task.bddl_file, assets)
            official.env.set_xml_processor(with_linear_textures)
            official.seed(0)
            official.reset()
        except (ValueError, OSError, ElementTree.ParseError) as error:
            about_assets = isinstance(error, ElementTree.ParseError) or str(assets) in str(error)
            if not about_assets:
                raise
            raise DamagedAssetsError(
                f"The assets at {assets} do not build task {task.name!r}: {error} "
                "Mend them with: vla assets libero --from <pack.tar.xz>, or, to download: vla assets libero"
            ) from error
    problem = official.env
    return CompiledTask(model=problem.sim.model._model, problem=problem, robot=_robot_of(problem))


def with_linear_textures(xml: str) -> str:
    """Mark every texture of a model as linear: MuJoCo 3.3.3 and later would darken them as sRGB."""
    root = ElementTree.fromstring(xml)
    for texture in root.iter("texture"):
        texture.set("colorspace", "linear")
    return ElementTree.tostring(root, encoding="unicode")


def _robot_of(problem: Any) -> Robot:
    robot = problem.robots[0]
    controller = robot.controller
    return Robot(
        arm_qpos=np.array(robot._ref_joint_pos_indexes),
        arm_dofs=np.array(robot._ref_joint_vel_indexes),
        arm_actuators=np.array(robot._ref_joint_actuator_indexes),
        finger_qpos=np.array(robot._ref_gripper_joint_pos_indexes),
        finger_actuators=np.array(robot._ref_joint_gripper_actuator_indexes),
        grip_site=robot.eef_site_id,
        hand_body=problem.sim.model.body_name2id(robot.robot_model.eef_name),
        initial=ArmState(
            position=controller.ee_pos,
            rotation=controller.ee_ori_mat,
            linear_velocity=controller.ee_pos_vel,
            angular_velocity=controller.ee_ori_vel,
            joint_pos=controller.joint_pos,
            joint_vel=controller.joint_vel,
            jacobian_pos=controller.J_pos,
            jacobian_ori=controller.J_ori,
            mass=controller.mass_matrix,
        ),
    )
