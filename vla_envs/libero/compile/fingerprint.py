"""What an asset folder contains, in one short text."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vla_envs.files import atomic_write_text, user_cache
from vla_envs.strict_json import read_json


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of the folder's files.

    Reading 200 MB takes a second, so the answer is remembered beside the files' sizes and times of
    change, and holds as long as these do.

    Raises:
        OSError: a file cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("one")
    >>> before = fingerprint(folder)
    >>> _ = (folder / "a.txt").write_text("two!")
    >>> fingerprint(folder) == before
    False
    """
    files = sorted(_files(str(folder)))
    state = _digest(f"{name} {stat.st_size} {stat.st_mtime_ns}".encode() for name, stat in files)
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    memory = user_cache() / "vla_envs" / "libero-fingerprints" / f"{name}.json"
    remembered = _read(memory)
    if remembered.get("state") != state:
        content = _digest(part for name, _ in files for part in (name.encode(), _content(folder / name)))
        remembered = {"folder": str(folder), "state": state, "content": content}
        _remember(memory, remembered)
    return remembered["content"]


def _files(folder: str, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat()


def _content(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def _digest(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part + b"\0")
    return digest.hexdigest()


def _read(memory: Path) -> dict[str, str]:
    """What is remembered, nothing where that is damaged."""
    try:
        remembered = read_json(memory)
    except (OSError, ValueError):
        return {}
    whole = isinstance(remembered, dict) and all(isinstance(remembered.get(key), str) for key in ("state", "content"))
    return remembered if whole else {}


def _remember(memory: Path, answer: dict[str, str]) -> None:
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        atomic_write_text(memory, json.dumps(answer, indent=1))
