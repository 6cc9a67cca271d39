"""Advantages of the trajectories of a group: how much better each did than its siblings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidArgumentError, check_choice

STD_FLOOR = 0.05
"""Smallest standard deviation divided by, so that 100 against 102 steps stays a small difference."""

NSR = "grpo_nsr"
"""GRPO whose successes weigh less, after W-REINFORCE (arXiv 2506.01347); it needs to know who succeeded."""
NSR_POSITIVE_WEIGHT, NSR_NEGATIVE_WEIGHT = 0.1, 1.0
"""Weights of the advantages of successes and of failures in W-REINFORCE."""


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
"""Estimators from rewards alone: GRPO (arXiv 2402.03300), GRPO without std (2503.20783), RLOO (2402.14740)."""


def group_advantages(
    rewards: ArrayLike, estimator: str = "grpo", success: ArrayLike | None = None
) -> NDArray[np.float64]:
    """One advantage per trajectory, from the rewards of its group.

    std is the population's. verl divides by the sample's plus 1e-6 and has no floor: above the floor its
    advantages are these times ``sqrt((n - 1) / n)``, but for those 1e-6.

    Args:
        rewards: (..., n) trajectory rewards; the last axis is the group, n >= 2.
        estimator: ``"grpo"`` ``(r - mean) / max(std, 0.05)``, ``"grpo_mean"`` ``r - mean``,
            ``"rloo"`` ``r - mean of the others``, or ``"grpo_nsr"``, which is ``"grpo"`` with the advantages
            of successes times 0.1.
        success: bool (..., n), for ``"grpo_nsr"`` alone: what the environment says, whatever the rewards.

    Returns:
        (..., n); zero where all rewards of a group are equal.

    Raises:
        InvalidArgumentError: an unknown estimator, fewer than two trajectories, or ``success`` missing or not
            of the rewards' shape.

    >>> group_advantages([1.0, 0.0, 0.0, 1.0]).tolist()
    [1.0, -1.0, -1.0, 1.0]
    >>> group_advantages([1.0, 0.0, 0.0, 1.0], "grpo_nsr", success=[True, False, False, True]).tolist()
    [0.1, -1.0, -1.0, 0.1]
    """
    check_choice("estimator", estimator, (*ESTIMATORS, NSR))
    rewards = np.asarray(rewards, np.float64)
    if rewards.ndim == 0 or rewards.shape[-1] < 2:
        raise InvalidArgumentError(
            f"Expect `rewards` to have at least 2 trajectories a group, actually shape: {rewards.shape}."
        )
    # Rounding leaves 1e-16 where the rewards are equal, which a caller could take for a signal.
    equal = np.ptp(rewards, axis=-1, keepdims=True) == 0.0
    if estimator == NSR:
        return np.where(equal, 0.0, _nsr_weights(success, rewards.shape) * _grpo(rewards))
    return np.where(equal, 0.0, ESTIMATORS[estimator](rewards))


def _nsr_weights(success: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    checked = np.asarray([] if success is None else success, bool)
    if checked.shape != shape:
        raise InvalidArgumentError(
            f"Expect `success` of shape {shape} for the estimator 'grpo_nsr', because a reward does not tell a "
            f"success from a failure, actually: {None if success is None else checked.shape}."
        )
    return np.where(checked, NSR_POSITIVE_WEIGHT, NSR_NEGATIVE_WEIGHT)
