"""Sampling temperatures of the trajectories of a group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError


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
    if n < 1:
        raise InvalidArgumentError(f"Expect `n` to be at least 1, actually: {n}.")
    if not (0 < base < np.inf and 0 <= spread < np.inf):
        raise InvalidArgumentError(f"Expect `base` above 0 and `spread` at least 0, actually: {base} and {spread}.")
    return np.linspace(base, base + spread, n, dtype=np.float32)
