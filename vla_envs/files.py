"""Files that neither an interruption nor another process can leave half written, and how to tell their content.

What is renamed into place is on disk by then, so that a power cut leaves the old or the new.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vla_envs.arguments import check_path
from vla_envs.errors import InvalidArgumentError, VLAEnvsError

LOCK = ".lock"
"""File of a folder that the process which works on it locks."""
SCRATCH = ".scratch"
"""What the name of a scratch folder ends with, ``.<target>.<8 characters>.scratch``."""
OLD = "old"
"""Name of the directory that is being replaced, in the scratch folder of the new one."""

DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}
"""Numbers of the operating system's errors that are the disk's, or those of a place that the user named."""

_log = logging.getLogger(__name__)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """A fresh directory that takes the place of ``target`` when the block ends well.

    If the block raises, or the process dies in it, ``target`` stays as it was. Replacing a directory takes two
    renames: a process that dies between them leaves the old one in its scratch folder beside ``target``, from which
    the next one that writes there puts it back.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "weights"
    >>> with atomic_directory(target) as folder:
    ...     _ = (folder / "a.txt").write_text("whole")
    >>> (target / "a.txt").read_text()
    'whole'
    """
    with _scratch(target, target.parent) as scratch:
        folder = scratch / "new"
        folder.mkdir()
        with _named_errors(target):
            yield folder
            for path in (*folder.rglob("*"), folder):
                _sync(path)
            _replace(folder, target, scratch / OLD)
            _sync(target.parent)


@contextmanager
def atomic_path(target: Path, aside: Path | None = None) -> Iterator[Path]:
    """A path to write a file at, which takes the place of ``target`` in the end.

    If the block raises, or the process dies in it, ``target`` stays as it was.

    The path has the name of ``target``, from whose suffix writers of pictures and videos read the format. It lies in a
    scratch folder beside ``target``, or in the folder ``aside``.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_path(target) as path:
    ...     _ = path.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(target, target.parent if aside is None else aside) as scratch:
        path = scratch / target.name
        with _named_errors(target):
            yield path
            _sync(path)
            os.replace(path, target)
            _sync(target.parent)


def atomic_write_text(target: Path, text: str) -> None:
    """Write a text file aside and rename it into place.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> atomic_write_text(target, "whole")
    >>> target.read_text()
    'whole'
    """
    with atomic_path(target) as path:
        path.write_text(text)


def check_writable(folder: Path, what: str, remedy: str) -> None:
    """Check that files can be made in a folder, which may be absent, without making one.

    Args:
        folder: where they will go.
        what: their name in the error.
        remedy: sentence that ends it.

    Raises:
        InvalidArgumentError: they cannot.
    """
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(each))
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        problem = "cannot be written" if existing.is_dir() else "is no directory"
        raise InvalidArgumentError(
            f"Expect {what} to go to a directory that can be written, actually: {existing} {problem}. {remedy}"
        )


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if absent; other processes wait. A process that dies lets go of it.

    What killed processes were writing in it is removed. On a file system that locks no folders, such as NFS, nobody
    waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        clear_scratch(folder)
        yield
    finally:
        os.close(handle)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold an existing folder alone, without waiting for another process. A process that dies lets go of it.

    On a file system that locks no files nobody is refused.

    Raises:
        InvalidArgumentError: another process holds the folder; the message names it and its machine.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 300).decode(errors="replace") or "another process"
            raise InvalidArgumentError(
                f"Expect a directory that nobody else works on, actually: {holder} works on {folder}. Wait until it "
                "has ended, or end it."
            ) from None
        except OSError as error:
            _log.warning("%s cannot be locked (%s): let no other process work on it.", folder, error)
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        os.close(handle)


def set_aside(path: Path, reason: object) -> None:
    """Rename a file that cannot be used, with a warning, so that another can take its place."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    with suppress(FileNotFoundError):
        os.replace(path, aside)
    _log.warning("%s cannot be used and is set aside as %s: %s", path, aside.name, reason)


@contextmanager
def _named_errors(target: Path) -> Iterator[None]:
    """Have errors of the disk name the target, whatever library wrote: those in Rust and shutil have their own."""
    try:
        yield
    except VLAEnvsError:
        raise  # which says already what is wrong, and with which file
    except Exception as error:
        if getattr(error, "filename", None) is not None:
            raise
        told = re.search(r"Errno (\d+)" if isinstance(error, OSError) else r"os error (\d+)", str(error))
        number = getattr(error, "errno", None) or (told and int(told[1]))
        if not number:
            raise
        raise OSError(number, os.strerror(number), str(target)) from error


def _sync(path: Path) -> None:
    """Have the disk keep a file or the names in a folder, where the file system can."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems keep names at once
            raise
    finally:
        os.close(handle)


@contextmanager
def _scratch(target: Path, folder: Path) -> Iterator[Path]:
    """A fresh folder in ``folder`` to make ``target`` in, after removing those that killed processes have left.

    Its lock says that its process lives. Only then it gets the name by which others look for those that were left: on
    a file system without locks they stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear_scratch(folder)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=folder))
    handle = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            scratch = scratch.rename(f"{scratch}{SCRATCH}")
        yield scratch
    finally:
        if not (scratch / OLD).exists():  # it could not go back
            shutil.rmtree(scratch, ignore_errors=True)
        os.close(handle)


def clear_scratch(folder: Path) -> None:
    """Remove the scratch folders of dead processes; a directory that one of them was replacing goes back first."""
    for left in folder.glob(f".*.????????{SCRATCH}"):
        with suppress(OSError):  # of a living process, of another user, or removed by another process
            handle = os.open(left / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                target = folder / left.stem[1:].rpartition(".")[0]
                if (left / OLD).exists() and not target.exists():
                    os.replace(left / OLD, target)
                shutil.rmtree(left)
            finally:
                os.close(handle)


def _replace(source: Path, target: Path, old: Path) -> None:
    """Rename a directory over another; one that is not empty must be moved away first, to ``old``."""
    if not target.exists():
        os.replace(source, target)
        return
    os.replace(target, old)
    try:
        os.replace(source, target)
    except BaseException:
        os.replace(old, target)
        raise
    shutil.rmtree(old)


def named(path: str | os.PathLike[str]) -> str:
    """A path in an error, which says so where there is nothing.

    >>> named("runs/absent")
    'runs/absent, which does not exist'
    """
    return f"{path}" if os.path.lexists(path) else f"{path}, which does not exist"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "empty"
    >>> path.touch()
    >>> sha256_of(path)[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def user_cache() -> Path:
    """The user's cache folder: ``$XDG_CACHE_HOME``, else ``~/.cache``.

    Raises:
        InvalidArgumentError: neither is known.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if os.path.isabs(named) else expanded("~/.cache")


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with ``~`` replaced by the user's home directory.

    Raises:
        InvalidArgumentError: there is none.
    """
    try:
        return check_path("path", path).expanduser()
    except RuntimeError:
        raise InvalidArgumentError(
            f"Expect a path whose home directory is known, actually: {path}. Name it in full, or set HOME, or "
            "XDG_CACHE_HOME for what is kept in ~/.cache."
        ) from None
