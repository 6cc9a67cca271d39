"""Actions as OpenVLA's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_flags, check_integers, check_numbers
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.wrappers.checks import actions_of

BINS = 256
"""Action tokens."""

_EDGES = np.linspace(-1.0, 1.0, BINS)
_CENTERS = (_EDGES[:-1] + _EDGES[1:]) / 2


def bin_centers(tokens: ArrayLike) -> NDArray[np.float64]:
    """The numbers in [-1, 1] that action tokens mean: OpenVLA's 255 centers, in falling order.

    Token ``t`` is vocabulary id ``31744 + t``, the slot ``t`` of the 256 action logits. 256 edges bound 255
    bins, so that tokens 0 and 1 share the highest (openvla/openvla, ``prismatic/vla/action_tokenizer.py``).

    Raises:
        InvalidArgumentError: something else than integers from 0 to 255.

    >>> bin_centers([0, 1, 128, 255]).round(4).tolist()
    [0.9961, 0.9961, 0.0, -0.9961]
    """
    return _CENTERS[np.minimum(BINS - 1 - check_integers("tokens", tokens, 0, BINS - 1), BINS - 2)]


def nearest_tokens(values: ArrayLike) -> NDArray[np.int64]:
    """The action tokens of numbers, clipped to [-1, 1]: the inverse of :func:`bin_centers`.

    Raises:
        InvalidArgumentError: something else than finite numbers.

    >>> nearest_tokens([1.0, 0.9999, 0.0, -1.0]).tolist()
    [0, 1, 128, 255]
    """
    return BINS - np.digitize(np.clip(check_numbers("values", values), -1.0, 1.0), _EDGES)


class DiscretizeActions(gym.ActionWrapper, gym.utils.RecordConstructorArgs):
    """Takes OpenVLA's action tokens, 0 to 255 for each number of an action, instead of the numbers.

    The action space becomes ``MultiDiscrete`` of 256 in the shape of the action, (A,) or the (K, A) or (K * A,) of an
    :class:`ActionChunk`, or ``Discrete(256)`` where an action is one number. A token is the center ``n`` of
    its bin (:func:`bin_centers`), which the quantiles of a checkpoint's training data put into the units of
    the environment: ``0.5 * (n + 1) * (q99 - q01) + q01`` where ``mask`` is True, and ``n`` where it is False.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment with a Box action space (A,) or (K, A).
        q01: (A,) 1 % quantiles; None, with ``q99``, takes ``n`` everywhere, for an action space within [-1, 1].
        q99: (A,) 99 % quantiles, none below those of ``q01``.
        mask: (A,) bool, which numbers are scaled; None scales all of them.

    Raises:
        InvalidArgumentError: another kind of action space, quantiles or a mask of another length or order, no
            quantiles for an action space beyond [-1, 1].

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import ActionChunk, DiscretizeActions
        >>> env = DiscretizeActions(ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0), 8))
        >>> env.action_space.shape
        (8, 7)
        >>> _ = env.reset(seed=0)
        >>> *_, info = env.step(env.action_space.sample())
        >>> int(info["executed_actions"])
        8
    """

    def __init__(
        self,
        env: gym.Env,
        q01: Sequence[float] | None = None,
        q99: Sequence[float] | None = None,
        mask: Sequence[bool] | None = None,
    ) -> None:
        space = actions_of(env)
        low, high, scaled = _check_quantiles(space, q01, q99, mask)
        # As lists, which a spec can write as JSON.
        gym.utils.RecordConstructorArgs.__init__(self, q01=_listed(q01), q99=_listed(q99), mask=_listed(mask))
        gym.ActionWrapper.__init__(self, env)
        self._low, self._range, self._scaled = low, high - low, scaled
        self._box = space
        shape: Any = env.action_space.shape
        is_number = np.prod(space.shape) == 1
        self.action_space = spaces.Discrete(BINS) if is_number else spaces.MultiDiscrete(np.full(shape, BINS))

    def action(self, action: ArrayLike) -> NDArray[Any]:
        """The action that tokens mean, in the units, shape and dtype of the environment's action space.

        Raises:
            InvalidActionError: another shape, or something else than integers from 0 to 255.
        """
        tokens = check_integers("tokens", action, 0, BINS - 1, InvalidActionError)
        if tokens.shape != self.action_space.shape:
            raise InvalidActionError(
                f"Expect the tokens to have shape {self.action_space.shape}, actually: {tokens.shape}."
            )
        centers = bin_centers(tokens).reshape(self._box.shape)
        actions = np.where(self._scaled, 0.5 * (centers + 1.0) * self._range + self._low, centers)
        return actions.astype(self._box.dtype).reshape(self.env.action_space.shape)

    def tokens(self, action: ArrayLike) -> NDArray[np.int64]:
        """The tokens of an action, clipped to the quantiles: what :meth:`step` takes to repeat a demonstration.

        Raises:
            InvalidActionError: something else than the numbers of an action.
        """
        numbers = check_numbers("action", action, InvalidActionError)
        if numbers.size != np.prod(self._box.shape):
            raise InvalidActionError(f"Expect an action of shape {self._box.shape}, actually: {numbers.shape}.")
        action = numbers.reshape(self._box.shape)
        # The small number is OpenVLA's own, for data in which a number never changes.
        scaled = 2.0 * (action - self._low) / (self._range + 1e-8) - 1.0
        return nearest_tokens(np.where(self._scaled, scaled, action)).reshape(self.action_space.shape)


def _listed(values: ArrayLike | None) -> Any:
    return None if values is None else np.asarray(values).tolist()


def _check_quantiles(
    space: spaces.Box, q01: Sequence[float] | None, q99: Sequence[float] | None, mask: Sequence[bool] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Quantiles and mask, each (A,); without quantiles nothing is scaled."""
    dim = space.shape[-1]
    if q01 is None and q99 is None and mask is None:
        if (space.low < -1).any() or (space.high > 1).any():
            raise InvalidArgumentError(f"Expect `q01` and `q99` for an action space beyond [-1, 1]: {space}.")
        return np.zeros(dim), np.zeros(dim), np.zeros(dim, bool)
    low, high = check_numbers("q01", q01), check_numbers("q99", q99)
    scaled = np.ones(dim, bool) if mask is None else check_flags("mask", mask)
    if not low.shape == high.shape == scaled.shape == (dim,) or not (np.isfinite(high - low) & (low <= high)).all():
        raise InvalidArgumentError(
            f"Expect `q01` <= `q99` to be {dim} finite numbers each, and the `mask` {dim} booleans, "
            f"actually: {q01}, {q99}, {mask}."
        )
    return low, high, scaled
