"""Sampling temperatures of the trajectories of a group."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_integer, check_number, check_numbers, shown
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import MAX_ENVS, TEMPERATURE


def temperature_schedule(n: int, base: float = 0.6, spread: float = 0.3) -> NDArray[np.float32]:
    """``linspace(base, base + spread, n)``, and ``[base]`` for n = 1.

    Args:
        n: trajectories in the group, at least 1.
        base: lowest temperature, above 0.
        spread: highest minus lowest temperature, at least 0.

    Returns:
        float32 (n,), ascending; nothing exceeds ``base + spread``.

    Raises:
        InvalidArgumentError: an argument outside its range.

    >>> temperature_schedule(4).tolist()
    [0.6000000238418579, 0.699999988079071, 0.800000011920929, 0.8999999761581421]
    """
    n = check_integer("n", n, 1, MAX_ENVS)
    base, spread = check_number("base", base, 0.0, above=True), check_number("spread", spread, 0.0)
    return np.linspace(base, base + spread, n, dtype=np.float32)


def adapt_temperatures(
    temperatures: ArrayLike,
    diversity: float,
    target: float,
    rate: float = 0.5,
    bounds: tuple[float, float] = (0.1, 2.0),
) -> NDArray[np.float32]:
    """The next temperatures of a group: ``T * exp(rate * (target - diversity))`` within the bounds.

    Trajectories more alike than the target heat all temperatures, those farther apart cool them. Their
    ratios and their order stay, until a bound is met. Store the temperatures that sampled a trajectory with
    it: the update has to divide by the same.

    Args:
        temperatures: (n,) those that sampled the group, above 0.
        diversity: :func:`~vla_envs.group.group_diversity` of what they sampled, 0..1.
        target: the diversity to hold, 0..1.
        rate: how fast, at least 0; a group without any diversity heats by ``exp(rate * target)``.
        bounds: lowest and highest temperature, 0 < low <= high.

    Returns:
        float32 (n,).

    Raises:
        InvalidArgumentError: an argument outside its range.

    >>> adapt_temperatures([0.5, 1.0], diversity=0.1, target=0.3).astype(float).round(3).tolist()
    [0.553, 1.105]
    """
    checked = check_numbers("temperatures", temperatures)
    if not (checked > 0.0).all():
        raise InvalidArgumentError(f"Expect positive `temperatures`, actually: {shown(checked)}.")
    diversity, target = check_number("diversity", diversity, 0.0, 1.0), check_number("target", target, 0.0, 1.0)
    rate = check_number("rate", rate, 0.0)
    limits = check_numbers("bounds", bounds)
    if limits.shape != (2,) or not 0.0 < limits[0] <= limits[1]:
        raise InvalidArgumentError(f"Expect 0 < low <= high in `bounds`, actually: {bounds}.")
    return np.clip(checked * np.exp(rate * (target - diversity)), *limits).astype(np.float32)


def check_temperatures(temperatures: ArrayLike | None, n: int) -> NDArray[np.float32]:
    """The temperatures of a group of n, float32 (n,): those given, or 1 everywhere for None.

    Raises:
        InvalidArgumentError: not n positive numbers.
    """
    if temperatures is None:
        return np.ones(n, np.float32)
    with np.errstate(over="ignore"):  # too large a number is infinite, and refused below
        checked = check_numbers("temperatures", temperatures, finite=False).astype(np.float32)
    if checked.shape != (n,) or not ((checked > 0) & np.isfinite(checked)).all():
        raise InvalidArgumentError(f"Expect `temperatures` to be {n} positive numbers, actually: {shown(checked)}.")
    return checked


def with_temperature(space: spaces.Space) -> spaces.Space:
    """A space of dictionaries with the temperature in it; any other space as it is."""
    if not isinstance(space, spaces.Dict):
        return space
    return spaces.Dict({**space.spaces, TEMPERATURE: spaces.Box(0.0, np.inf, (1,), np.float32)})
