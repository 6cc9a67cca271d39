"""Checks of arguments: each returns the value in one type, or names what was given and what is valid."""

from __future__ import annotations

import math
import os
import reprlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError, VLAEnvsError

Error = type[VLAEnvsError]


def check_choice(name: str, value: Any, valid: Iterable[Any], error: Error = InvalidArgumentError) -> None:
    """Raise ``error`` unless ``value`` is one of ``valid``, naming all three.

    >>> check_choice("split", "test", ("train", "eval"))
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `split` to be one of 'train', 'eval', actually: 'test'.
    """
    valid = tuple(valid)
    if not isinstance(value, (str, type(None))) or value not in valid:  # an array is compared element by element
        raise error(f"Expect the `{name}` to be one of {', '.join(map(repr, valid))}, actually: {shown(value)}.")


def check_integer(
    name: str, value: Any, lowest: int, highest: int | None = None, error: Error = InvalidArgumentError, *, of: str = ""
) -> int:
    """Return ``value`` as an int, or raise ``error`` unless it is an integer, NumPy's too, in this range.

    A bool and a float are none, whole or not: they come from a mistake. ``of`` says in the error whose number it is.

    >>> check_integer("length", True, 1)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `length` to be an integer of at least 1, actually: True.
    """
    if is_integer(value) and int(value) >= lowest and (highest is None or int(value) <= highest):
        return int(value)
    valid = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
    raise error(f"Expect the `{name}`{of and f' of {of}'} to be an integer {valid}, actually: {shown(value)}.")


def check_seed(seed: Any) -> int | None:
    """Return a seed as Gymnasium takes it, an int of at least 0 or None, or raise InvalidArgumentError."""
    return None if seed is None else check_integer("seed", seed, 0)


