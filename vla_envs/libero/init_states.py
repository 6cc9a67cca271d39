"""Reads the recorded initial states of a task without ever running what the file says.

An official init file is a zip that holds ``archive/data.pkl``: a pickle of one numpy array. Pickles
can name any callable; this reader admits the three names that describe an array, gives each a
harmless meaning of its own, and refuses everything else.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.errors import DamagedAssetsError, MissingAssetsError
from vla_envs.libero.suites import PACKAGE_COMMAND

MAX_BYTES = 64 * 2**20
"""Largest unpacked init file that is read; the official ones have less than 100 kB."""
MAX_MEMO = 1000
"""Largest number under which a pickle may remember a part of an array's description; there are about ten parts."""


class UnsafePickleError(DamagedAssetsError):
    """An init file asks for more than a numpy array."""


def read_init_states(path: Path) -> NDArray[np.float64]:
    """The initial states of a task: float64 (N, 1 + nq + nv), each row time (s), qpos and qvel.

    Raises:
        MissingAssetsError: there is no such file.
        UnsafePickleError: the pickle names something that an array does not need; nothing of it ran.
        DamagedAssetsError: the file is not a readable init file.
    """
    try:
        content = _read_member(path)
        _check_memo(content)
        return _Unpickler(io.BytesIO(content)).load().array()
    except FileNotFoundError as error:
        raise MissingAssetsError(f"There is no init file at {path}. {_MEND}") from error
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path} is refused: {error} {_MEND}") from None
    except Exception as error:  # a damaged pickle can fail anywhere in the reader
        raise DamagedAssetsError(f"{path} cannot be read as an init file: {error!r}. {_MEND}") from error


_MEND = f"Reinstall the LIBERO package with: {PACKAGE_COMMAND} --force-reinstall"


def _read_member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        member = next(info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
        if member.file_size > MAX_BYTES:
            raise ValueError(f"{member.filename} unpacks to {member.file_size} bytes, more than {MAX_BYTES}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename} is compressed in another way than init files are")
        with archive.open(member) as file:
            return file.read(member.file_size)  # without a size it would unpack what there is before it looks


def _check_memo(content: bytes) -> None:
    """Refuse a pickle that remembers things under large numbers: the reader's memory is as large as the largest."""
    for opcode, number, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and number is not None and number > MAX_MEMO:
            raise ValueError(f"its pickle remembers something under the number {number}, more than {MAX_MEMO}")


class _DType:
    """What the pickle calls ``numpy.dtype``; only little-endian float64 is understood."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.code = state[1] + self.code


class _Array:
    """What the pickle calls ``numpy.ndarray``: collects the array's description."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def array(self) -> NDArray[np.float64]:
        if self.dtype.code != "<f8" or len(self.shape) != 2:
            raise ValueError(f"expected a table of '<f8', got shape {self.shape} of {self.dtype.code!r}")
        values = np.frombuffer(self.data, dtype="<f8")
        return values.reshape(self.shape, order="F" if self.fortran else "C").astype(np.float64)


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"unexpected encoding {encoding!r}")
    return text.encode("latin1")


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise UnsafePickleError(f"its pickle names {module}.{name}, which a numpy array does not need.")
        return _ADMITTED[module, name]
