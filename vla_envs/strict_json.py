"""Reads JSON, and refuses mistakes that Python's own reader passes over, and that would change a value in silence."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 2**26
"""Size of the largest file that is read; the largest of a checkpoint has some 10 MB."""
MAX_DEPTH = 100
"""How deep lists and objects may be nested."""


def read_json(path: Path) -> Any:
    """What a JSON file holds, by the rules of :func:`parse_json`.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is no such JSON, or larger than :data:`MAX_BYTES`.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return parse_json(content.decode("utf-8-sig"))  # some editors put a mark before the first character


def parse_json(text: str) -> Any:
    """What a JSON text says: finite numbers, each key of an object once, nested no deeper than :data:`MAX_DEPTH`.

    Raises:
        ValueError: it is no JSON, or breaks one of these rules.

    >>> parse_json('{"lr": 1e-5, "lr": 1e-3}')
    Traceback (most recent call last):
        ...
    ValueError: the key 'lr' is there twice
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(value)
    return value


_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return content


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no finite number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(_TOO_DEEP)
