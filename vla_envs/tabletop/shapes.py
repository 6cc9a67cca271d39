"""How each thing looks: it is put together from discs, boxes, walls of cylinders and balls."""

from __future__ import annotations

import math

import numpy as np

from vla_envs.tabletop.boxes import boxes
from vla_envs.tabletop.camera import Floats, Window
from vla_envs.tabletop.canvas import AMBIENT, Canvas, Colour, Shadow, brightness, lit
from vla_envs.tabletop.gripper import Gripper
from vla_envs.tabletop.things import Bowl, Cabinet, Drawer, Movable, Plate, Zone

COLOURS: dict[str, Colour] = {
    "red": (214, 52, 46),
    "green": (62, 166, 78),
    "blue": (52, 98, 204),
    "yellow": (242, 196, 48),
    "purple": (132, 74, 178),
    "orange": (240, 132, 40),
    "white": (240, 238, 232),
}
CABINET = (150, 112, 84)
DRAWER_FRONT = (176, 136, 102)
DRAWER_INSIDE = (208, 184, 152)
HANDLE = (58, 58, 64)
PALM = (226, 229, 234)
ARM = (196, 200, 208)
FINGER = (66, 70, 80)
PAD = (112, 118, 130)
UP = np.array([0.0, 0.0, 1.0], np.float32)
IDENTITY = np.eye(3, dtype=np.float32)

LIFT = 0.004
"""Surfaces this close above the underside of what casts a shadow count as below it."""
GLOSS = 60.0
"""Brightness of the light's reflection on a ball."""
BOWL_STEPS = 7
"""Rings that a bowl's wall is drawn with."""
BOWL_BASE = 0.55
"""Radius of a bowl's foot as a part of its rim's."""


def draw_movable(canvas: Canvas, thing: Movable) -> None:
    """Draw a cube, cylinder or ball."""
    colour = COLOURS[thing.colour]
    if thing.shape == "cube":
        _cube(canvas, thing, colour)
    elif thing.shape == "cylinder":
        _wall(canvas, thing.x, thing.y, thing.radius, thing.z, thing.top, colour)
        _disc(canvas, thing.x, thing.y, thing.radius, thing.top, lit(colour, UP))
    else:
        _ball(canvas, thing, colour)


def draw_contact(canvas: Canvas, thing: Movable) -> None:
    """Darken the surface that a resting object stands on, around the object."""
    half = thing.radius * (1.0 if thing.shape == "cube" else 0.7)
    canvas.shadow(Shadow(thing.x, thing.y, (half, half), 0.022, 0.5, thing.yaw, 3 * LIFT), thing.z + LIFT, thing.z)


def draw_hand_shadow(canvas: Canvas, gripper: Gripper, lowest: float, top: float) -> None:
    """Darken what lies right below the hand: fainter and wider the higher it is above the surface at ``top``."""
    height = max(lowest - top, 0.0)
    half = (0.008, gripper.finger + 0.006)
    shadow = Shadow(gripper.x, gripper.y, half, 0.016 + 0.08 * height, 0.45 / (1.0 + 4.0 * height), gripper.twist)
    canvas.shadow(shadow, lowest + LIFT, top)


def draw_fixture(canvas: Canvas, fixture: Plate | Bowl | Zone | Cabinet) -> None:
    """Draw a fixture with its contact shadow."""
    if isinstance(fixture, Cabinet):
        _cabinet(canvas, fixture)
    elif isinstance(fixture, Zone):
        _zone(canvas, fixture)
    elif isinstance(fixture, Plate):
        _plate(canvas, fixture)
    else:
        _bowl(canvas, fixture)


