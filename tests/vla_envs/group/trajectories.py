"""Finished trajectories for the tests of votes, and strategies that draw them."""

import numpy as np
from hypothesis import strategies as st

from vla_envs.group import Trajectory


def make_group(success, **columns):
    """A group of trajectories of 10 of 80 steps; further fields by name, a list each."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [
        Trajectory(**{"success": bool(won), "steps": 10, "max_steps": 80, "task_reward": float(won), "index": i, **row})
        for i, (won, row) in enumerate(zip(success, rows or [{}] * len(success), strict=True))
    ]


def ending_at(*points):
    """A group whose final states are these points; None for one that was not recorded."""
    states = [None if point is None else np.atleast_1d(np.asarray(point, float)) for point in points]
    return make_group([False] * len(points), final_state=states)


successes = st.lists(st.booleans(), min_size=1, max_size=12)
outcomes = st.lists(st.one_of(st.none(), st.booleans(), st.integers(2, 4)), max_size=12)
