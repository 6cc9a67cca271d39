"""A task's goal, judged by the official predicates on a simulation of our own."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import mujoco

Lamps = dict[int, bool]
"""Site id -> whether it is shown: the glow of a stove's burner."""


class Goal:
    """Evaluates the official goal and the stove's burner on ``data``.

    Args:
        problem: the official environment object of the task; a shallow copy of it is bound to ``data``.
    """

    def __init__(self, problem: Any) -> None:
        official = type(problem.sim.data)(problem.sim.model)
        self.data: mujoco.MjData = official._data
        """The data that is judged: simulate in it."""
        self._problem = copy.copy(problem)
        self._problem.sim = SimpleNamespace(model=problem.sim.model, data=official)
        states = {name: copy.copy(state) for name, state in problem.object_states_dict.items()}
        for state in states.values():
            state.env = self._problem
        self._problem.object_states_dict = states
        self._stoves = [states[state.object_name] for state in problem.tracking_object_states_change]

    def reached(self) -> bool:
        """Whether all of the goal's predicates hold."""
        return bool(self._problem._check_success())

    def lamps(self) -> Lamps:
        """Which burners glow, by the positions of their knobs."""
        lamps = {}
        for stove in self._stoves:
            stove.update_state()
            sites = self._problem.get_object(stove.object_name).object_properties["vis_site_names"]
            for name, shown in sites.values():
                lamps[self._problem.sim.model.site_name2id(name)] = shown
        return lamps
