"""A recorded episode, and the formats that keep one."""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_choice, check_integer, check_path
from vla_envs.errors import DamagedRecordingError, InvalidArgumentError, VLAEnvsError, require_extra
from vla_envs.strict_json import parse_json

REQUIRED = {"lerobot": ("pyarrow", "PIL"), "hdf5": ("h5py",)}
"""Format -> the modules of the extra ``record`` that it needs; each format is a module of this folder."""


@dataclass(frozen=True)
class Origin:
    """What makes an episode again, and how it ended. Every value is plain JSON.

    Attributes:
        env_id: the environment's registered id.
        env_kwargs: its keyword arguments.
        metadata: the environment's own, with ``"versions"``: distribution -> version of everything that simulated.
        suite, task_id, init_state_id: the prompt.
        seed: what ``reset`` was given, or None.
        instruction: the language instruction.
        success, terminated, truncated: how the last step ended the episode.
        final_state: the ``final_state`` of the last info; None where it has none.
        reset_options: those that the environment was reset with, by the user and by wrappers, such as offsets.
    """

    env_id: str
    env_kwargs: dict[str, Any]
    metadata: dict[str, Any]
    suite: str
    task_id: int
    init_state_id: int
    seed: int | None
    instruction: str
    success: bool
    terminated: bool
    truncated: bool
    final_state: list[float] | None
    reset_options: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON; paths become strings and NumPy's values plain ones.

        Raises:
            TypeError: a keyword argument of the environment that JSON cannot hold.
        """
        return json.dumps(asdict(self), default=plain)

    @classmethod
    def from_json(cls, text: str) -> Origin:
        """The origin that :meth:`to_json` wrote.

        Raises:
            ValueError, TypeError: the text is no JSON, or lacks a field or has one of no such name.
        """
        return cls(**parse_json(text))


@dataclass(frozen=True)
class Episode:
    """One row per observation that was answered by an action, or by a chunk of them.

    Attributes:
        observations: key -> (T, ...), what was observed before each row's actions.
        actions: (T, A), or (T, K, A) of chunks; in the last chunk the last executed action is repeated.
        executed: int64 (T,), how many actions of the row were executed.
        rewards: float32 (T,), what the step returned; wrappers inside the recorder may have shaped it.
        states: float64 (T, 1 + nq + nv), MuJoCo's time, positions and velocities before each row's actions, or None.
        origin: where the episode came from and how it ended.
    """

    observations: dict[str, NDArray]
    actions: NDArray
    executed: NDArray[np.int64]
    rewards: NDArray[np.float32]
    states: NDArray[np.float64] | None
    origin: Origin

    def __len__(self) -> int:
        return len(self.actions)

    def executed_actions(self, row: int) -> NDArray:
        """The actions (n, A) that followed the row's observation."""
        return self.actions[row].reshape(-1, self.actions.shape[-1])[: self.executed[row]]

    def digest(self) -> str:
        """SHA-256 over all that the episode holds, in hexadecimal digits; an axis of one number counts for nothing."""
        arrays = {**self.observations, "": self.actions, "executed": self.executed, "rewards": self.rewards}
        if self.states is not None:
            arrays["states"] = self.states
        digest = hashlib.sha256(self.origin.to_json().encode())
        for name, values in sorted(arrays.items()):
            shape = (len(values), *(size for size in values.shape[1:] if size != 1))
            digest.update(f"{name} {values.dtype.str} {shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    def check_digest(self, written: str | None) -> Episode:
        """Return the episode unless it is another than was written; recordings of earlier versions have no digest.

        Raises:
            ValueError: it is another.
        """
        if written is not None and written != self.digest():
            raise ValueError("its content is not what was recorded")
        return self

    def ends(self, value: bool) -> NDArray[np.bool_]:
        """bool (T,): ``value`` in the last row, False before."""
        return (np.arange(len(self)) == len(self) - 1) & value


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
        DamagedRecordingError: it is not as it was recorded.
        DependencyNotInstalled: the format needs the extra ``record``.
    """
    path = check_path("path", path)
    is_dataset = (path / "meta" / "info.json").is_file()
    path = path if is_dataset else _only_file(path)
    reader = load_format("lerobot" if is_dataset else "hdf5")
    with named_damage(path):
        return reader.read_episode(path, episode)


@contextmanager
def named_damage(path: Path) -> Iterator[None]:
    """Name the recording in whatever the libraries that read it raise where it is damaged.

    Raises:
        DamagedRecordingError: it is damaged, or something else than a recording of this package.
    """
    try:
        yield
    except VLAEnvsError:
        raise
    except Exception as error:  # damage can make them fail anywhere
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.EISDIR, errno.ENOTDIR):
            raise  # the disk, not what is on it
        reason = str(error).partition("\n")[0][:300]
        raise DamagedRecordingError(
            f"The recording {path} is damaged, or was not made by RecordTrajectory ({type(error).__name__}: {reason}). "
            "Take a copy of it, or record the episode again."
        ) from error


def check_index(index: int, count: int, path: Path) -> None:
    """Raise unless the recording of ``count`` episodes at ``path`` has one of this index."""
    check_integer("episode", index, 0, count - 1, of=str(path))


def is_image(values: NDArray) -> bool:
    """Whether a column is one of images: uint8 (T, H, W, 3)."""
    return values.dtype == np.uint8 and values.ndim == 4 and values.shape[-1] == 3


def plain(value: Any) -> Any:
    """The plain form of a value that :func:`json.dumps` does not know.

    >>> json.dumps({"assets": Path("pack"), "task_id": np.int64(3)}, default=plain)
    '{"assets": "pack", "task_id": 3}'
    """
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):  # such as the mode that a vector environment writes into metadata
        return value.value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"Expect what can be written as JSON, actually: {value!r}.")


def _only_file(path: Path) -> Path:
    files = [path] if path.is_file() else sorted(path.rglob("[!.]*_demo.hdf5"))
    if not files:
        raise InvalidArgumentError(f"Expect a folder with recorded episodes, actually there are none in: {path}.")
    if len(files) > 1:
        names = ", ".join(str(each.relative_to(path)) for each in files)
        raise InvalidArgumentError(f"Expect the HDF5 file of one task in {path}, which has: {names}.")
    return files[0]
