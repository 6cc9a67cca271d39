"""What a process keeps of costly things, compiled tasks and renderers, and how it gives the rest back to the system."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakValueDictionary

import mujoco
import numpy as np
from numpy.typing import NDArray

KEPT_TASKS = 4
"""Compiled tasks, and renderers, that a process keeps beside those in use: 3 MB each, and up to 600 MB."""

Value = TypeVar("Value")

_libc = ctypes.CDLL(None)


def shared(keep: int) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Have a function make one value per arguments.

    A value is found again for as long as anything uses it, however many there are, and the ``keep``
    values that were asked for last are kept even unused. While one thread makes a value, others wait.

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
        lock = threading.RLock()
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

        @wraps(make)
        def find_or_make(*arguments: object) -> Value:
            with lock:
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


def trim() -> None:
    """Give back what MuJoCo keeps of decoded files in case another model has them, and the allocator of freed memory.

    Together up to 1 GB after a task was built. An allocator other than glibc's is left alone.
    """
    mujoco.mj_clearCache(mujoco.mj_getCache())
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def forget(array: NDArray[np.generic]) -> None:
    """Give back the whole pages of an array that is never read again, though its owner lives on; they become zero."""
    start = -(-array.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (array.ctypes.data + array.nbytes - start) // mmap.PAGESIZE * mmap.PAGESIZE
    if length > 0:
        _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
