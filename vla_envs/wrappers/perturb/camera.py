"""The camera stands elsewhere: drawn by the simulator where it can, else imitated on the image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vla_envs.camera import CameraOffset, orbit
from vla_envs.wrappers.perturb.draws import swing

AZIMUTH = 0.25
"""Largest turn about the vertical (rad): 14 degrees."""
ELEVATION = 0.12
"""Largest change of how steep the camera looks (rad): 7 degrees."""
DISTANCE = 0.1
"""Largest change of the distance, as a part of it."""
FIELD_OF_VIEW = 0.05
"""Largest change of the width of the view, as a part of it."""

BOARD_TANGENT = math.tan(math.radians(22.5))
"""Half the width of the imitated view at distance 1: LIBERO's main camera sees 45 degrees."""
BOARD_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Right, down and forward of the imitated camera, which looks along y at a board in the plane y = 0."""


def draw_camera(rng: np.random.Generator, severity: float) -> CameraOffset:
    """An offset of the camera."""
    return CameraOffset(
        azimuth=swing(rng, severity * AZIMUTH),
        elevation=swing(rng, severity * ELEVATION),
        distance=1.0 + swing(rng, severity * DISTANCE),
        field_of_view=1.0 + swing(rng, severity * FIELD_OF_VIEW),
    )


def warp(image: NDArray[np.uint8], offset: CameraOffset) -> NDArray[np.uint8]:
    """An image (H, W, 3) as if it were a flat board that a moved camera looks at.

    Exact for a flat scene that faces the camera; things that stand up keep showing the same side.
    What lies beyond the image's border takes the colour of the border.
    """
    height, width, _ = image.shape
    position, axes = orbit((0.0, -1.0, 0.0), BOARD_AXES, 1.0, offset)
    tangent = BOARD_TANGENT * offset.field_of_view
    right = np.linspace(-tangent, tangent, width)[None, :, None]
    down = np.linspace(-tangent, tangent, height)[:, None, None]
    rays = axes[2] + right * axes[0] + down * axes[1]
    hits = position - rays * (position[1] / rays[..., 1:2])
    rows = (0.5 - 0.5 * hits[..., 2] / BOARD_TANGENT) * (height - 1)
    columns = (0.5 + 0.5 * hits[..., 0] / BOARD_TANGENT) * (width - 1)
    return _sample(image, rows.clip(0, height - 1), columns.clip(0, width - 1))


def _sample(image: NDArray[np.uint8], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The image's colours (h, w, 3) at places (h, w) between its pixels, bilinear."""
    height, width, _ = image.shape
    top, left = np.minimum(rows.astype(int), height - 2), np.minimum(columns.astype(int), width - 2)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return (upper * (1 - down) + lower * down).round().astype(np.uint8)
