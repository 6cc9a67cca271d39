"""Actions that bring a robot of LIBERO into contact with its scene, whatever the scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_envs import spec


def exploring_actions(steps: int, seed: int = 0) -> NDArray[np.float64]:
    """Random actions (steps, 7) in [-1, 1] that every 50 steps come down to the table, grip and rise.

    Every fourth action has no rotation, for which the controller keeps its goal.

    >>> actions = exploring_actions(100)
    >>> actions[30, 2], actions[38, 6], actions[45, 2]
    (np.float64(-1.0), np.float64(1.0), np.float64(1.0))
    """
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, spec.ACTION_DIM))
    actions[::4, 3:6] = 0.0
    time = np.arange(steps) % 50
    descends, grips, rises = (time >= 20) & (time < 35), time >= 35, time >= 40
    actions[descends, 2:6] = -1.0, 0.0, 0.0, 0.0
    actions[descends, 6] = spec.GRIPPER_OPEN
    actions[grips, :3] = 0.0
    actions[grips, 6] = spec.GRIPPER_CLOSE
    actions[rises, 2] = 1.0
    return actions