def draw_gripper(canvas: Canvas, gripper: Gripper, whole: bool = True) -> None:
    """Draw the hand: fingers, and unless seen from the wrist also palm and arm."""
    axes = gripper.axes.astype(np.float32)
    grip = np.array([gripper.x, gripper.y, gripper.z], np.float32)
    finger = gripper.finger + 0.006
    parts: list[tuple[tuple[float, float, float], tuple[float, float, float], Colour]] = []
    if whole:
        parts += [((0, 0, -0.13), (0.016, 0.016, 0.04), ARM), ((0, 0, -0.068), (0.019, 0.054, 0.022), PALM)]
    for side in (-finger, finger):
        parts += [((0, side, -0.016), (0.009, 0.006, 0.028), FINGER)]
    offsets, halves, colours = (list(each) for each in zip(*parts, strict=True))
    centres = grip + np.array(offsets, np.float32) @ axes.T
    boxes(canvas, centres, axes, np.array(halves, np.float32), colours)


def _cube(canvas: Canvas, thing: Movable, colour: Colour) -> None:
    cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
    axes = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], np.float32)
    centre = np.array([[thing.x, thing.y, thing.middle]], np.float32)
    half = np.array([[thing.radius, thing.radius, 0.5 * thing.height]], np.float32)
    boxes(canvas, centre, axes, half, [colour])


def _cabinet(canvas: Canvas, cabinet: Cabinet) -> None:
    drawer, body = cabinet.drawer, cabinet.body
    middle = (0.5 * (body.x0 + body.x1), cabinet.y)
    half = (0.5 * cabinet.depth, cabinet.half_width)
    canvas.shadow(Shadow(*middle, half, 0.03, 0.5), LIFT)
    _box(canvas, (*middle, 0.5 * cabinet.height), (*half, 0.5 * cabinet.height), CABINET)
    _drawer(canvas, drawer)


def _drawer(canvas: Canvas, drawer: Drawer) -> None:
    outside, y, wall = drawer.outside, drawer.cabinet.y, drawer.wall
    length = 0.5 * drawer.opening
    x, top = outside.x0 + length, drawer.wall_top
    canvas.shadow(Shadow(x, y, (length, drawer.half_width), 0.02, 0.45), LIFT)
    if drawer.opening > 0.0:
        _box(canvas, (x, y, 0.5 * drawer.floor), (length, drawer.half_width, 0.5 * drawer.floor), DRAWER_INSIDE)
        canvas.shadow(Shadow(x, y, (0.5 * length, 0.03), 0.06, 0.25), drawer.floor + LIFT, drawer.floor)
        for side in (-1, 1):
            at = y + side * (drawer.half_width - 0.5 * wall)
            _box(canvas, (x, at, 0.5 * top), (length, 0.5 * wall, 0.5 * top), DRAWER_INSIDE)
    _box(canvas, (drawer.panel_x + 0.5 * drawer.front, y, 0.036), (0.5 * drawer.front, 0.064, 0.034), DRAWER_FRONT)
    handle = drawer.handle
    bar = drawer.panel_x + drawer.front + 0.5 * handle.standoff
    _box(canvas, (bar, y, handle.middle), (0.5 * handle.standoff, 0.005, 0.005), HANDLE)
    _box(canvas, (handle.x, y, handle.middle), (0.008, handle.radius, 0.01), HANDLE)


def _box(canvas: Canvas, centre: tuple[float, float, float], half: tuple[float, float, float], colour: Colour) -> None:
    boxes(canvas, np.array([centre], np.float32), IDENTITY, np.array([half], np.float32), [colour])


def _zone(canvas: Canvas, zone: Zone) -> None:
    window = _flat_window(canvas, zone.x, zone.y, zone.half, 0.0)
    if window is None:
        return
    dx, dy, inverse, scale = _plane(canvas, window, zone.x, zone.y, 0.0)
    edge = np.float32(zone.half) - np.maximum(np.abs(dx), np.abs(dy))
    base = np.array(COLOURS[zone.colour], np.float32)
    frame = np.clip(0.5 + (edge - 0.008) * scale, 0.0, 1.0)[..., None]
    colour = frame * (0.62 * base + 78.0) + (1.0 - frame) * base
    canvas.blend(window, np.clip(0.5 + edge * scale, 0.0, 1.0), colour, inverse)


