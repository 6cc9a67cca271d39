"""Trajectory rewards: pure functions of how a trajectory went."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidArgumentError


def efficiency_reward(success: ArrayLike, steps: ArrayLike, max_steps: ArrayLike) -> NDArray[np.float64]:
    """``success / (1 + steps / max_steps)``: any success beats any failure, and a fast one a slow one.

    Args:
        success: whether the trajectory solved its task.
        steps: executed control steps, settle steps excluded, in 0..max_steps.
        max_steps: the step limit of the task.

    Returns:
        0 for a failure, else a number in [0.5, 1]; the shape is that of the broadcast arguments.

    Raises:
        InvalidArgumentError: steps below 0 or above max_steps, or max_steps below 1.

    >>> efficiency_reward([True, True, True, False], [100, 250, 500, 100], 500).round(4).tolist()
    [0.8333, 0.6667, 0.5, 0.0]
    """
    success, steps, max_steps = np.asarray(success, bool), np.asarray(steps), np.asarray(max_steps)
    if np.any(max_steps < 1):
        raise InvalidArgumentError(f"Expect `max_steps` to be at least 1, actually: {max_steps.tolist()}.")
    if np.any((steps < 0) | (steps > max_steps)):
        raise InvalidArgumentError(
            f"Expect `steps` to be from 0 to `max_steps` ({max_steps.tolist()}), actually: {steps.tolist()}."
        )
    return success / (1.0 + steps / max_steps)
