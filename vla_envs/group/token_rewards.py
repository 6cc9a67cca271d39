"""From one score per trajectory to one reward per token, as token-level trainers take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidArgumentError


def token_level_rewards(
    scores: ArrayLike, mask: ArrayLike, log_ratio: ArrayLike | None = None, kl_coef: float = 0.0
) -> NDArray[np.float64]:
    """Each trajectory's score on its own last valid token, less a KL penalty on every valid one.

    The sums over the tokens are what :func:`~vla_envs.group.group_advantages` compares (InstructGPT,
    arXiv 2203.02155, and ``use_kl_in_reward`` of verl). Penalise here or in the loss, never in both.

    Args:
        scores: (n,) rewards of whole trajectories.
        mask: bool (n, T), True for tokens that count; at least one of each trajectory.
        log_ratio: (n, T) log pi - log pi_ref of the sampled tokens, needed where ``kl_coef`` is not 0.
        kl_coef: beta, at least 0.

    Returns:
        (n, T), zero where the mask is False.

    Raises:
        InvalidArgumentError: shapes that do not fit, a trajectory without a valid token, a negative
            ``kl_coef``, or one above 0 without ``log_ratio``.

    >>> token_level_rewards([1.0, 0.5], [[1, 1, 0], [1, 1, 1]]).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.5]]
    """
    scores, mask = np.asarray(scores, np.float64), np.asarray(mask, bool)
    if mask.ndim != 2 or scores.shape != mask.shape[:1] or not mask.any(axis=-1).all():
        raise InvalidArgumentError(
            "Expect `mask` of shape (n, T) with a valid token for each of n `scores`, "
            f"actually: {mask.tolist()} for scores of shape {scores.shape}."
        )
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    rewards = np.zeros(mask.shape)
    rewards[np.arange(len(scores)), last] = scores
    return rewards - _kl_penalty(log_ratio, mask, kl_coef)


def _kl_penalty(log_ratio: ArrayLike | None, mask: NDArray[np.bool_], kl_coef: float) -> NDArray[np.float64]:
    if kl_coef == 0.0:
        return np.zeros(mask.shape)
    checked = np.asarray([] if log_ratio is None else log_ratio, np.float64)
    if kl_coef < 0.0 or checked.shape != mask.shape:
        raise InvalidArgumentError(
            f"Expect `kl_coef` of at least 0 with `log_ratio` of shape {mask.shape}, "
            f"actually: {kl_coef} with shape {None if log_ratio is None else checked.shape}."
        )
    # Padding may hold anything, nan too.
    return kl_coef * np.where(mask, checked, 0.0)
