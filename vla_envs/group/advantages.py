"""Advantages of the trajectories of a group: how much better each did than its siblings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_choice, check_flags, check_instance, check_number, check_numbers
from vla_envs.errors import InvalidArgumentError

STD_FLOOR = 0.05
"""Smallest standard deviation divided by, so that 100 against 102 steps stays a small difference."""

Baseline = Literal["grpo", "grpo_mean", "rloo"]
"""Estimators from rewards alone: GRPO (arXiv 2402.03300), GRPO without std (2503.20783), RLOO (2402.14740)."""

Estimator = Literal["grpo", "grpo_mean", "rloo", "grpo_nsr"]
"""The estimators of :func:`group_advantages`: the baselines, and one of them weighted as :class:`NSR` says."""


def _grpo(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    return _grpo_mean(rewards) / max(rewards.std(), STD_FLOOR)


def _grpo_mean(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    return rewards - rewards.mean()


def _rloo(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    return rewards - others


_BASELINES: dict[Baseline, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "grpo": _grpo,
    "grpo_mean": _grpo_mean,
    "rloo": _rloo,
}


@dataclass(frozen=True)
class NSR:
    """Negative sample reinforcement: how ``"grpo_nsr"`` weighs the advantages of correct and incorrect trajectories.

    The default weights are those of W-REINFORCE (arXiv 2506.01347): what was wrong is pushed away in full, what was
    right is reinforced a little, which keeps the policy diverse.

    Raises:
        InvalidArgumentError: a weight that is negative or not finite, a threshold that is not finite, or an unknown
            baseline.
    """

    positive_weight: float = 0.1
    """The factor on the advantages of correct trajectories, at least 0."""
    negative_weight: float = 1.0
    """The factor on the advantages of incorrect trajectories, at least 0."""
    correctness_threshold: float | None = None
    """A trajectory is correct if its score, the reward before penalties, is at least this; None takes the environment's
    success instead. In the paper scores are 0 or 1, so that every threshold in (0, 1] means the same; an efficient
    success scores at least 0.5."""
    baseline: Baseline = "grpo"
    """The estimator whose advantages are weighted: ``grpo`` divides by the standard deviation of the group,
    ``grpo_mean`` only subtracts its mean, ``rloo`` subtracts the mean of the others."""

    def __post_init__(self) -> None:
        check_choice("baseline", self.baseline, get_args(Baseline))
        for name in ("positive_weight", "negative_weight"):
            check_number(name, getattr(self, name), 0.0)
        if self.correctness_threshold is not None:
            check_number("correctness_threshold", self.correctness_threshold)

    def weights(self, scores: ArrayLike, success: ArrayLike | None = None) -> NDArray[np.float64]:
        """The factor on the advantage of each trajectory.

        Args:
            scores: (..., n) what ``correctness_threshold`` is compared with.
            success: bool (..., n), needed where there is no threshold.

        Raises:
            InvalidArgumentError: ``success`` is needed, and missing or not of the scores' shape, or a score is not
                finite.

        >>> NSR(correctness_threshold=0.5).weights([0.5, 0.4]).tolist()
        [0.1, 1.0]
        """
        scores = check_numbers("scores", scores, booleans=True)
        if self.correctness_threshold is None:
            correct = _check_success(success, scores.shape)
        else:
            correct = scores >= self.correctness_threshold
        return np.where(correct, self.positive_weight, self.negative_weight)


W_REINFORCE = NSR()
"""The weights of W-REINFORCE on GRPO's advantages, with the environment's success as correctness."""


def group_advantages(
    rewards: ArrayLike,
    estimator: Estimator = "grpo",
    success: ArrayLike | None = None,
    *,
    scores: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    nsr: NSR = W_REINFORCE,
) -> NDArray[np.float64]:
    """One advantage per trajectory, from the rewards of its group.

    std is the population's. verl divides by the sample's plus 1e-6 and has no floor: above the floor its
    advantages are these times ``sqrt((n - 1) / n)``, but for those 1e-6.

    Args:
        rewards: (..., n) trajectory rewards; the last axis is the group, n >= 2.
        estimator: ``"grpo"`` ``(r - mean) / max(std, 0.05)``, ``"grpo_mean"`` ``r - mean``,
            ``"rloo"`` ``r - mean of the others``, or ``"grpo_nsr"``, one of these times the weights of ``nsr``.
        success: bool (..., n), for ``"grpo_nsr"`` without a threshold: what the environment says, whatever the rewards.
        scores: (..., n) what the threshold of ``nsr`` is compared with: rewards before any penalty. None takes the
            rewards.
        mask: bool (..., n), which trajectories have a reward; where a vote abstained, they have none. The others are
            compared with nobody. None compares all.
        nsr: the weights of ``"grpo_nsr"``.

    Returns:
        (..., n); zero where all rewards of a group are equal, where the mask is False, and where it leaves a group
        fewer than two trajectories.

    Raises:
        InvalidArgumentError: an unknown estimator, fewer than two trajectories without a mask, ``success`` missing,
            ``success``, ``scores`` or ``mask`` not of the rewards' shape, or a reward or score that is compared and
            not finite.

    >>> group_advantages([1.0, 0.0, 0.0, 1.0]).tolist()
    [1.0, -1.0, -1.0, 1.0]
    >>> group_advantages([1.0, 0.0, 0.0, 1.0], "grpo_nsr", success=[True, False, False, True]).tolist()
    [0.1, -1.0, -1.0, 0.1]
    >>> group_advantages([1.0, 0.0, 0.0], mask=[True, True, False]).tolist()
    [1.0, -1.0, 0.0]
    """
    check_choice("estimator", estimator, get_args(Estimator))
    check_instance("nsr", nsr, NSR)
    rewards = check_numbers("rewards", rewards, booleans=True, finite=False)
    if rewards.ndim == 0 or (mask is None and rewards.shape[-1] < 2):
        raise InvalidArgumentError(
            f"Expect `rewards` to have at least 2 trajectories a group, actually shape: {rewards.shape}."
        )
    compared = np.ones(rewards.shape, bool) if mask is None else check_flags("mask", mask)
    _check_shape("mask", compared, rewards.shape)
    check_numbers("rewards", rewards[compared])
    estimate = _BASELINES[nsr.baseline if estimator == "grpo_nsr" else estimator]
    advantages = np.zeros(rewards.shape)
    for group in np.ndindex(rewards.shape[:-1]):
        given = rewards[group][compared[group]]
        # Rounding leaves 1e-16 where the rewards are equal, which a caller could take for a signal.
        if len(given) >= 2 and has_signal(given):
            advantages[group][compared[group]] = estimate(given)
    if estimator == "grpo_nsr":
        scores = rewards if scores is None else check_numbers("scores", scores, booleans=True, finite=False)
        _check_shape("scores", scores, rewards.shape)
        advantages *= nsr.weights(np.where(compared, scores, 0.0), success)
    return advantages


def has_signal(rewards: ArrayLike) -> NDArray[np.bool_]:
    """Whether the rewards of a group differ: equal ones give no advantage, so no gradient.

    Args:
        rewards: (..., n); the last axis is the group.

    Returns:
        bool (...).

    Raises:
        InvalidArgumentError: a reward that is not finite, of which nobody could say whether it differs.

    >>> has_signal([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]).tolist()
    [False, True]
    """
    checked = check_numbers("rewards", rewards, booleans=True)
    if 0 in (checked.ndim, checked.size):
        raise InvalidArgumentError(f"Expect `rewards` of at least one trajectory, actually shape: {checked.shape}.")
    return np.asarray(np.ptp(checked, axis=-1) > 0.0)


def _check_shape(name: str, values: NDArray, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise InvalidArgumentError(f"Expect `{name}` of the rewards' shape {shape}, actually: {values.shape}.")


def _check_success(success: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    checked = check_flags("success", [] if success is None else success)
    if checked.shape != shape:
        raise InvalidArgumentError(
            f"Expect `success` of shape {shape} for the estimator 'grpo_nsr' without a `correctness_threshold`, "
            "because a reward does not tell a success from a failure, "
            f"actually: {None if success is None else checked.shape}."
        )
    return checked
