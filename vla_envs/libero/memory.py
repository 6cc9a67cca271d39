"""Gives memory back to the system: a worker that draws shall not hold what only its first seconds needed."""

from __future__ import annotations

import ctypes
import mmap

import mujoco
import numpy as np
from numpy.typing import NDArray

_libc = ctypes.CDLL(None)


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
