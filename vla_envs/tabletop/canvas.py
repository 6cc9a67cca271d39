"""A picture with depth, and the anti-aliased pieces that are drawn onto it.

A piece is drawn inside a window of the image: how much of each pixel it covers (`cover`, 0..1),
its colour, and its inverse distance along the view, which decides what hides what. Edges are
soft by half a pixel on either side, which is what makes small images readable.
"""

from __future__ import annotations

import math

import numpy as np

from vla_envs.tabletop.camera import Camera, Floats, Window

LIGHT = np.array([0.45, -0.35, 0.82], np.float32) / np.float32(math.sqrt(0.45**2 + 0.35**2 + 0.82**2))
"""Direction to the light: from above, over the viewer's left shoulder."""
AMBIENT = 0.52
"""Share of a colour that needs no light."""
TOLERANCE = 1.004
"""Pieces are drawn over what is nearer by less than this ratio, so that contact does not flicker."""


class Canvas:
    """An image (H, W, 3) uint8 with the inverse depth (H, W) float32 of what it shows."""

    def __init__(self, camera: Camera, colour: np.ndarray, inverse: Floats) -> None:
        self.camera = camera
        self.colour = colour
        self.inverse = inverse

    def copy(self) -> Canvas:
        """A canvas with the same picture, to draw on independently."""
        return Canvas(self.camera, self.colour.copy(), self.inverse.copy())

    def blend(self, window: Window, cover: Floats, colour: Floats, inverse: Floats) -> None:
        """Draw a piece of the given colour (h, w, 3) or (3,) where nothing nearer is drawn."""
        cover = np.where(inverse * TOLERANCE >= self.inverse[window], cover, np.float32(0.0))
        below = self.colour[window]
        self.colour[window] = below + cover[..., None] * (colour - below) + 0.5
        self.inverse[window] = np.where(cover > 0.5, inverse, self.inverse[window])

    def shadow(
        self, x: float, y: float, z: float, half: tuple[float, float], soft: float, strength: float, turn: float = 0.0
    ) -> None:
        """Darken what lies below height ``z`` around (x, y): a rounded box of half sizes, with a soft rim."""
        reach = math.hypot(*half) + soft
        ground = np.array(
            [(x + i * reach, y + j * reach, k) for i in (-1, 1) for j in (-1, 1) for k in (0.0, z)], np.float32
        )
        window = self.camera.window(ground)
        if window is None:
            return
        depth = 1.0 / self.inverse[window]
        ray_x, ray_y, ray_z = self.camera.rays[:, window[0], window[1]]
        dx = ray_x * depth + np.float32(self.camera.position[0] - x)
        dy = ray_y * depth + np.float32(self.camera.position[1] - y)
        cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
        along = np.maximum(np.abs(cos * dx + sin * dy) - np.float32(half[0]), 0.0)
        across = np.maximum(np.abs(cos * dy - sin * dx) - np.float32(half[1]), 0.0)
        fade = np.maximum(1.0 - np.sqrt(along * along + across * across) / np.float32(soft), 0.0)
        below = ray_z * depth < np.float32(z - self.camera.position[2] + 1e-3)
        factor = 1.0 - np.float32(strength) * fade * fade * (3.0 - 2.0 * fade) * below
        self.colour[window] = self.colour[window] * factor[..., None]


def lit(colour: tuple[int, int, int], normal: Floats) -> Floats:
    """A matt colour on surfaces of the given normals (..., 3)."""
    light = AMBIENT + (1.0 - AMBIENT) * np.maximum(normal @ LIGHT, 0.0)
    return np.multiply.outer(light, np.array(colour, np.float32)).astype(np.float32)


def boxes(canvas: Canvas, centres: Floats, axes: Floats, halves: Floats, colours: list[tuple[int, int, int]]) -> None:
    """Draw boxes (B, 3) of half sizes (B, 3) along common axes (3, 3; columns), the last one foremost."""
    camera = canvas.camera
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float32)
    corners: Floats = centres[:, None] + (signs * halves[:, None]) @ axes.T
    window = camera.window(corners.reshape(-1, 3))
    if window is None:
        return
    faces = _Faces(camera, centres, axes, halves, colours)
    cover, inverse = faces.rasterise(camera, window)
    _blend_faces(canvas, window, faces, cover, inverse)


