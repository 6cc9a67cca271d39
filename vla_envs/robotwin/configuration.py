"""What RoboTwin's configuration files say of the robot, its cameras and the scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_choice
from vla_envs.errors import DamagedAssetsError, MissingAssetsError, UnknownCameraError, require_extra
from vla_envs.robotwin.checkout import Checkout
from vla_envs.robotwin.embodiment import Embodiment, Robot, choose_robot, joint_bounds, robot_arguments
from vla_envs.robotwin.process import Shape
from vla_envs.robotwin.tasks import TASKS

HEAD_CAMERA = "head_camera"
KEYS = ("embodiment", "camera", "domain_randomization", "clear_cache_freq")
"""What a task configuration has to say."""
MESHES = (".glb", ".obj", ".urdf")
"""Suffixes of the files that an object is made of."""


@dataclass(frozen=True)
class Configuration:
    """The robot and the scenes.

    Attributes:
        arguments: of RoboTwin's ``setup_demo``, the task's name and the seed aside.
        embodiment: the robot's name, as in ``"aloha-agilex"`` or ``"piper-piper-0.6"``.
        low, high: (A,) bounds of an action: per arm its joints (rad) and its gripper (0 closed, 1 open).
        images: RoboTwin's name of a camera -> shape of its picture.
        step_limits: task -> upstream's step limit.
    """

    arguments: dict[str, Any]
    embodiment: str
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    images: dict[str, Shape]
    step_limits: dict[str, int]


def read_configuration(
    checkout: Checkout, task_config: str, embodiment: Embodiment | None, tasks: Sequence[str]
) -> Configuration:
    """Read a checkout's configuration and check that everything it names is there.

    Args:
        checkout: which.
        task_config: name of a file of its configurations, such as ``"demo_clean"``.
        embodiment: the robot; None takes the configuration's.
        tasks: names of the tasks whose objects are needed.

    Raises:
        InvalidArgumentError: no such configuration or embodiment.
        MissingAssetsError: files are missing; all of them are named.
        DamagedAssetsError: a file that cannot be read, or lacks what it has to say.
    """
    try:
        return _read(checkout, task_config, embodiment, tasks)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedAssetsError(
            f"The task configuration {task_config} in {checkout.configs}, or a file that it names, does not have what "
            f"RoboTwin's own files have ({error!r})."
        ) from error


def _read(checkout: Checkout, task_config: str, embodiment: Embodiment | None, tasks: Sequence[str]) -> Configuration:
    scenes = _scenes(checkout.configs, task_config)
    known = _yaml(checkout.configs / "_embodiment_config.yml")
    robot = choose_robot(scenes["embodiment"] if embodiment is None else embodiment, known)
    _check_files(checkout, scenes, robot, tasks)
    folders = [checkout.root / folder for folder in robot.folders]
    robots = [_yaml(folder / "config.yml") for folder in folders]
    bounds = np.concatenate([joint_bounds(folders[arm], robots[arm], arm) for arm in range(2)])
    cameras = _yaml(checkout.configs / "_camera_config.yml")
    head = cameras[scenes["camera"]["head_camera_type"]]
    return Configuration(
        arguments={
            **scenes,
            **robot_arguments(robot, robots),
            "head_camera_h": head["h"],
            "head_camera_w": head["w"],
            "eval_mode": True,
            "render_freq": 0,
        },
        embodiment=str(robot),
        low=bounds[:, 0].astype(np.float32),
        high=bounds[:, 1].astype(np.float32),
        images=_images(scenes["camera"], cameras),
        step_limits=_yaml(checkout.configs / "_eval_step_limit.yml"),
    )


def check_cameras(configuration: Configuration, cameras: Sequence[str]) -> None:
    """Raise unless the configuration has these cameras, by RoboTwin's names.

    Raises:
        UnknownCameraError: one that is not collected.
    """
    for camera in cameras:
        if camera not in configuration.images:
            raise UnknownCameraError(
                f"Expect `cameras`, and for a `render_mode` the head camera, that the task configuration collects, "
                f"which are {', '.join(configuration.images) or 'none'}, actually also: {camera}."
            )


def _scenes(folder: Path, task_config: str) -> dict[str, Any]:
    """A task configuration that says what is needed."""
    available = sorted(path.stem for path in folder.glob("*.yml") if not path.name.startswith("_"))
    check_choice("task_config", task_config, available)
    path = folder / f"{task_config}.yml"
    scenes = _yaml(path)
    missing = [key for key in KEYS if key not in scenes]
    if missing or not scenes["clear_cache_freq"]:
        raise DamagedAssetsError(
            f"Expect {path} to have {', '.join(KEYS)}, the last of them at least 1, actually: "
            f"{', '.join(scenes) or 'nothing'}."
        )
    return {**scenes, "task_config": task_config}


def _check_files(checkout: Checkout, scenes: Mapping[str, Any], robot: Robot, tasks: Sequence[str]) -> None:
    """Name everything that is missing at once."""
    objects = {Path("assets", "objects", each) for task in tasks for each in TASKS[task].objects}
    needed = {Path(folder) / "config.yml" for folder in robot.folders}
    needed.add(Path("assets", "objects", "objaverse", "list.json"))  # read at import, whatever the task
    if scenes["domain_randomization"].get("random_background"):
        needed.add(Path("assets", "background_texture"))
    missing = [str(path) for path in needed if not (checkout.root / path).exists()]
    missing += [str(path) for path in objects if not _has_mesh(checkout.root / path)]
    if missing:
        raise MissingAssetsError(
            f"The RoboTwin checkout at {checkout.root} lacks {', '.join(sorted(missing))}. Download its assets with: "
            f"{checkout.download}"
        )


def _has_mesh(folder: Path) -> bool:
    return any(path.suffix in MESHES for path in folder.rglob("*"))


def _images(collected: Mapping[str, Any], cameras: Mapping[str, Any]) -> dict[str, Shape]:
    def shape(kind: str) -> Shape:
        return cameras[collected[kind]]["h"], cameras[collected[kind]]["w"], 3

    images = {HEAD_CAMERA: shape("head_camera_type")} if collected.get("collect_head_camera", True) else {}
    if collected.get("collect_wrist_camera", True):
        images |= dict.fromkeys(("left_camera", "right_camera"), shape("wrist_camera_type"))
    return images


def _yaml(path: Path) -> dict[str, Any]:
    """A file that holds a mapping.

    Raises:
        DamagedAssetsError: it does not, or cannot be read.
    """
    yaml = require_extra("yaml", "robotwin")
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DamagedAssetsError(f"{path} cannot be read ({error}).") from error
    if not isinstance(content, dict):
        raise DamagedAssetsError(f"Expect {path} to name values, actually: {content!r}.")
    return content
