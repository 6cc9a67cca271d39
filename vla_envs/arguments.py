"""Checks of arguments: each returns the value in one type, or names what was given and what is valid."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError, VLAEnvsError


def check_choice(
    name: str, value: Any, valid: Iterable[Any], error: type[InvalidArgumentError] = InvalidArgumentError
) -> None:
    """Raise ``error`` unless ``value`` is one of ``valid``, naming all three.

    >>> check_choice("split", "test", ("train", "eval"))
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `split` to be one of 'train', 'eval', actually: 'test'.
    """
    valid = tuple(valid)
    if value not in valid:
        choices = ", ".join(repr(choice) for choice in valid)
        raise error(f"Expect the `{name}` to be one of {choices}, actually: {value!r}.")


def check_integer(
    name: str,
    value: Any,
    lowest: int,
    highest: int | None = None,
    error: type[InvalidArgumentError] = InvalidArgumentError,
    *,
    of: str = "",
) -> int:
    """Return ``value`` as an int, or raise ``error`` unless it is an integer, NumPy's too, in this range.

    A bool and a float are none, whole or not: they come from a mistake. ``of`` says in the error whose number it is.

    >>> check_integer("length", True, 1)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `length` to be an integer of at least 1, actually: True.
    """
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not integer or value < lowest or (highest is not None and value > highest):
        valid = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise error(
            f"Expect the `{name}`{of and f' of {of}'} to be an integer {valid}, actually: {reprlib.repr(value)}."
        )
    return int(value)


def check_number(name: str, value: Any, lowest: float, highest: float) -> float:
    """Return ``value`` as a float, or raise unless it is a number from ``lowest`` to ``highest``, which NaN is not.

    >>> check_number("p", float("nan"), 0, 1)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `p` to be a number from 0 to 1, actually: nan.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (number and lowest <= value <= highest):
        raise InvalidArgumentError(
            f"Expect the `{name}` to be a number from {lowest} to {highest}, actually: {value!r}."
        )
    return float(value)


def check_numbers(name: str, value: Any, error: type[VLAEnvsError] = InvalidArgumentError) -> NDArray[np.float64]:
    """Return ``value`` as a new float64 array, or raise ``error`` unless it is an array of finite real numbers.

    Texts, objects and rows of different lengths are none, although NumPy makes numbers of some.

    >>> check_numbers("action", ["0.5", "1"])
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `action` to be finite numbers, actually: ['0.5', '1'].
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths; a tensor that needs a gradient
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        given = value.tolist() if isinstance(value, np.ndarray) else value
        raise error(f"Expect the `{name}` to be finite numbers, actually: {reprlib.repr(given)}.")
    return array.astype(np.float64)