class _Faces:
    """The faces of boxes that look at the camera, as linear functions of a pixel's direction."""

    def __init__(
        self, camera: Camera, centres: Floats, axes: Floats, halves: Floats, colours: list[tuple[int, int, int]]
    ) -> None:
        middle = camera.to_camera(centres)
        directions = camera.axes @ axes
        box, axis, sign = (each.ravel() for each in np.indices((len(centres), 3, 2)))
        side = (2 * sign - 1).astype(np.float32)
        normal = directions.T[axis] * side[:, None]
        offset = np.einsum("ij,ij->i", normal, middle[box]) + halves[box, axis]
        seen = offset < -1e-6
        self.box, axis, side, normal, offset = box[seen], axis[seen], side[seen], normal[seen], offset[seen]
        face = middle[self.box] + normal * halves[self.box, axis][:, None]
        self.inverse = normal / offset[:, None]
        """(F, 3): inverse depth."""
        self.edges = np.stack(
            [e for turn in (1, 2) for e in _edges(camera, face, directions, halves[self.box], axis, turn)]
        )
        """(4, F, 3): signed distance from each edge in pixels, positive inside."""
        world_normal = axes.T[axis] * side[:, None]
        base = np.array(colours, np.float32)[self.box]
        light = AMBIENT + (1.0 - AMBIENT) * np.maximum(world_normal @ LIGHT, 0.0)
        self.colour = base * light[:, None]

    def rasterise(self, camera: Camera, window: Window) -> tuple[Floats, Floats]:
        """Cover and inverse depth of every face, both (F, P)."""
        pixels = camera.plane[:, window[0], window[1]].reshape(3, -1)
        first, second, third, fourth = (self.edges.reshape(-1, 3) @ pixels).reshape(4, len(self.box), -1)
        inside = np.minimum(np.minimum(first, second), np.minimum(third, fourth))
        return np.clip(inside + np.float32(0.5), 0.0, 1.0), self.inverse @ pixels


def _edges(
    camera: Camera, face: Floats, directions: Floats, halves: Floats, axis: np.ndarray, turn: int
) -> tuple[Floats, Floats]:
    """The two edges of each face across one of its directions."""
    across, along = (axis + turn) % 3, (axis + 3 - turn) % 3
    step = directions.T[across] * halves[np.arange(len(axis)), across][:, None]
    line = directions.T[along]
    return tuple(_inward(camera, np.cross(face + s * step, line), face) for s in (-1, 1))  # type: ignore[return-value]


def _inward(camera: Camera, line: Floats, face: Floats) -> Floats:
    length = np.sqrt(line[:, 0] ** 2 + line[:, 1] ** 2) + 1e-9
    sign = np.sign(np.einsum("ij,ij->i", line, face))
    return line * (sign * camera.focal / length)[:, None].astype(np.float32)


def _blend_faces(canvas: Canvas, window: Window, faces: _Faces, cover: Floats, inverse: Floats) -> None:
    """Faces of one box join without a seam; a later box covers the earlier ones."""
    shape = canvas.inverse[window].shape
    left = np.ones(cover.shape[1], np.float32)
    for box in range(int(faces.box[-1]), -1, -1):
        mine = faces.box == box
        total = np.minimum(cover[mine].sum(axis=0), 1.0)
        cover[mine] *= left
        left = left * (1.0 - total)
    weight = np.maximum(cover.sum(axis=0), 1e-6)
    colour = (cover.T @ faces.colour) / weight[:, None]
    depth = (cover * inverse).sum(axis=0) / weight
    canvas.blend(window, (1.0 - left).reshape(shape), colour.reshape(*shape, 3), depth.reshape(shape))