def _plate(canvas: Canvas, plate: Plate) -> None:
    colour, radius, height = COLOURS[plate.colour], plate.radius, plate.height
    x, y = plate.x, plate.y
    canvas.shadow(Shadow(x, y, (0.7 * radius, 0.7 * radius), 0.03, 0.45), LIFT)
    _wall(canvas, x, y, radius, 0.0, height, _darker(colour, 0.8))
    _disc(canvas, x, y, radius, height, lit(colour, UP))
    _disc(canvas, x, y, 0.76 * radius, height, lit(_darker(colour, 0.78), UP))
    _disc(canvas, x, y, 0.72 * radius, height, lit(_darker(colour, 0.9), UP))


def _bowl(canvas: Canvas, bowl: Bowl) -> None:
    colour, x, y = COLOURS[bowl.colour], bowl.x, bowl.y
    canvas.shadow(Shadow(x, y, (0.6 * bowl.radius, 0.6 * bowl.radius), 0.03, 0.45), LIFT)
    steps = np.linspace(0.0, 1.0, BOWL_STEPS)
    for step in steps:
        radius = bowl.radius * (BOWL_BASE + (1.0 - BOWL_BASE) * math.sqrt(step))
        _disc(canvas, x, y, radius, bowl.height * step, lit(_darker(colour, 0.62 + 0.25 * step), UP))
    _disc(canvas, x, y, bowl.radius, bowl.height, lit(colour, UP))
    mouth = _disc_cover(canvas, x, y, bowl.mouth, bowl.height)
    for step in steps[::-1]:
        radius = bowl.mouth * (BOWL_BASE + (1.0 - BOWL_BASE) * math.sqrt(step))
        height = bowl.floor + (bowl.height - bowl.floor) * step
        _inner_disc(canvas, mouth, x, y, radius, height, lit(_darker(colour, 0.68 + 0.2 * (1 - step)), UP))


def _darker(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(factor * each) for each in colour)
    return red, green, blue


def _flat_window(canvas: Canvas, x: float, y: float, radius: float, z: float) -> Window | None:
    corners = [(x + i * radius, y + j * radius, z) for i in (-1, 1) for j in (-1, 1)]
    return canvas.camera.window(np.array(corners, np.float32))


