"""Checkpoint directories in the official layout, read and written: JSON files, and tensors by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from policies.interface import check_finite
from policies.openvla.config import Shape, checked
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError
from vla_envs.strict_json import read_json

CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
STATISTICS_FILE = "dataset_statistics.json"
TOKENIZER_FILE = "tokenizer.json"
INDEX_FILE = "model.safetensors.index.json"
WEIGHTS_FILE = "model.safetensors"

SHARD_BYTES = 5 * 10**9
"""Largest size of a file in bytes, as in the official checkpoints."""

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Checkpoint:
    """The files of a checkpoint, whose tensors are read when asked for. Nothing is downloaded, unpickled or executed.

    Args:
        path: directory with ``config.json``, ``preprocessor_config.json``, ``tokenizer.json`` and safetensors.

    Raises:
        MissingAssetsError: a file is missing.
        DamagedAssetsError: a file is cut short or of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise MissingAssetsError(
                f"Expect a checkpoint directory, actually: {self.path}. Download one with: "
                f"hf download <repository> --local-dir {self.path}"
            )
        self.config = self.read_json(CONFIG_FILE)
        self.preprocessor = self.read_json(PREPROCESSOR_FILE)
        self.tokenizer = self.path / TOKENIZER_FILE
        self._files = self._tensor_files()

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Statistics of the training data, data set by data set; those of fine-tuning replace the others."""
        if (self.path / STATISTICS_FILE).is_file():
            return self.read_json(STATISTICS_FILE)
        statistics: dict[str, Any] = checked(
            self.config.get("norm_stats"), dict, f"{self.path / CONFIG_FILE}: norm_stats"
        )
        return statistics

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor, by name."""
        shapes = {}
        for path in dict.fromkeys(self._files.values()):
            with _opened(path) as file:
                shapes.update({name: tuple(file.get_slice(name).get_shape()) for name in file.keys()})  # noqa: SIM118
        return shapes

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the JSON object that a file holds."""
        path = self._existing(name)
        try:
            content = read_json(path)
        except (OSError, ValueError) as error:
            raise DamagedAssetsError(f"`{path}` is no sound JSON: {error}. Download it again.") from error
        if not isinstance(content, dict):
            raise DamagedAssetsError(f"Expect `{path}` to hold an object, actually: {type(content).__name__}.")
        return content

    def tensors(self, names: Mapping[str, Shape]) -> Iterator[tuple[str, Tensor]]:
        """Yield name and tensor, file by file, for the names and shapes asked for.

        Raises:
            DamagedAssetsError: a tensor is missing, of another shape, or its file cut short.
        """
        if missing := [name for name in names if name not in self._files]:
            raise DamagedAssetsError(
                f"Expect `{self.path}` to hold the tensor {missing[0]!r} (of {len(missing)} missing), "
                f"actually: {len(self._files)} tensors without it. Was it made for another configuration?"
            )
        for path in dict.fromkeys(self._files[name] for name in names):
            with _opened(path) as file:
                for name in names:
                    if self._files[name] == path:
                        yield name, _read(file, path, name, names[name])

    def load_into(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Load the parameters of a module, which may be on the meta device, by their names."""
        parameters = {name: tuple(each.shape) for name, each in module.named_parameters()}
        state = {name: tensor.to(dtype) for name, tensor in self.tensors(parameters)}
        module.load_state_dict(state, strict=False, assign=True)

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise MissingAssetsError(f"Expect `{self.path}` to hold {name}, actually: no such file. Download it again.")
        return path

    def _tensor_files(self) -> dict[str, Path]:
        """Return the file of every tensor, by name."""
        if (self.path / WEIGHTS_FILE).is_file():
            path = self.path / WEIGHTS_FILE
            with _opened(path) as file:
                return dict.fromkeys(file.keys(), path)
        weight_map = self.read_json(INDEX_FILE).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(each, str) for each in weight_map.values()):
            raise DamagedAssetsError(f"Expect `{self.path / INDEX_FILE}` to hold a `weight_map` of names to files.")
        if outside := [name for name in set(weight_map.values()) if Path(name).name != name]:
            raise InvalidArgumentError(
                f"Expect the files of `{self.path / INDEX_FILE}` beside it, actually: {outside}."
            )
        return {name: self._existing(file) for name, file in weight_map.items()}


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of all in a safetensors file.

    Raises:
        DamagedAssetsError: the file is cut short or of another kind.
    """
    with _opened(path) as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)


def load_component(module: ModuleT, path: Path, prefix: str = "") -> ModuleT:
    """Load a module's parameters from a ``.pt`` file, without unpickling anything but tensors, and return it.

    Args:
        module: module of the right shapes.
        path: path of the file, whose names may begin with ``module.``, which parallel training leaves.
        prefix: what the names begin with behind that.

    Raises:
        DamagedAssetsError: the file is damaged, or its tensors are not those of the module.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        names = {name.removeprefix("module.").removeprefix(prefix): tensor for name, tensor in state.items()}
        module.load_state_dict(names)
    except Exception as error:  # a damaged file makes torch raise nearly anything
        reason = " ".join(str(error).split())
        raise DamagedAssetsError(f"`{path}` is damaged or made for another configuration: {reason}") from error
    check_finite(module.named_parameters(), f"`{path}` is damaged: download it again.")
    return module.float()


