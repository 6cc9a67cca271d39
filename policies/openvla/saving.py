"""Writes tensors and files in the layout of the official checkpoints, which the original code loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from policies.openvla.checkpoint import INDEX_FILE, Checkpoint

SHARD_BYTES = 5 * 10**9
"""Most bytes in a file, as in the official checkpoints."""


def write_checkpoint(folder: Path, source: Checkpoint, parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Write a checkpoint with other parameters.

    Args:
        folder: an empty directory.
        source: whose other files are copied, the code that the original loads among them, and whose tensors that no
            policy uses, such as the last block of the vision transformers, are written again.
        parameters: official name and value of each.
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
    shards = []
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
    """The tensors in their order, in parts of at most :data:`SHARD_BYTES`."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor.detach().contiguous()
        size += tensor.nbytes
    yield shard
