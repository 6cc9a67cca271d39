"""Files of tensors in safetensors' format, whose header is checked before anything is read.

Those that are written here carry a checksum of every tensor, which the format lacks: a flipped bit is another weight.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vla_envs.errors import DamagedAssetsError, InvalidArgumentError

Shape = tuple[int, ...]

TYPES = ("F64", "F32", "F16", "BF16")
"""Types of the numbers that are read, by their names in such files."""
CHECKSUM = "crc32 of "
"""What the key of a checksum in a file's metadata begins with; the name of the tensor follows."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file of tensors, by name, with their checksums."""
    written = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    checksums = {CHECKSUM + name: _checksum(each) for name, each in written.items()}
    save_file(written, path, metadata={"format": "pt", **checksums})


def open_tensors(path: Path) -> safe_open:
    """Open a file whose tensors are all floating point numbers.

    Raises:
        DamagedAssetsError: the file is cut short or of another kind.
        InvalidArgumentError: a tensor holds other numbers, which quantized weights are kept in.
    """
    try:
        file = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise DamagedAssetsError(
            f"`{path}` is cut short or no safetensors file: {error}. Download it again."
        ) from error
    for name in file.keys():  # noqa: SIM118
        if (given := file.get_slice(name).get_dtype()) not in TYPES:
            raise InvalidArgumentError(
                f"Expect the tensors of `{path}` to be {', '.join(TYPES)}, actually: {given} for {name!r}. "
                "Quantized weights, such as those of bitsandbytes, are not hosted: save them in bfloat16."
            )
    return file


def shapes_in(path: Path) -> dict[str, Shape]:
    """Return the shape of every tensor of a file, by name; raises what :func:`open_tensors` does."""
    with open_tensors(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of all in a file; raises what :func:`open_tensors` and :func:`read_tensor` do."""
    with open_tensors(path) as file:
        for name in file.keys():  # noqa: SIM118
            yield name, read_tensor(file, path, name)


def read_tensor(file: safe_open, path: Path, name: str) -> Tensor:
    """Read a tensor of an open file, whose ``path`` errors name.

    Raises:
        DamagedAssetsError: the file has no such tensor, or its checksum is of other numbers.
    """
    try:
        tensor = file.get_tensor(name)
    except SafetensorError as error:
        raise DamagedAssetsError(f"Expect `{path}` to hold the tensor {name!r}, actually: {error}.") from error
    expected = (file.metadata() or {}).get(CHECKSUM + name)  # files of others have none
    if expected is not None and expected != _checksum(tensor):
        raise DamagedAssetsError(
            f"`{path}` is damaged: the checksum of {name!r} is of other numbers. Copy it again from where it was saved."
        )
    return tensor


def _checksum(tensor: Tensor) -> str:
    numbers: Any = tensor.contiguous().flatten().view(torch.uint8).numpy()
    return f"{zlib.crc32(numbers):08x}"