def write_checkpoint(folder: Path, source: Checkpoint, parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Write a checkpoint with other parameters.

    Args:
        folder: an empty directory.
        source: checkpoint whose other files are copied, the original's own code among them, and whose unused tensors,
            such as the last block of the vision transformers, are written again.
        parameters: official name and value of each parameter.
    """
    for path in source.path.iterdir():
        if path.suffix in (".json", ".model", ".py", ".txt") and path.name != INDEX_FILE:
            shutil.copyfile(path, folder / path.name)
    write_tensors(folder, _with_unused(source, parameters))


def _with_unused(source: Checkpoint, parameters: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    written = set()
    for name, tensor in parameters:
        written.add(name)
        yield name, tensor
    yield from source.tensors({name: shape for name, shape in source.shapes.items() if name not in written})


def write_tensors(folder: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write safetensors files and their index; no more than one file's tensors are held at a time."""
    weight_map: dict[str, str] = {}
    size = 0
    shards: list[Path] = []
    for shard in _shards(tensors):
        shards.append(folder / f"{len(shards)}.safetensors")
        save_file(shard, shards[-1], metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, shards[-1].name))
        size += sum(each.nbytes for each in shard.values())
    names = {each.name: f"model-{i:05}-of-{len(shards):05}.safetensors" for i, each in enumerate(shards, start=1)}
    for each in shards:
        each.rename(folder / names[each.name])
    index = {
        "metadata": {"total_size": size},
        "weight_map": {name: names[shard] for name, shard in weight_map.items()},
    }
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2))


def _shards(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors in their order, in parts of at most :data:`SHARD_BYTES`."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor.detach().contiguous()
        size += tensor.nbytes
    yield shard


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise DamagedAssetsError(
            f"`{path}` is cut short or no safetensors file: {error}. Download it again."
        ) from error


def _read(file: safe_open, path: Path, name: str, shape: Shape) -> Tensor:
    try:
        tensor = file.get_tensor(name)
    except SafetensorError as error:
        raise DamagedAssetsError(f"`{path}` lacks the tensor {name!r} that its index names: {error}.") from error
    if tuple(tensor.shape) != shape:
        raise DamagedAssetsError(
            f"Expect the tensor {name!r} of `{path}` to have the shape {shape}, actually: {tuple(tensor.shape)}. "
            f"Was it made for another configuration?"
        )
    check_finite([(name, tensor)], f"`{path}` is damaged: download it again.")
    return tensor
