"""Files of tensors in safetensors' format, whose header is checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from vla_envs.errors import DamagedAssetsError, InvalidArgumentError

Shape = tuple[int, ...]

TYPES = ("F64", "F32", "F16", "BF16")
"""Types of the numbers that are read, by their names in such files."""


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
    """Yield name and tensor of all in a file; raises what :func:`open_tensors` does."""
    with open_tensors(path) as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)
