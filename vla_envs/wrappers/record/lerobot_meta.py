"""What a LeRobot dataset says of itself: ``info.json``, ``stats.json``, its tasks and its table of episodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_path, atomic_write_text
from vla_envs.strict_json import read_json
from vla_envs.wrappers.record import columns, statistics
from vla_envs.wrappers.record.episode import is_image, named_damage
from vla_envs.wrappers.record.statistics import Statistics

Info = dict[str, Any]

FILES_PER_CHUNK = 1000
"""LeRobot's default."""
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes"

EMPTY: Info = {
    "codebase_version": "v3.0",
    "robot_type": None,
    "total_episodes": 0,
    "total_frames": 0,
    "total_tasks": 0,
    "chunks_size": FILES_PER_CHUNK,
    "data_files_size_in_mb": 100,
    "video_files_size_in_mb": 200,
    "splits": {},
    "data_path": f"data/{FILE}",
    "video_path": None,
}
"""The info of a dataset without an episode."""


def read_info(folder: Path) -> Info:
    """The dataset's info.

    Raises:
        DamagedRecordingError: it is damaged.
    """
    path = folder / INFO
    if not path.is_file():
        return EMPTY
    with named_damage(path):
        info = read_json(path)
        if any(type(info[key]) is not int or info[key] < 0 for key in ("total_episodes", "total_frames")):
            raise ValueError("`total_episodes` and `total_frames` are integers of at least 0")
        return info


def read_tasks(folder: Path) -> list[str]:
    """The instructions; the place of each is its ``task_index``."""
    path = folder / TASKS
    if not path.is_file():
        return []
    with named_damage(path):
        return read_table(path)["task"].to_pylist()


def read_table(path: Path, **kwargs: Any) -> pa.Table:
    """A table, or those of a folder, whose pages are as they were written; a row takes more than a byte."""
    if path.is_file() and (rows := pq.read_metadata(path).num_rows) > path.stat().st_size:
        raise ValueError(f"{path} says that it has {rows} rows, more than bytes")
    return pq.read_table(path, page_checksum_verification=True, **kwargs)


def check_same(folder: Path, info: Info) -> Info:
    """Return ``info``, or raise when its features or frame rate are not those of the dataset in the folder."""
    before = read_info(folder)
    for key in ("features", "fps"):
        if before.get(key, info[key]) != info[key]:
            raise InvalidArgumentError(
                f"Expect episodes whose {key} in {folder} are {before[key]}, actually: {info[key]}. "
                "Record them in a folder of their own."
            )
    return info


def add_row(
    folder: Path, info: Info, tasks: Sequence[str], file: str, row: Mapping[str, Any], data: Mapping[str, NDArray]
) -> None:
    """Write the row of a new episode to its file and bring everything that depends on it up to date."""
    own = {name: _statistics(values) for name, values in data.items()}
    merged = {name: statistics.merged([*before, own[name]]) for name, before in _before(folder, info, own).items()}
    flat = {f"stats/{name}/{kind}": value for name, each in _plain(own).items() for kind, value in each.items()}
    episodes, frames = info["total_episodes"] + 1, row["dataset_to_index"]
    counts = {"total_episodes": episodes, "total_frames": frames, "total_tasks": len(tasks)}
    write_table(folder, TASKS, columns.task_table(tasks))
    write_table(folder, file, pa.Table.from_pylist([{**row, **flat}]))
    _write_json(folder / STATS, _plain(merged))
    _write_json(folder / INFO, {**info, **counts, "splits": {"train": f"0:{episodes}"}})


def write_table(folder: Path, name: str, table: pa.Table) -> None:
    """Write a table aside and rename it into place: not beside it, where LeRobot would read what a crash left."""
    with atomic_path(folder / name, aside=folder) as scratch:
        pq.write_table(table, scratch, write_page_checksum=True)


def _statistics(values: NDArray) -> Statistics:
    return statistics.of_images(values) if is_image(values) else statistics.of_values(values)


def _before(folder: Path, info: Info, own: Mapping[str, Statistics]) -> dict[str, list[Statistics]]:
    """Feature -> statistics of the episodes so far: as one, unless a crash or an edit left ``stats.json`` behind.

    Raises:
        DamagedRecordingError: they are damaged, or not of the kinds and shapes of the new episode's ``own``.
    """
    frames = info["total_frames"]
    if frames == 0:
        return {name: [] for name in own}
    with named_damage(folder / STATS):
        stats = read_json(folder / STATS)
        if stats["index"]["count"] == [frames]:
            return {name: [_arrays(stats[name], each)] for name, each in own.items()}
    with named_damage(folder / EPISODES):
        only = [("episode_index", "<", info["total_episodes"])]
        rows = read_table(folder / EPISODES, filters=only).to_pylist()
        return {name: [_arrays(_of_row(row, name, each), each) for row in rows] for name, each in own.items()}


def _of_row(row: Mapping[str, Any], name: str, kinds: Iterable[str]) -> dict[str, Any]:
    return {kind: row[f"stats/{name}/{kind}"] for kind in kinds}


def _plain(stats: Mapping[str, Statistics]) -> dict[str, dict[str, Any]]:
    return {name: {kind: value.tolist() for kind, value in each.items()} for name, each in stats.items()}


def _arrays(stats: Mapping[str, Any], like: Statistics) -> Statistics:
    """Statistics from a file, of the kinds and shapes of those in ``like``."""
    arrays = {kind: np.array(stats[kind]) for kind in like}
    for kind, values in arrays.items():
        if values.shape != like[kind].shape or not np.isfinite(values).all():
            raise ValueError(f"`{kind}` is not {like[kind].shape} finite numbers")
    return arrays


def _write_json(path: Path, content: Any) -> None:
    atomic_write_text(path, json.dumps(content, indent=4))
