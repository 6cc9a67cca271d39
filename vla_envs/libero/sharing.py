"""Shares costly values within the process: compiled tasks and their renderers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakValueDictionary

Value = TypeVar("Value")


def shared(keep: int) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Have a function make one value per arguments.

    A value is found again for as long as anything uses it, however many there are, and the ``keep``
    values that were asked for last are kept even unused.

    >>> class Costly:
    ...     def __init__(self, name):
    ...         self.name = name
    >>> make = shared(keep=1)(Costly)
    >>> used = make("a")
    >>> make("b").name, make("a") is used
    ('b', True)
    """

    def decorate(make: Callable[..., Value]) -> Callable[..., Value]:
        in_use: WeakValueDictionary[tuple, Value] = WeakValueDictionary()
        recent: OrderedDict[tuple, Value] = OrderedDict()

        @wraps(make)
        def find_or_make(*arguments: object) -> Value:
            value = in_use.get(arguments)
            if value is None:
                value = make(*arguments)
                in_use[arguments] = value
            recent[arguments] = value
            recent.move_to_end(arguments)
            while len(recent) > keep:
                recent.popitem(last=False)
            return value

        return find_or_make

    return decorate
