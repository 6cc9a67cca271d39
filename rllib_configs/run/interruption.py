"""SIGTERM and Ctrl-C end a run where nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal has ended a run.

    Attributes:
        exit_code: of the process, 128 and the signal's number as is usual.
    """

    def __init__(self, number: int, advice: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}. {advice}".rstrip())
        self.number = number
        self.exit_code = 128 + number


class Interruption:
    """What happens at the first signal: :class:`Stopped` is raised, at once or after what must not be cut.

    A second one ends the process at once.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._is_postponed = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals in the block; Python lets no thread but the main one do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = [signal.signal(each, self._handle) for each in SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler or signal.SIG_DFL)  # None: of a library in another language

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Raise :class:`Stopped` at the end of the block and not in it."""
        self._is_postponed = True
        try:
            yield
        finally:
            self._is_postponed = False
        if self._number is not None:
            raise Stopped(self._number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            os._exit(128 + number)
        self._number = number
        if not self._is_postponed:
            raise Stopped(number)
