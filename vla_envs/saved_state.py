"""What is saved of a running episode, as plain data, and how it is checked before it is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import shown
from vla_envs.errors import InvalidArgumentError

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class SavedState:
    """A running episode, as :meth:`VLAEnv.save_state` gives it: numbers, strings and arrays, which can be pickled.

    Attributes:
        suite: of the environment.
        versions: of what simulates, with which alone the episode goes on bit for bit.
        prompt: the task and the initial state that the episode started from.
        elapsed_steps: executed control steps.
        ended: whether the episode is over.
        options: what ``reset`` received.
        generator: state of the generator that draws prompts.
        simulation: what the simulator goes on from.
    """

    suite: str
    versions: dict[str, str]
    prompt: tuple[int, int]
    elapsed_steps: int
    ended: bool
    options: dict[str, Any]
    generator: dict[str, Any]
    simulation: Arrays


def check_arrays(given: Mapping[str, Any], expected: Arrays) -> None:
    """Raise unless arrays have the names, shapes and types of others, and finite numbers.

    >>> check_arrays({"qpos": np.zeros(3)}, {"qpos": np.zeros(7)})
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the saved `qpos` to be float64 (7,), actually: float64 (3,).
    """
    if not isinstance(given, Mapping) or set(given) != set(expected):
        names = sorted(map(str, given)) if isinstance(given, Mapping) else given
        raise InvalidArgumentError(f"Expect the saved simulation to have {sorted(expected)}, actually: {names}.")
    for name, like in expected.items():
        array = given[name]
        if not isinstance(array, np.ndarray) or (array.shape, array.dtype) != (like.shape, like.dtype):
            actual = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else repr(array)
            raise InvalidArgumentError(
                f"Expect the saved `{name}` to be {like.dtype} {like.shape}, actually: {actual}."
            )
        if not np.isfinite(array).all():
            raise InvalidArgumentError(f"Expect every number of the saved `{name}` to be finite.")


def generator_of(state: Mapping[str, Any]) -> np.random.Generator:
    """The generator in a saved state, Gymnasium's kind.

    Raises:
        InvalidArgumentError: the state of another kind, or none.
    """
    generator = np.random.Generator(np.random.PCG64())
    try:
        generator.bit_generator.state = state
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(
            f"Expect the saved `generator` to be the state of NumPy's PCG64, actually: {shown(state)}."
        ) from error
    return generator
