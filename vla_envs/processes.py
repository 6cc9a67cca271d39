"""What processes that are started from this one import: nothing from the working directory, which anyone may fill."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_LOCK = threading.RLock()


def import_settings(*folders: Path) -> dict[str, str]:
    """Environment variables of a Python process that imports from these folders and where this one was told to.

    An empty entry of ``PYTHONPATH`` stands for the working directory, and so does what is run by ``-c`` or ``-m``,
    unless Python (3.11 or later) is told to be safe.
    """
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [os.path.abspath(each) for each in (*map(str, folders), *own) if each]
    return {"PYTHONPATH": os.pathsep.join(entries), "PYTHONSAFEPATH": "1"}


@contextmanager
def environment_variables(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables for a while, or unset those that are None: for a library, or a process that starts.

    One thread at a time: what a second one found there, set by the first, would come back for good.
    """
    with _LOCK:
        before = {name: os.environ.get(name) for name in variables}
        _set(variables)
        try:
            yield
        finally:
            _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
