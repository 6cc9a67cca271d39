"""Advantages from a critic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def generalised_advantages(
    rewards: NDArray[np.floating], values: NDArray[np.floating], gamma: float, lambda_: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Generalised advantage estimation (arXiv 1506.02438) over one trajectory.

    Args:
        rewards: (T,) of each decision.
        values: (T + 1,) the critic's estimates; the last is 0 where the task ended the trajectory, and that of
            the last observation where a step limit did.
        gamma: discount of a decision.
        lambda_: weight of longer estimates.

    Returns:
        advantages (T,), and the targets of the critic (T,).

    >>> generalised_advantages(np.array([0.0, 1.0]), np.array([0.5, 0.5, 0.0]), gamma=1.0, lambda_=1.0)[0].tolist()
    [0.5, 0.5]
    """
    advantages = np.zeros(len(rewards), np.float32)
    following = 0.0
    for t in reversed(range(len(rewards))):
        error = rewards[t] + gamma * values[t + 1] - values[t]
        advantages[t] = following = error + gamma * lambda_ * following
    return advantages, advantages + values[:-1].astype(np.float32)
