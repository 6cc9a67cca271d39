"""What of an action ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray


def executed_actions(space: spaces.Box, action: ArrayLike, info: Mapping[str, Any]) -> NDArray[Any]:
    """The control actions (n, A) of an action (A,) or chunk (K, A) that ran, clipped to the space.

    Args:
        space: the action space, of shape (A,) or (K, A).
        action: what ``step`` got.
        info: what ``step`` gave; its ``executed_actions`` says how many of a chunk ran, without it all did.

    >>> chunks = spaces.Box(-1, 1, (3, 2))
    >>> executed_actions(chunks, [[0.5, 2.0], [0.0, 0.0], [1.0, 1.0]], {"executed_actions": 1}).tolist()
    [[0.5, 1.0]]
    """
    clipped = np.clip(np.asarray(action, space.dtype), space.low, space.high)
    return np.atleast_2d(clipped)[: info.get("executed_actions")]