def _plane(canvas: Canvas, window: Window, x: float, y: float, z: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Where the pixels' rays meet the plane at height z, from (x, y); inverse depth; pixels per metre."""
    camera = canvas.camera
    ray_x, ray_y, ray_z = camera.rays[:, window[0], window[1]]
    inverse = np.minimum(ray_z, np.float32(-1e-3)) / np.float32(z - camera.position[2])
    dx = ray_x / inverse + np.float32(camera.position[0] - x)
    dy = ray_y / inverse + np.float32(camera.position[1] - y)
    return dx, dy, inverse, inverse * np.float32(camera.focal)


def _disc(canvas: Canvas, x: float, y: float, radius: float, z: float, colour: Floats) -> None:
    window = _flat_window(canvas, x, y, radius, z)
    if window is None:
        return
    dx, dy, inverse, scale = _plane(canvas, window, x, y, z)
    cover = np.clip(0.5 + (np.float32(radius) - np.sqrt(dx * dx + dy * dy)) * scale, 0.0, 1.0)
    canvas.blend(window, cover, colour, inverse)


def _disc_cover(canvas: Canvas, x: float, y: float, radius: float, z: float) -> tuple[Window, Floats] | None:
    window = _flat_window(canvas, x, y, radius, z)
    if window is None:
        return None
    dx, dy, _, scale = _plane(canvas, window, x, y, z)
    return window, np.clip(0.5 + (np.float32(radius) - np.sqrt(dx * dx + dy * dy)) * scale, 0.0, 1.0)


def _inner_disc(
    canvas: Canvas, mouth: tuple[Window, Floats] | None, x: float, y: float, radius: float, z: float, colour: Floats
) -> None:
    """A ring of a bowl's inside, seen through its mouth; it lies behind the rim already drawn there."""
    if mouth is None:
        return
    window, opening = mouth
    dx, dy, inverse, scale = _plane(canvas, window, x, y, z)
    cover = np.clip(0.5 + (np.float32(radius) - np.sqrt(dx * dx + dy * dy)) * scale, 0.0, 1.0)
    cover = np.minimum(cover, opening)
    canvas.inverse[window] = np.where(cover > 0.5, inverse, canvas.inverse[window])
    canvas.blend(window, cover, colour, inverse)


def _wall(canvas: Canvas, x: float, y: float, radius: float, bottom: float, top: float, colour: Colour) -> None:
    """The side of an upright cylinder, shaded around its axis."""
    camera = canvas.camera
    to_x, to_y = float(camera.position[0]) - x, float(camera.position[1]) - y
    distance = math.hypot(to_x, to_y)
    corners = [(x + i * radius, y + j * radius, z) for i in (-1, 1) for j in (-1, 1) for z in (bottom, top)]
    window = camera.window(np.array(corners, np.float32))
    if window is None or distance <= radius:
        return
    ray_x, ray_y, ray_z = camera.rays[:, window[0], window[1]]
    towards = np.array([to_x, to_y], np.float32) / np.float32(distance)
    forward = np.maximum(-(ray_x * towards[0] + ray_y * towards[1]), np.float32(1e-6))
    sideways = ray_y * towards[0] - ray_x * towards[1]
    across = sideways / forward * np.float32(distance / radius)
    bulge = np.sqrt(np.maximum(1.0 - across * across, 0.0))
    depth = (np.float32(distance) - np.float32(radius) * bulge) / forward
    height = camera.position[2] + ray_z * depth
    scale = np.float32(camera.focal) / depth
    inside = np.minimum((1.0 - np.abs(across)) * radius, np.minimum(height - bottom, top - height))
    cover = np.clip(0.5 + inside * scale, 0.0, 1.0)
    normal = np.stack(
        [bulge * towards[0] - across * towards[1], bulge * towards[1] + across * towards[0], 0.0 * bulge], -1
    )
    canvas.blend(window, cover, lit(colour, normal), 1.0 / depth)


def _ball(canvas: Canvas, thing: Movable, colour: Colour) -> None:
    camera = canvas.camera
    centre = np.array([thing.x, thing.y, thing.middle], np.float32)
    corners = [centre + thing.radius * np.array([i, j, k]) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    window = camera.window(np.array(corners, np.float32))
    if window is None:
        return
    ray_x, ray_y, ray_z = camera.rays[:, window[0], window[1]]
    x, y, z = centre - camera.position
    square = ray_x * ray_x + ray_y * ray_y + ray_z * ray_z
    along = (ray_x * x + ray_y * y + ray_z * z) / square
    miss = np.maximum(x * x + y * y + z * z - along * along * square, np.float32(0.0))
    radius = np.float32(thing.radius)
    cover = np.clip(0.5 + (radius - np.sqrt(miss)) * np.float32(camera.focal) / along, 0.0, 1.0)
    depth = along - np.sqrt(np.maximum(radius * radius - miss, 0.0) / square)
    normal = np.stack([ray_x * depth - x, ray_y * depth - y, ray_z * depth - z], axis=-1) / radius
    shine = ((brightness(normal) - np.float32(AMBIENT)) / np.float32(1.0 - AMBIENT)) ** 24
    shaded = lit(colour, normal) + np.float32(GLOSS) * shine[..., None]
    canvas.blend(window, cover, np.minimum(shaded, 250.0), 1.0 / depth)
