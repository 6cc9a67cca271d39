"""The scenes: which things stand on the table, and where they stand in each initial state.

Tasks that share a scene share its initial states: the same first image, told apart by the
instruction alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vla_envs.tabletop.gripper import Gripper
from vla_envs.tabletop.things import Bowl, Cabinet, Drawer, Handle, Movable, Plate, Rect, Zone
from vla_envs.tabletop.world import World

NUM_INIT_STATES = 100
"""Initial states of every task, unless there shall be more."""
EVAL_STATES = range(50, 100)
"""Those that evaluate; all others train."""

SEED = 20250
"""First word of every initial state's seed; another number would be another set of layouts."""

AREA = Rect(-0.12, 0.15, -0.18, 0.18)
"""Where the centers of things may stand."""
GAP = 0.03
"""Free table between two things: room for the gripper's fingers."""
START = (-0.05, 0.0, 0.22)
"""Grip point at the start, before its random offset."""
START_OFFSET = 0.015

ATTEMPTS = 50
"""Draws of one thing's position before the whole layout is drawn anew."""


@dataclass(frozen=True)
class Scene:
    """A set of things: (shape, color) of the movables, then the fixtures."""

    movables: tuple[tuple[str, str], ...]
    discs: tuple[Callable[[], Plate | Bowl | Zone], ...] = ()
    cabinet: bool = False
    drawer_open: bool = False

    def world(self, rng: np.random.Generator) -> World:
        """A world with the things of this scene at places drawn by ``rng``, none overlapping another."""
        cabinet = _place_cabinet(rng, self.drawer_open) if self.cabinet else None
        discs = [make() for make in self.discs]
        movables = [Movable(shape, color) for shape, color in self.movables]
        while not _scatter([*discs, *movables], cabinet, rng):
            pass
        world = World(movables, [*discs, *((cabinet,) if cabinet else ())])
        x, y, z = START + rng.uniform(-START_OFFSET, START_OFFSET, 3)
        world.gripper = Gripper(float(x), float(y), float(z))
        return world


SCENES = {
    "plates": Scene(
        movables=(("cube", "red"), ("cube", "green")),
        discs=(lambda: Plate("blue"), lambda: Plate("white")),
    ),
    "bowl": Scene(
        movables=(("ball", "yellow"), ("cube", "yellow"), ("cylinder", "purple")),
        discs=(lambda: Bowl("white"), lambda: Zone("green")),
    ),
    "blocks": Scene(movables=(("cube", "red"), ("cube", "blue"), ("cube", "green"))),
    "closed drawer": Scene(movables=(("cube", "blue"), ("cylinder", "orange")), cabinet=True),
    "open drawer": Scene(movables=(("ball", "red"), ("cube", "red")), cabinet=True, drawer_open=True),
}


def initial_world(scene: str, init_state_id: int) -> World:
    """The world at an initial state: a pure function of the two arguments."""
    index = list(SCENES).index(scene)
    return SCENES[scene].world(np.random.default_rng((SEED, index, init_state_id)))


def _place_cabinet(rng: np.random.Generator, drawer_open: bool) -> Cabinet:
    cabinet = Cabinet(opening=Drawer.travel if drawer_open else 0.0)
    cabinet.front_x = float(rng.uniform(-0.125, -0.105))
    cabinet.y = float(rng.uniform(-0.125, -0.085))
    return cabinet


def _scatter(things: list[Plate | Bowl | Zone | Movable], cabinet: Cabinet | None, rng: np.random.Generator) -> bool:
    """Draw a place for each thing in turn; False when one finds none."""
    kept_free = _kept_free(cabinet)
    for index, thing in enumerate(things):
        for _ in range(ATTEMPTS):
            thing.x = float(rng.uniform(AREA.x0 + thing.radius, AREA.x1 - thing.radius))
            thing.y = float(rng.uniform(AREA.y0 + thing.radius, AREA.y1 - thing.radius))
            free = not kept_free.touches(thing.x, thing.y, thing.radius)
            if free and all(_apart(thing, other) for other in things[:index]):
                break
        else:
            return False
    return True


def _kept_free(cabinet: Cabinet | None) -> Rect:
    """The cabinet, and the table in front of it that the drawer and the hand on its handle need."""
    if cabinet is None:
        return Rect(math.inf, -math.inf, math.inf, -math.inf)
    reach = Drawer.travel + Drawer.front + Handle.standoff + GAP
    body = cabinet.body
    return Rect(body.x0 - GAP, cabinet.front_x + reach, body.y0 - GAP, body.y1 + GAP)


def _apart(thing: Plate | Bowl | Zone | Movable, other: Plate | Bowl | Zone | Movable) -> bool:
    return math.hypot(thing.x - other.x, thing.y - other.y) >= thing.radius + other.radius + GAP
