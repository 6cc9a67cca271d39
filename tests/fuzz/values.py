"""Values that no caller should give, and those that one gives by a slip."""

from __future__ import annotations

import random
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DEPTH = 100_000
"""Of a nested list: deeper than Python's stack."""


def _nested() -> list[Any]:
    nested: list[Any] = []
    for _ in range(DEPTH):
        nested = [nested]
    return nested


NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 255, 10_000, 2**31, 2**32, -(2**31), 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 2.0, -0.5, 1.5, 1e-300, 5e-324, 1e12, 1e308, float("nan"), float("inf"), -float("inf")),
    *(True, False, 1j, np.int64(1), np.uint8(255), np.int64(2**62), np.float32(0.5), np.float64("nan")),
    *(np.float16(2.0), np.bool_(True), np.complex64(1j), np.datetime64("2020-01-01"), np.timedelta64(3)),
)
TEXTS: tuple[Any, ...] = (
    *("", " ", "train", "eval", "nonsense", "None", "nan", "1", "-1", "1.5", "[]", "{}", "\0", "a\0b", "\ud800", "é漢"),
    *("..", "../..", "/", "/nowhere/at/all", "~nobody", "x" * 300, "x" * 100_000, "first", "rgb_array", "%s", "{0}"),
    *(b"", b"train", bytearray(3), np.str_("train"), np.bytes_(b"x"), Path("."), Path("/nowhere/at/all")),
)
MADE: tuple[Callable[[], Any], ...] = (
    *(lambda: (each for each in (0, 1)), lambda: [0] * 100_000, lambda: dict.fromkeys(map(str, range(1000)), 0)),
    *(_nested, lambda: lambda *_: None, lambda: np.random.default_rng(0)),
)
CONTAINERS: tuple[Any, ...] = (
    *([], (), {}, set(), frozenset(), [None], (0,), [0, 1], (0, 1), [[]], [1.0, 2.0, 3.0], [[1], [1, 2]], ["a", 1]),
    *([float("nan")] * 3, range(3), {"a": 1}, {1: 2}, {(): None}, {"task_id": 0}, {0, 1}, [True]),
    *(("agentview", "agentview"), None, object(), int, len, ..., NotImplemented, ValueError("x"), np),
)
ARRAYS: tuple[Any, ...] = (
    *(np.array(5), np.zeros(0), np.zeros((0, 7)), np.zeros((7, 0)), np.zeros(7), np.zeros((2, 7)), np.zeros((2, 2, 7))),
    *(np.full(7, np.nan), np.full((2, 7), np.inf), np.zeros(7, complex), np.array(["a", "b"]), np.zeros((1,) * 32)),
    *(np.array([None, {}], object), np.zeros(7, "datetime64[s]"), np.zeros(3, "i4,f8"), np.array([1, 2, 3], ">f8")),
    *(np.zeros(7, np.float16), np.full(7, 1e308), np.ones(7, bool), np.full(7, 1e39), np.array([True, False])),
    *(np.arange(4), np.zeros((4, 7)), np.ma.masked_all(7), np.array(10**30, object), np.array([2**63], np.uint64)),
)


def wrong_value(rng: random.Random, valid: Any) -> Any:
    """A value that is almost the valid one, or another form of it, or anything."""
    return near_miss(rng, valid) if rng.random() < 0.4 else nonsense(rng)


def nonsense(rng: random.Random) -> Any:
    """Anything."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(rng.choice((NUMBERS, NUMBERS, TEXTS, CONTAINERS, ARRAYS))),
        lambda: rng.choice(MADE)(),
        lambda: [nonsense(rng) for _ in range(rng.randrange(4))],
        lambda: {rng.choice(TEXTS[:16]): nonsense(rng) for _ in range(rng.randrange(3))},
    )
    return rng.choices(kinds, (18, 1, 2, 1))[0]()


def near_miss(rng: random.Random, valid: Any) -> Any:
    """A value that is almost the valid one, or another form of it."""
    if isinstance(valid, bool | np.bool_):
        return rng.choice([not valid, int(valid), str(valid), np.bool_(valid), None, [valid], float(valid)])
    if isinstance(valid, int | float) and abs(valid) < 2**53:
        steps = [valid + 1, valid - 1, -valid, float(valid), int(valid), np.float64(valid), np.int64(valid), 2**31]
        return rng.choice([*steps, str(valid), [valid], (valid, valid), np.array([valid]), float("nan"), valid * 1e9])
    if isinstance(valid, str):
        return rng.choice([valid.upper(), valid + " ", valid[:-1], [valid], (valid,), valid.encode(), np.str_(valid)])
    if isinstance(valid, dict) and valid:
        key = rng.choice(list(valid))
        changed = {**valid, key: wrong_value(rng, valid[key])}
        return rng.choice([changed, list(valid.items()), list(valid), {**valid, "nonsense": 1}])
    if isinstance(valid, list | tuple) and valid:
        place = rng.randrange(len(valid))
        one = [*valid[:place], near_miss(rng, valid[place]), *valid[place + 1 :]]
        return rng.choice([one, tuple(one), valid[:-1], [*valid, valid[0]], np.array(one, object), [valid]])
    if isinstance(valid, np.ndarray) and valid.size and valid.ndim:
        holed = np.array(valid, np.float64)
        holed.flat[rng.randrange(holed.size)] = rng.choice([np.nan, np.inf, -1e308, 1e308])
        shapes = [holed, valid[..., :-1], valid[None], valid.reshape(-1), valid[:0], np.asfortranarray(valid)]
        return rng.choice([*shapes, valid.tolist(), *(valid.astype(dtype) for dtype in (complex, str, object))])
    return nonsense(rng)


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlevel = 3


def shown(value: Any) -> str:
    """The value in a few words, however deep, long or hostile it is."""
    return f"{type(value).__name__} {_Shown().repr(value)}"
