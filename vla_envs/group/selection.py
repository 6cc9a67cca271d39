"""Which trajectories of a group to train on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_choice, check_flags, check_integer, generator, shown
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.trajectory import Trajectory, check_trajectories, pairwise_distances
from vla_envs.rewards import efficiency_reward

Selection = Literal["first", "random", "majority_first", "efficiency", "diversity"]
"""Criteria of :func:`select_top_k`; only the first two leave the estimate of the gradient unbiased."""


def select_top_k(
    trajectories: Sequence[Trajectory],
    k: int,
    by: Selection = "first",
    *,
    agrees: ArrayLike | None = None,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.int64]:
    """The places of the k best trajectories of a group, best first.

    Args:
        trajectories: the group.
        k: how many, 1..n.
        by: ``"first"`` as sampled; ``"random"``; ``"majority_first"`` those that agree with the vote, then the
            others; ``"efficiency"`` success before failure and fast before slow; ``"diversity"`` greedily
            the one farthest from those already chosen, by :func:`~vla_envs.group.trajectory.action_distance`.
            Among equals the first wins.
        agrees: bool (n,), for ``"majority_first"`` alone: who agrees with the vote.
        rng: generator or seed, for ``"random"`` alone.

    Returns:
        int64 (k,), each place once.

    Raises:
        InvalidArgumentError: an unknown criterion, k outside 1..n, ``agrees`` missing or not of the group's
            size, or actions missing for ``"diversity"``.

    >>> group = [Trajectory(True, steps, 80, 1.0) for steps in (60, 20, 40)]
    >>> select_top_k(group, 2, by="efficiency").tolist()
    [1, 2]
    """
    check_choice("by", by, get_args(Selection))
    n = len(check_trajectories(trajectories))
    k = check_integer("k", k, 1, n)
    if by == "random":
        return generator("rng", rng).permutation(n)[:k]
    if by == "diversity":
        return _farthest_first(pairwise_distances(trajectories), k)
    if by == "majority_first":
        return _descending(_check_agrees(agrees, n))[:k]
    return (_descending(_efficiency(trajectories)) if by == "efficiency" else np.arange(n))[:k]


def _descending(values: NDArray) -> NDArray[np.int64]:
    return np.argsort(-values.astype(np.float64), kind="stable")


def _efficiency(trajectories: Sequence[Trajectory]) -> NDArray[np.float64]:
    return efficiency_reward(*np.array([(each.success, each.steps, each.max_steps) for each in trajectories]).T)


def _check_agrees(agrees: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    checked = check_flags("agrees", [] if agrees is None else agrees)
    if checked.shape != (n,):
        raise InvalidArgumentError(
            f"Expect `agrees` to be {n} booleans for by='majority_first', actually: {shown(checked)}."
        )
    return checked


def _farthest_first(distances: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    chosen = [int(distances.sum(axis=1).argmax())]
    while len(chosen) < k:
        nearest = distances[:, chosen].min(axis=1)
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return np.array(chosen, np.int64)
