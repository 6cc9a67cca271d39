"""The formats that episodes are kept in, and which of them a folder holds."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from vla_envs.errors import InvalidArgumentError, check_choice, require_extra
from vla_envs.wrappers.record.episode import Episode

REQUIRED = {"lerobot": ("pyarrow", "PIL"), "hdf5": ("h5py",)}
"""Format -> the modules of the extra ``record`` that it needs; each format is a module of this folder."""


class Format(Protocol):
    """What each format's module offers."""

    def add_episode(self, folder: Path, episode: Episode) -> None:
        """Add an episode to those in the folder. A process that dies in here leaves these as they were."""

    def read_episode(self, path: Path, index: int) -> Episode:
        """The episode of this index, counted from 0 in the order of recording."""


def load_format(name: str) -> Format:
    """The format of this name.

    Raises:
        InvalidArgumentError: no such format.
        DependencyNotInstalled: it needs the extra ``record``.
    """
    check_choice("format", name, REQUIRED)
    for module in REQUIRED[name]:
        require_extra(module, "record")
    return cast(Format, importlib.import_module(f"vla_envs.wrappers.record.{name}"))


def read_episode(path: str | Path, episode: int = 0) -> Episode:
    """Read a recorded episode.

    Args:
        path: the folder that was recorded to, or one of the HDF5 files in it.
        episode: its index, counted from 0 in the order of recording; in HDF5 the number of the demonstration.

    Raises:
        InvalidArgumentError: no recordings there, several HDF5 files of which none is named, or no such episode.
        DependencyNotInstalled: the format needs the extra ``record``.
    """
    path = Path(path)
    if (path / "meta" / "info.json").is_file():
        return load_format("lerobot").read_episode(path, episode)
    return load_format("hdf5").read_episode(_only_file(path), episode)


def check_index(index: int, count: int, path: Path) -> None:
    """Raise unless the recording of ``count`` episodes at ``path`` has one of this index."""
    if not 0 <= index < count:
        raise InvalidArgumentError(
            f"Expect the `episode` to be an integer from 0 to {count - 1} in {path}, actually: {index!r}."
        )


def _only_file(path: Path) -> Path:
    files = [path] if path.is_file() else sorted(path.rglob("[!.]*_demo.hdf5"))
    if not files:
        raise InvalidArgumentError(f"Expect a folder with recorded episodes, actually there are none in: {path}.")
    if len(files) > 1:
        names = ", ".join(str(each.relative_to(path)) for each in files)
        raise InvalidArgumentError(f"Expect the HDF5 file of one task in {path}, which has: {names}.")
    return files[0]
