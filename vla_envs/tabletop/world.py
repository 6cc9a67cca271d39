"""The state of the table and the rules by which one control step changes it.

The world is kinematic: nothing has mass, and the next state is a plain function of the state and
the action. The rules, in the order in which a control step applies them:

Turning
    The hand turns by 0.5 rad per unit of the action about the world's axes, up to a tilt of
    0.8 rad. A held object stays level and turns about the vertical with the hand.
Moving
    The hand moves by 0.05 m per unit in five equal parts, each first along x, then y, then z,
    inside its workspace. To what is in its way the hand is an upright cylinder of 2 cm radius
    that ends 1.2 cm below the grip point, and so is a held object in its own size. A horizontal
    part that would enter something is left out; a vertical one ends on the surface below.
    Upwards is always free. Open fingers pass on both sides of an object whose middle is within
    2.8 cm of the grip point.
Fingers
    A positive gripper action closes the fingers by 1.5 cm, a negative one opens them as much.
    Fully open is 4 cm on either side.
Grasping
    Closing fingers take hold of an object as soon as they are as narrow as it is, if its middle
    is within 2.8 cm horizontally and 2 cm vertically of the grip point, the hand is within
    0.4 rad of the vertical, nothing stands on the object, and there is room to draw it to the
    middle of the fingers, where it is held from then on.
Letting go
    The first opening of the fingers lets go. The object falls straight down, without bouncing,
    to the highest surface below it. In a bowl it slides to the middle, in the drawer away from
    the walls; where its middle is not above what it fell on, it slides off to that side. So
    an object never ends inside another.
Drawer
    Fingers that close on the handle (same reach, turned by at most 0.6 rad from lying across it)
    hold it, and then the hand only moves the drawer along x. The drawer carries what lies in it,
    and stops at its ends, at objects in front of it, and when something in it is too high for
    the cabinet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.errors import InvalidArgumentError
from vla_envs.saved_state import Arrays, check_arrays
from vla_envs.tabletop import gripper as hand
from vla_envs.tabletop.gripper import Gripper
from vla_envs.tabletop.things import (
    CONTACT,
    Cabinet,
    Drawer,
    Fixture,
    Graspable,
    Handle,
    Movable,
    Obstacle,
    Place,
    Zone,
)

SUBSTEPS = 5
"""Parts of a control step: at most 1 cm each, so that the hand cannot jump through anything."""

SETTLE_ROUNDS = 8
"""How often an object may slide on to the next support before it stays where it is."""


class World:
    """The gripper, the movable objects and the fixtures of one scene.

    ``version`` changes whenever something that rests has moved, been taken or been put down.
    """

    def __init__(self, movables: Sequence[Movable], fixtures: Sequence[Fixture]) -> None:
        self.movables = list(movables)
        self.fixtures = list(fixtures)
        cabinets = [fixture for fixture in fixtures if isinstance(fixture, Cabinet)]
        self.drawer: Drawer | None = cabinets[0].drawer if cabinets else None
        self.gripper = Gripper(0.0, 0.0, hand.Z_MAX)
        self.held: Graspable | None = None
        self.version = 0
        self._places: dict[str, Place] = {thing.name: thing for thing in (*self.fixtures, *self.movables)}
        self._graspable: list[Graspable] = list(self.movables)
        self._obstacles: list[Obstacle] = list(self.fixtures)
        if self.drawer is not None:
            self._places[self.drawer.name] = self.drawer
            self._graspable.append(self.drawer.handle)
            self._obstacles += [self.drawer, self.drawer.handle]

    def movable(self, name: str) -> Movable:
        """The object of this name."""
        return next(thing for thing in self.movables if thing.name == name)

    def place(self, name: str) -> Place:
        """The fixture or object of this name, as something to put things on."""
        return self._places[name]

    @property
    def resting(self) -> list[Movable]:
        """The objects that the gripper does not hold."""
        return [thing for thing in self.movables if thing is not self.held]

    def save(self) -> Arrays:
        """What changes in an episode, as new arrays."""
        gripper, held = self.gripper, self.held
        return {
            "gripper": np.array([gripper.x, gripper.y, gripper.z, *gripper.orientation, gripper.finger]),
            "movables": np.array([(each.x, each.y, each.z, each.yaw) for each in self.movables]),
            "opening": np.array(self.drawer.opening if self.drawer else 0.0),
            "held": np.array(-1 if held is None else self._graspable.index(held)),
            "version": np.array(self.version),
        }

    def restore(self, saved: Arrays) -> None:
        """Take over what a world of the same scene and initial state saved.

        Raises:
            InvalidArgumentError: arrays of another scene, or damaged ones.
        """
        check_arrays(saved, self.save())
        held = int(saved["held"])
        if not -1 <= held < len(self._graspable):
            raise InvalidArgumentError(f"Expect the saved `held` to be one of {len(self._graspable)} things: {held}.")
        x, y, z, *orientation, finger = saved["gripper"].tolist()
        self.gripper = Gripper(x, y, z)
        self.gripper.orientation, self.gripper.finger = tuple(orientation), finger
        for thing, values in zip(self.movables, saved["movables"].tolist(), strict=True):
            thing.x, thing.y, thing.z, thing.yaw = values
        if self.drawer:
            self.drawer.opening = float(saved["opening"])
        self.held = None if held < 0 else self._graspable[held]
        self.version = int(saved["version"])

    def step(self, action: NDArray[np.float64]) -> None:
        """Apply one control step of an action (7,) in [-1, 1]."""
        if isinstance(self.held, Handle):
            self._pull(self.held.drawer, float(action[0]) * spec.METERS_PER_UNIT)
        else:
            self._turn(action[3:6])
            self._move(*(action[:3] * spec.METERS_PER_UNIT).tolist())
        self._work_fingers(float(action[6]))

    def _turn(self, rotation: NDArray[np.float64]) -> None:
        if not rotation.any():
            return
        twist = self.gripper.turn(rotation)
        if isinstance(self.held, Movable):
            self.held.yaw += twist

    def _move(self, dx: float, dy: float, dz: float) -> None:
        if self._is_clear(dz):
            self._shift(dx, dy, dz)
        else:
            for _ in range(SUBSTEPS):
                self._shift_unless_blocked(dx / SUBSTEPS, 0.0)
                self._shift_unless_blocked(0.0, dy / SUBSTEPS)
                self._lower_or_raise(dz / SUBSTEPS)
        if isinstance(self.held, Movable):
            self.held.x, self.held.y = self.gripper.x, self.gripper.y

    def _is_clear(self, dz: float) -> bool:
        """Whether the hand stays above everything on its way."""
        lowest = self.gripper.z + min(dz, 0.0) - hand.FINGER_LENGTH
        if isinstance(self.held, Movable):
            lowest = min(lowest, self.held.z + min(dz, 0.0))
        highest = max((thing.top for thing in self.resting), default=0.0)
        return lowest > max(highest, Cabinet.height)

    def _shift(self, dx: float, dy: float, dz: float) -> None:
        gripper = self.gripper
        gripper.x = min(max(gripper.x + dx, hand.X_RANGE[0]), hand.X_RANGE[1])
        gripper.y = min(max(gripper.y + dy, hand.Y_RANGE[0]), hand.Y_RANGE[1])
        before = gripper.z
        gripper.z = min(gripper.z + dz, hand.Z_MAX)
        if isinstance(self.held, Movable):
            self.held.z += gripper.z - before

    def _shift_unless_blocked(self, dx: float, dy: float) -> None:
        x, y = self.gripper.x, self.gripper.y
        if (dx or dy) and self.gripper.z >= self._lowest_z(x + dx, y + dy) - CONTACT:
            self._shift(dx, dy, 0.0)

    def _lower_or_raise(self, dz: float) -> None:
        if dz < 0.0:
            room = self.gripper.z - self._lowest_z(self.gripper.x, self.gripper.y)
            dz = -min(-dz, max(room, 0.0))
        self._shift(0.0, 0.0, dz)

    def _lowest_z(self, x: float, y: float) -> float:
        """The lowest grip point at (x, y): above the surface under the hand and under what it holds."""
        lowest = self.surface(x, y, hand.RADIUS, self._between_fingers(x, y)) + hand.FINGER_LENGTH
        if isinstance(self.held, Movable):
            under = self.surface(x, y, self.held.radius, self.held)
            lowest = max(lowest, under + self.gripper.z - self.held.z)
        return lowest

    def _between_fingers(self, x: float, y: float) -> Graspable | None:
        """What the fingers of a hand at (x, y) hold, or have room for between them."""
        if self.held is not None:
            return self.held
        if self.gripper.finger < hand.FINGER_OPEN - hand.FINGER_SPEED - CONTACT:
            return None
        near = [thing for thing in self._graspable if thing.distance(x, y) <= hand.GRASP_REACH]
        return min(near, key=lambda thing: abs(thing.middle - self.gripper.z), default=None)

    def surface(self, x: float, y: float, radius: float, ignored: Graspable | None = None) -> float:
        """Height of the highest surface under a disc, leaving out one thing and what is held."""
        height = 0.0
        for obstacle in self._obstacles:
            if obstacle is not ignored:
                height = max(height, obstacle.top_at(x, y, radius))
        for thing in self.movables:
            if thing is not ignored and thing is not self.held and not self._is_shut_away(thing):
                height = max(height, thing.top_at(x, y, radius))
        return height

    def _is_shut_away(self, thing: Movable) -> bool:
        return self.drawer is not None and thing.x < self.drawer.cabinet.front_x and self.drawer.holds(thing)

    def _work_fingers(self, command: float) -> None:
        if command > 0.0:
            self._close()
        elif command < 0.0:
            self._open()

    def _open(self) -> None:
        self.gripper.finger = min(self.gripper.finger + hand.FINGER_SPEED, hand.FINGER_OPEN)
        if isinstance(self.held, Movable):
            self._let_fall(self.held)
        self.held = None

    def _close(self) -> None:
        if self.held is not None:
            return
        narrowed = max(self.gripper.finger - hand.FINGER_SPEED, 0.0)
        self.gripper.finger = narrowed
        near = [thing for thing in self._graspable if self._is_within_reach(thing)]
        if near:
            thing = min(near, key=lambda thing: abs(thing.middle - self.gripper.z))
            if narrowed <= thing.radius:
                self._take(thing)

    def _is_within_reach(self, thing: Graspable) -> bool:
        gripper = self.gripper
        near = thing.distance(gripper.x, gripper.y) <= hand.GRASP_REACH
        if not near or abs(thing.middle - gripper.z) > hand.GRASP_HEIGHT or gripper.tilt > hand.GRASP_TILT:
            return False
        if isinstance(thing, Handle):
            return abs(gripper.twist) <= hand.GRASP_TWIST
        loaded = any(thing.holds(other) for other in self.movables)
        return not loaded and self.surface(gripper.x, gripper.y, thing.radius, thing) <= thing.z + CONTACT

    def _take(self, thing: Graspable) -> None:
        self.held = thing
        self.gripper.finger = thing.radius
        if isinstance(thing, Movable):
            thing.x, thing.y = self.gripper.x, self.gripper.y
        self.version += 1

    def _let_fall(self, thing: Movable) -> None:
        """Put an object down on what lies below it, sliding off what does not carry its middle."""
        x, y = thing.x, thing.y
        for _ in range(SETTLE_ROUNDS):
            settled = self._support(x, y, thing).settle(x, y, thing.radius)
            if settled == (x, y):
                break
            x, y = settled
        thing.x, thing.y = x, y
        thing.z = self.surface(x, y, thing.radius - CONTACT, thing)
        self.version += 1

    def _support(self, x: float, y: float, thing: Movable) -> Obstacle:
        """The highest thing under the object."""
        others = [other for other in self.movables if other is not thing and not self._is_shut_away(other)]
        candidates: list[Obstacle] = [_TABLE, *self._obstacles, *others]
        return max(candidates, key=lambda candidate: candidate.top_at(x, y, thing.radius - CONTACT))

    def _pull(self, drawer: Drawer, dx: float) -> None:
        """Slide the drawer and what lies in it, in parts, until something stops it."""
        for _ in range(SUBSTEPS):
            opening = min(max(drawer.opening + dx / SUBSTEPS, 0.0), drawer.travel)
            moved = opening - drawer.opening
            if moved == 0.0 or self._stops(drawer, opening):
                return
            for thing in self.movables:
                if drawer.holds(thing):
                    thing.x += moved
            drawer.opening = opening
            self.gripper.x += moved
            self.version += 1

    def _stops(self, drawer: Drawer, opening: float) -> bool:
        """Whether something is in front of the opening drawer, or stands too high to go in with it."""
        if opening < drawer.opening:
            inside = [thing for thing in self.movables if drawer.mouth.contains(thing.x, thing.y)]
            return any(thing.top > drawer.cabinet.lintel for thing in inside)
        moved = Drawer(drawer.cabinet, opening)
        others = [thing for thing in self.movables if not drawer.mouth.contains(thing.x, thing.y)]
        others = [thing for thing in others if not drawer.holds(thing)]
        return any(moved.top_at(thing.x, thing.y, thing.radius) > thing.z for thing in others)


_TABLE = Zone("bare")
"""What carries an object where nothing else does: like paint, it has no height."""