def generator(name: str, seed: Any) -> np.random.Generator:
    """Return a generator as it is, or a new one of a seed; raise InvalidArgumentError for anything else."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else check_integer(name, seed, 0))


def check_number(
    name: str,
    value: Any,
    lowest: float = -math.inf,
    highest: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """Return ``value`` as a float, or raise unless it is a finite number from ``lowest`` to ``highest``.

    ``above`` leaves the lowest number out, ``below`` the highest.

    >>> check_number("p", float("nan"), 0, 1)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `p` to be a number from 0 to 1, actually: nan.
    """
    if is_integer(value) or isinstance(value, (float, np.floating)):
        reaches = lowest < value if above else lowest <= value
        stays = value < highest if below else value <= highest
        if reaches and stays and abs(value) <= sys.float_info.max:
            return float(value)
    valid = _interval(lowest, highest, above, below)
    raise InvalidArgumentError(f"Expect the `{name}` to be {valid}, actually: {shown(value)}.")


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` as a bool, or raise unless it is True or False, of Python or NumPy.

    >>> check_flag("flat", 1)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `flat` to be True or False, actually: 1.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidArgumentError(f"Expect the `{name}` to be True or False, actually: {shown(value)}.")


def check_flags(name: str, value: Any) -> NDArray[np.bool_]:
    """Return ``value`` as a new array of bool, or raise unless it is an array of True and False, or of 0 and 1.

    >>> check_flags("success", [1.0, float("nan")])
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `success` to be True or False each, actually: [1.0, nan].
    """
    array = _array(value)
    if array.dtype.kind not in "biuf" or not ((array == 0) | (array == 1)).all():
        raise InvalidArgumentError(f"Expect the `{name}` to be True or False each, actually: {shown(value)}.")
    return array.astype(bool)


def check_integers(
    name: str, value: Any, lowest: int, highest: int, error: Error = InvalidArgumentError
) -> NDArray[np.int64]:
    """Return ``value`` as a new int64 array, or raise ``error`` unless it is an array of integers in this range.

    >>> check_integers("tokens", [1.0], 0, 255)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `tokens` to be integers from 0 to 255, actually: [1.0].
    """
    array = _array(value)
    if array.dtype.kind not in "iu" or (array < lowest).any() or (array > highest).any():
        raise error(f"Expect the `{name}` to be integers from {lowest} to {highest}, actually: {shown(value)}.")
    return array.astype(np.int64)


def check_numbers(
    name: str, value: Any, error: Error = InvalidArgumentError, *, booleans: bool = False, finite: bool = True
) -> NDArray[np.float64]:
    """Return ``value`` as a new float64 array, or raise ``error`` unless it is an array of finite real numbers.

    Texts, objects and rows of different lengths are none, although NumPy makes numbers of some. ``booleans`` lets those
    pass too, and ``finite=False`` NaN and infinity.

    >>> check_numbers("action", ["0.5", "1"])
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `action` to be finite numbers, actually: ['0.5', '1'].
    """
    array = _array(value)
    kinds = "biuf" if booleans else "iuf"
    if array.dtype.kind not in kinds or (finite and not np.isfinite(array).all()):
        raise error(f"Expect the `{name}` to be {'finite ' * finite}numbers, actually: {shown(value)}.")
    return array.astype(np.float64)


def check_sequence(name: str, value: Any, error: Error = InvalidArgumentError) -> list[Any]:
    """Return the elements of a sequence or an array, or raise ``error``; a text is no sequence.

    >>> check_sequence("dims", "012")
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `dims` to be a sequence, actually: '012'.
    """
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if several and not isinstance(value, (str, bytes)):
        return list(value)
    raise error(f"Expect the `{name}` to be a sequence, actually: {shown(value)}.")


def check_names(name: str, value: Any, valid: Iterable[str], error: Error = InvalidArgumentError) -> tuple[str, ...]:
    """Return one name or several as a tuple, or raise ``error`` unless each is one of ``valid``."""
    names, valid = [value] if isinstance(value, str) else check_sequence(name, value, error), tuple(valid)
    for each in names:
        check_choice(name, each, valid, error)
    return tuple(names)


def check_instance(name: str, value: Any, kind: type) -> None:
    """Raise InvalidArgumentError unless ``value`` is of this class.

    >>> check_instance("instruction", 3, str)
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `instruction` to be a str, actually: 3.
    """
    if not isinstance(value, kind):
        raise InvalidArgumentError(f"Expect the `{name}` to be a {kind.__name__}, actually: {shown(value)}.")


def check_callable(name: str, value: Any) -> None:
    """Raise InvalidArgumentError unless ``value`` can be called."""
    if not callable(value):
        raise InvalidArgumentError(f"Expect the `{name}` to be callable, actually: {shown(value)}.")


def check_path(name: str, value: Any) -> Path:
    """Return ``value`` as a path, or raise InvalidArgumentError unless it is a text or a path."""
    if isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise InvalidArgumentError(f"Expect the `{name}` to be a path, actually: {shown(value)}.")


def check_mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping as a new dictionary, None as an empty one, or raise InvalidArgumentError.

    >>> check_mapping("options", ["task_id"])
    Traceback (most recent call last):
        ...
    vla_envs.errors.InvalidArgumentError: Expect the `options` to be a dictionary, actually: ['task_id'].
    """
    if value is not None and not isinstance(value, Mapping):
        raise InvalidArgumentError(f"Expect the `{name}` to be a dictionary, actually: {shown(value)}.")
    return dict(value or {})


def is_integer(value: Any) -> bool:
    """Whether this is an integer, of Python or NumPy; a bool is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))


def _interval(lowest: float, highest: float, above: bool, below: bool) -> str:
    """Which numbers are meant, in words."""
    if not (above or below) and math.isfinite(lowest) and math.isfinite(highest):
        return f"a number from {lowest:g} to {highest:g}"
    from_lowest = f"{'above' if above else 'of at least'} {lowest:g}" if math.isfinite(lowest) else ""
    to_highest = f"{'below' if below else 'at most'} {highest:g}" if math.isfinite(highest) else ""
    return " ".join(["a finite number", " and ".join(filter(None, (from_lowest, to_highest)))]).rstrip()


def _array(value: Any) -> NDArray[Any]:
    """The value as NumPy sees it; of objects where it sees no array."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths; a tensor that needs a gradient
        return np.empty(0, object)


def shown(value: Any) -> str:
    """The value in an error: long ones are shortened, and what cannot say what it is gets its type."""
    try:
        return reprlib.repr(value.tolist() if isinstance(value, np.ndarray) else value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list of as many levels
        return f"of type {type(value).__name__}"
