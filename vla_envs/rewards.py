"""Trajectory rewards: pure functions of how a trajectory went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_flags, check_mapping, check_number, check_numbers, shown
from vla_envs.errors import InvalidArgumentError

LARGEST_ACTION = 1e6
"""Farthest from 0 that an action may be whose square is charged; real ones are within -1..1."""


def efficiency_reward(success: ArrayLike, steps: ArrayLike, max_steps: ArrayLike) -> NDArray[np.float64]:
    """``success / (1 + steps / max_steps)``: any success beats any failure, and a fast one a slow one.

    Args:
        success: whether the trajectory solved its task.
        steps: executed control steps, settle steps excluded, in 0..max_steps.
        max_steps: the step limit of the task.

    Returns:
        0 for a failure, else a number in [0.5, 1]; the shape is that of the broadcast arguments.

    Raises:
        InvalidArgumentError: steps that are not from 0 to max_steps, or max_steps that is not a number of at least 1.

    >>> efficiency_reward([True, True, True, False], [100, 250, 500, 100], 500).round(4).tolist()
    [0.8333, 0.6667, 0.5, 0.0]
    """
    succeeded, share = check_flags("success", success), _elapsed_share(steps, max_steps)
    _check_alike(success=succeeded, steps=share)
    return succeeded / (1.0 + share)


def step_penalty(steps: ArrayLike, max_steps: ArrayLike) -> NDArray[np.float64]:
    """``-steps / max_steps``: what a trajectory took of its time, successful or not.

    Added to a success with a weight below 1 it leaves every success above every failure.

    Args:
        steps: executed control steps, settle steps excluded, in 0..max_steps.
        max_steps: the step limit of the task.

    Returns:
        [-1, 0]; the shape is that of the broadcast arguments.

    Raises:
        InvalidArgumentError: steps that are not from 0 to max_steps, or max_steps that is not a number of at least 1.

    >>> step_penalty([100, 500], 500).tolist()
    [-0.2, -1.0]
    """
    return -_elapsed_share(steps, max_steps)


def energy_penalty(actions: ArrayLike) -> NDArray[np.float64]:
    """Minus the mean square of a trajectory's actions: the effort of an average step.

    Args:
        actions: (..., T, A), within -1..1, T >= 1; leave out a gripper's dimension, which costs nothing to hold.

    Returns:
        (...) in [-1, 0].

    Raises:
        InvalidArgumentError: no step, fewer than two axes, or a number that is not finite.

    >>> float(energy_penalty([[0.5, -0.5], [0.0, 0.0]]))
    -0.125
    """
    return -np.square(_check_actions(actions)).mean(axis=(-2, -1))


def smoothness_penalty(actions: ArrayLike) -> NDArray[np.float64]:
    """Minus the mean square of half the change from one action to the next; 0 for a single action.

    Args:
        actions: (..., T, A), within -1..1, T >= 1.

    Returns:
        (...) in [-1, 0]; -1 where every action is the extreme opposite of the one before.

    Raises:
        InvalidArgumentError: no step, fewer than two axes, or a number that is not finite.

    >>> float(smoothness_penalty([[1.0], [-1.0], [-1.0]]))
    -0.5
    """
    changes = np.diff(_check_actions(actions), axis=-2) / 2.0
    return -np.square(changes).sum(axis=(-2, -1)) / max(changes.shape[-2] * changes.shape[-1], 1)


class WeightedReward(NamedTuple):
    """A reward of several objectives."""

    total: NDArray[np.float64]
    """The sum of the terms."""
    terms: dict[str, NDArray[np.float64]]
    """Each objective times its weight, to be logged apart."""


def weighted_reward(objectives: Mapping[str, ArrayLike], weights: Mapping[str, float]) -> WeightedReward:
    """The weighted sum of several objectives.

    Args:
        objectives: values by name, of shapes that broadcast, such as (n,) for a group.
        weights: a finite weight for each of them, by the same names.

    Raises:
        InvalidArgumentError: no objectives, names or shapes that do not fit, or a number that is not finite.

    >>> reward = weighted_reward({"success": [1.0, 0.0], "steps": [-0.5, -1.0]}, {"success": 1.0, "steps": 0.5})
    >>> reward.total.tolist(), reward.terms["steps"].tolist()
    ([0.75, -0.5], [-0.25, -0.5])
    """
    objectives, weights = check_mapping("objectives", objectives), check_mapping("weights", weights)
    if not objectives or set(objectives) != set(weights):
        raise InvalidArgumentError(
            f"Expect one weight for each of the objectives {list(objectives)}, actually: {list(weights)}."
        )
    factors = {name: check_number(f"weights[{name!r}]", weight) for name, weight in weights.items()}
    values = {name: check_numbers(f"objectives[{name!r}]", each) for name, each in objectives.items()}
    _check_alike(**values)
    terms = {name: factors[name] * each for name, each in values.items()}
    return WeightedReward(np.asarray(sum(terms.values())), terms)


def _elapsed_share(steps: ArrayLike, max_steps: ArrayLike) -> NDArray[np.float64]:
    steps, max_steps = check_numbers("steps", steps), check_numbers("max_steps", max_steps)
    _check_alike(steps=steps, max_steps=max_steps)
    if not (max_steps >= 1).all():
        raise InvalidArgumentError(f"Expect `max_steps` to be at least 1, actually: {shown(max_steps)}.")
    if not ((steps >= 0) & (steps <= max_steps)).all():
        raise InvalidArgumentError(
            f"Expect `steps` to be from 0 to `max_steps` ({shown(max_steps)}), actually: {shown(steps)}."
        )
    return steps / max_steps


def _check_alike(**arrays: NDArray[Any]) -> None:
    """Refuse arrays that cannot be broadcast against each other."""
    try:
        np.broadcast_shapes(*(each.shape for each in arrays.values()))
    except ValueError as error:
        shapes = " and ".join(f"`{name}` of shape {each.shape}" for name, each in arrays.items())
        raise InvalidArgumentError(f"Expect numbers that belong to each other, actually: {shapes}.") from error


def _check_actions(actions: ArrayLike) -> NDArray[np.float64]:
    checked = check_numbers("actions", actions)
    if np.abs(checked).max(initial=0.0) > LARGEST_ACTION:
        raise InvalidArgumentError(
            f"Expect `actions` within -{LARGEST_ACTION:g}..{LARGEST_ACTION:g}, actually: {np.abs(checked).max():g}."
        )
    if checked.ndim < 2 or 0 in checked.shape[-2:]:
        raise InvalidArgumentError(
            f"Expect `actions` of shape (..., T, A) with at least one step, actually: {checked.shape}."
        )
    return checked
