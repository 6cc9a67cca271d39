"""Pinhole cameras: where a point of the world is in the image, and what a pixel looks at."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Window = tuple[slice, slice]
"""Rows and columns of an image."""

NEAR = 0.02
"""Points nearer than this (m) count as this near."""


class Camera:
    """A pinhole camera with square pixels.

    Args:
        position: (3,) in metres.
        axes: (3, 3), rows: the image's right, the image's down, and the viewing direction.
        tangent: half the field of view's width at a distance of 1.
        size: height and width of the image in pixels.
    """

    def __init__(self, position: Floats, axes: Floats, tangent: float, size: int) -> None:
        self.position = position.astype(np.float32)
        self.axes = axes.astype(np.float32)
        self.size = size
        self.focal = 0.5 * size / tangent
        offsets = (np.arange(size, dtype=np.float32) + 0.5 - 0.5 * size) / np.float32(self.focal)
        self.plane = np.ones((3, size, size), np.float32)
        """(3, H, W): every pixel's direction in the camera's own axes, of length 1 along the view."""
        self.plane[0] = offsets
        self.plane[1] = offsets[:, None]
        self.aim(position, axes)

    def aim(self, position: Floats, axes: Floats) -> None:
        """Move and turn the camera."""
        self.position = position.astype(np.float32)
        self.axes = axes.astype(np.float32)
        self.rays = (self.axes.T @ self.plane.reshape(3, -1)).reshape(self.plane.shape)
        """(3, H, W): the same directions in the world's axes."""

    def to_camera(self, points: Floats) -> Floats:
        """Points (N, 3) of the world in the camera's axes."""
        return ((points - self.position) @ self.axes.T).astype(np.float32, copy=False)

    def window(self, points: Floats) -> Window | None:
        """The part of the image that the points' (N, 3) hull may cover, or None."""
        own = self.to_camera(points)
        scale = self.focal / np.maximum(own[:, 2:], NEAR)
        pixels = own[:, :2] * scale + 0.5 * self.size
        left, upper = pixels.min(axis=0).tolist()
        right, lower = pixels.max(axis=0).tolist()
        rows = slice(max(math.floor(upper) - 1, 0), min(math.ceil(lower) + 1, self.size))
        columns = slice(max(math.floor(left) - 1, 0), min(math.ceil(right) + 1, self.size))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def looking_at(position: tuple[float, float, float], target: tuple[float, float, float]) -> Floats:
    """A camera's axes (3, 3) for a level horizon, looking from a position to a target."""
    forward = np.subtract(target, position)
    forward = forward / np.linalg.norm(forward)
    right = np.array([-forward[1], forward[0], 0.0])
    right = -right / np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
