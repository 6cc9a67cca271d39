"""Runs a function in an interpreter of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from vla_envs.errors import WorkerError

Result = TypeVar("Result")


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call ``function`` in a new process: what it leaks, imports or crashes ends with it.

    Args:
        function: of a module, so that the process can import it; its result and exceptions come back.
        arguments: its positional arguments.

    Raises:
        WorkerError: the process ended without an answer.

    >>> in_fresh_process(divmod, 7, 2)
    (3, 1)
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise WorkerError(
                f"The process of {function.__name__!r} died: the memory ran out, or a library crashed. "
                "The reason may stand above, or in the kernel's log: dmesg | tail"
            ) from error
