"""Which tasks of LIBERO share a scene: the same things at the same places, drawn from the same regions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vla_envs.libero.suites import SUITES, Task

if TYPE_CHECKING:  # it needs MuJoCo, which an import does not
    from vla_envs.libero.goal import Goal

TASK_SECTIONS = (":language", ":obj_of_interest", ":goal")
"""Sections of a BDDL file that say what to do; all others say what stands where."""


@cache
def scene_tasks(suite: str, task_id: int) -> tuple[int, ...]:
    """The tasks of a suite whose scene is that of ``task_id``, itself included.

    All of ``libero_goal`` share one scene, ``libero_90`` has 20 scenes and ``libero_10`` one pair of
    tasks; every task of ``libero_spatial`` and ``libero_object`` places its things in its own way.
    """
    tasks = SUITES[suite].tasks
    return tuple(index for index, task in enumerate(tasks) if _scene(task) == _scene(tasks[task_id]))


@cache
def goal_of(task: Task, assets: Path) -> Goal:
    """The task's goal, kept when its compiled model is let go: in numbers that hold for its whole scene."""
    from vla_envs.libero.builder import compile_task

    return compile_task(task, assets).goal


@cache
def _scene(task: Task) -> tuple[tuple[str, ...], ...]:
    words = re.findall(r"[()]|[^()\s]+", task.bddl_file.read_text())
    return tuple(section for section in _sections(words) if section[1] not in TASK_SECTIONS)


def _sections(words: list[str]) -> Iterator[tuple[str, ...]]:
    """The lists of a BDDL file one level below its outermost.

    >>> list(_sections("( define ( :goal ( Open drawer ) ) )".split()))
    [('(', ':goal', '(', 'Open', 'drawer', ')', ')')]
    """
    depth, start = 0, 0
    for index, word in enumerate(words):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "(" and depth == 2:
            start = index
        if word == ")" and depth == 1:
            yield tuple(words[start : index + 1])
