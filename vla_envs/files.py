"""Writing that an interruption cannot leave half done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """A fresh directory beside ``target`` that takes its place when the block ends well.

    If the block raises, or the process dies in it, ``target`` stays as it was.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "weights"
    >>> with atomic_directory(target) as folder:
    ...     _ = (folder / "a.txt").write_text("whole")
    >>> (target / "a.txt").read_text()
    'whole'
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        scratch.chmod(0o755)
        yield scratch
        _replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def atomic_write_text(target: Path, text: str) -> None:
    """Write a text file aside and rename it into place.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> atomic_write_text(target, "whole")
    >>> target.read_text()
    'whole'
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        scratch.write_text(text)
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def _replace(source: Path, target: Path) -> None:
    """Rename a directory over another; a directory that is not empty must be moved away first."""
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)) / "old"
        os.replace(target, old)
        os.replace(source, target)
        shutil.rmtree(old.parent)
    else:
        os.replace(source, target)
