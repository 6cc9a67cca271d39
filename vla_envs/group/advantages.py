"""Advantages of the trajectories of a group: how much better each did than its siblings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidArgumentError, check_choice

STD_FLOOR = 0.05
"""Smallest standard deviation divided by, so that 100 against 102 steps stays a small difference."""


def _grpo(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    return _grpo_mean(rewards) / np.maximum(rewards.std(axis=-1, keepdims=True), STD_FLOOR)


def _grpo_mean(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    return rewards - rewards.mean(axis=-1, keepdims=True)


def _rloo(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    n = rewards.shape[-1]
    others = (rewards.sum(axis=-1, keepdims=True) - rewards) / (n - 1)
    return rewards - others


ESTIMATORS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "grpo": _grpo,
    "grpo_mean": _grpo_mean,
    "rloo": _rloo,
}
"""Group estimators by name: GRPO (arXiv 2402.03300), GRPO without std (2503.20783), RLOO (2402.14740)."""


def group_advantages(rewards: ArrayLike, estimator: str = "grpo") -> NDArray[np.float64]:
    """One advantage per trajectory, from the rewards of its group.

    Args:
        rewards: (..., n) trajectory rewards; the last axis is the group, n >= 2.
        estimator: ``"grpo"`` ``(r - mean) / max(std, 0.05)``, ``"grpo_mean"`` ``r - mean`` or
            ``"rloo"`` ``r - mean of the others``. std is the population's.

    Returns:
        (..., n); zero where all rewards of a group are equal.

    Raises:
        InvalidArgumentError: an unknown estimator, or fewer than two trajectories.

    >>> group_advantages([1.0, 0.0, 0.0, 1.0]).tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    check_choice("estimator", estimator, ESTIMATORS)
    rewards = np.asarray(rewards, np.float64)
    if rewards.ndim == 0 or rewards.shape[-1] < 2:
        raise InvalidArgumentError(
            f"Expect `rewards` to have at least 2 trajectories a group, actually shape: {rewards.shape}."
        )
    # Rounding leaves 1e-16 where the rewards are equal, which a caller could take for a signal.
    equal = np.ptp(rewards, axis=-1, keepdims=True) == 0.0
    return np.where(equal, 0.0, ESTIMATORS[estimator](rewards))
