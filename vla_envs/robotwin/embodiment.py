"""The robot: one with two arms, or two beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_choice, shown
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError

LARGEST_TARGET = math.pi
"""rad: bound of a joint's target where the robot's own limits are wider, which in RoboTwin's files mean nothing."""

Embodiment = str | Sequence[Any]
"""``"aloha-agilex"``, or ``("piper", "piper", 0.6)``: two robots and their distance (m)."""


@dataclass(frozen=True)
class Robot:
    """An embodiment and where its files are.

    Attributes:
        names: one robot, or two and their distance (m).
        folders: of the left and the right robot, relative to the checkout.
    """

    names: tuple[Any, ...]
    folders: tuple[str, str]

    def __str__(self) -> str:
        return "-".join(map(str, self.names))


def choose_robot(embodiment: Embodiment, known: Mapping[str, Any]) -> Robot:
    """An embodiment among those that a checkout knows (``_embodiment_config.yml``).

    Raises:
        InvalidArgumentError: neither one robot nor two and a distance, or a robot that is not known.
    """
    names = [embodiment] if isinstance(embodiment, str) else list(embodiment)
    if len(names) not in (1, 3) or (len(names) == 3 and not _is_distance(names[2])):
        raise InvalidArgumentError(
            "Expect the `embodiment` to be one robot with two arms, or two robots and their distance (m) as in "
            f"('piper', 'piper', 0.6), actually: {shown(embodiment)}."
        )
    for name in names[:2]:
        check_choice("embodiment", name, known)
    left, right = names[0], names[1] if len(names) == 3 else names[0]
    # A distance of 1 and of 1.0 are one robot.
    return Robot((*names[:2], *map(float, names[2:])), (str(known[left]["file_path"]), str(known[right]["file_path"])))


def robot_arguments(robot: Robot, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What RoboTwin's ``setup_demo`` wants to know of a robot; ``configs``: the left and right one's ``config.yml``."""
    arguments = {"embodiment": list(robot.names), "dual_arm_embodied": len(robot.names) == 1}
    for side, folder, config in zip(("left", "right"), robot.folders, configs, strict=True):
        arguments |= {f"{side}_robot_file": folder, f"{side}_embodiment_config": config}
    return arguments if len(robot.names) == 1 else {**arguments, "embodiment_dis": robot.names[2]}


def joint_bounds(folder: Path, config: Mapping[str, Any], arm: int) -> NDArray[np.float64]:
    """Bounds (joints + 1, 2) of an arm's targets: its joints' (rad), as its URDF has them, and its gripper's.

    Raises:
        DamagedAssetsError: a URDF that has no limits of these joints, or cannot be read.
    """
    path = folder / config["urdf_path"]
    try:
        limits = {joint.get("name"): joint.find("limit") for joint in ElementTree.parse(path).iter("joint")}
        ends = [limits[name].attrib for name in config["arm_joints_name"][arm]]  # type: ignore[union-attr]
        joints = [(float(each["lower"]), float(each["upper"])) for each in ends]
    except (OSError, ElementTree.ParseError, KeyError, AttributeError, ValueError) as error:
        raise DamagedAssetsError(f"{path} has no limits of the robot's joints ({error!r}).") from error
    return np.array([*np.clip(joints, -LARGEST_TARGET, LARGEST_TARGET), (0.0, 1.0)])


def _is_distance(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
