"""How far an environment's main camera is from where it belongs, in numbers that every simulator understands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_numbers, shown
from vla_envs.errors import InvalidArgumentError

VERTICAL = np.array([0.0, 0.0, 1.0])


class CameraOffset(NamedTuple):
    """A camera's place relative to its own, around a pivot in the middle of its image; the default is no offset.

    Attributes:
        azimuth: turn about the vertical through the pivot (rad), counter-clockwise from above.
        elevation: how much steeper the camera looks down at the pivot (rad).
        distance: factor on the distance from the pivot.
        field_of_view: factor on the width of the view, the tangent of half its angle.
    """

    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float = 1.0
    field_of_view: float = 1.0


def check_camera_offset(value: Sequence[Any]) -> CameraOffset:
    """Four numbers as a :class:`CameraOffset`.

    Raises:
        InvalidArgumentError: not four finite numbers, or a factor that is not positive.

    >>> check_camera_offset([0.1, 0.0, 1.0, 1.0])
    CameraOffset(azimuth=0.1, elevation=0.0, distance=1.0, field_of_view=1.0)
    """
    numbers = check_numbers("camera_offset", value)
    if numbers.shape != (4,) or min(numbers[2:]) <= 0.0:
        raise InvalidArgumentError(
            "Expect the `camera_offset` to be azimuth and elevation (rad) and positive factors on distance and "
            f"field of view, actually: {shown(value)}."
        )
    return CameraOffset(*numbers.tolist())


def orbit(
    position: ArrayLike, axes: ArrayLike, distance: float, offset: CameraOffset
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position (3,) and axes (3, 3) of a camera that is moved around the point it looks at.

    Args:
        position: (3,) of the camera in a world whose third axis points up.
        axes: (3, 3), rows: the image's right, the image's down, and the viewing direction.
        distance: of the pivot along the viewing direction.
        offset: of which the field of view is not used; no offset gives position and axes to the last bit.

    >>> axes = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]  # looks along -x
    >>> position, _ = orbit([2, 0, 0], axes, 2.0, CameraOffset(azimuth=math.pi / 2))
    >>> position.round(6).tolist()
    [0.0, 2.0, 0.0]
    """
    before = np.asarray(axes, np.float64)
    turned = before @ _rotation(VERTICAL, offset.azimuth).T
    turned = turned @ _rotation(turned[0], -offset.elevation).T
    moved = np.asarray(position, np.float64) + distance * (before[2] - offset.distance * turned[2])
    return moved, turned


def _rotation(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rodrigues' rotation matrix (3, 3) about an axis (3,) of length 1."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
