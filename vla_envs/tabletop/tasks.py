"""The tasks of the suite: instruction, scene, goals and step limit."""

from __future__ import annotations

from dataclasses import dataclass

from vla_envs.tabletop.goals import DrawerClosed, DrawerOpen, Goal, Rests

SINGLE = 80
"""Step limit of tasks with one goal."""
DOUBLE = 120
"""Step limit of tasks with two goals."""


@dataclass(frozen=True)
class Task:
    """A task; its goals have to be met at once, and are reached one after the other."""

    instruction: str
    scene: str
    goals: tuple[Goal, ...]

    @property
    def max_steps(self) -> int:
        """Step limit in control steps."""
        return SINGLE if len(self.goals) == 1 else DOUBLE


TASKS = (
    Task("put the red cube on the blue plate", "plates", (Rests("red cube", "blue plate"),)),
    Task("put the green cube on the blue plate", "plates", (Rests("green cube", "blue plate"),)),
    Task("put the red cube on the white plate", "plates", (Rests("red cube", "white plate"),)),
    Task("put the green cube on the white plate", "plates", (Rests("green cube", "white plate"),)),
    Task("put the yellow ball in the bowl", "bowl", (Rests("yellow ball", "white bowl"),)),
    Task("put the yellow cube in the bowl", "bowl", (Rests("yellow cube", "white bowl"),)),
    Task("put the purple cylinder on the green square", "bowl", (Rests("purple cylinder", "green square"),)),
    Task("stack the red cube on the blue cube", "blocks", (Rests("red cube", "blue cube"),)),
    Task("stack the green cube on the red cube", "blocks", (Rests("green cube", "red cube"),)),
    Task("open the drawer", "closed drawer", (DrawerOpen(),)),
    Task("put the orange cylinder on top of the cabinet", "closed drawer", (Rests("orange cylinder", "cabinet"),)),
    Task(
        "open the drawer and put the blue cube in it",
        "closed drawer",
        (DrawerOpen(), Rests("blue cube", "drawer")),
    ),
    Task("close the drawer", "open drawer", (DrawerClosed(),)),
    Task("put the red ball in the drawer", "open drawer", (Rests("red ball", "drawer"),)),
    Task("put the red cube in the drawer", "open drawer", (Rests("red cube", "drawer"),)),
    Task(
        "put both the red cube and the green cube on the white plate",
        "plates",
        (Rests("red cube", "white plate"), Rests("green cube", "white plate")),
    ),
)
