"""What a LeRobot dataset says of itself: ``info.json``, ``stats.json``, its tasks and its table of episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_path, atomic_write_text
from vla_envs.wrappers.record import columns, statistics
from vla_envs.wrappers.record.episode import is_image
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
    """The dataset's info."""
    path = folder / INFO
    return json.loads(path.read_text()) if path.is_file() else EMPTY


def read_tasks(folder: Path) -> list[str]:
    """The instructions; the place of each is its ``task_index``."""
    path = folder / TASKS
    return pq.read_table(path)["task"].to_pylist() if path.is_file() else []


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
    merged = {name: statistics.merged([*before, own[name]]) for name, before in _before(folder, info).items()}
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
        pq.write_table(table, scratch)


def _statistics(values: NDArray) -> Statistics:
    return statistics.of_images(values) if is_image(values) else statistics.of_values(values)


def _before(folder: Path, info: Info) -> dict[str, list[Statistics]]:
    """Feature -> statistics of the episodes so far: as one, unless a crash or an edit left ``stats.json`` behind."""
    features, frames = info["features"], info["total_frames"]
    if frames == 0:
        return {name: [] for name in features}
    stats = json.loads((folder / STATS).read_text())
    if stats["index"]["count"] == [frames]:
        return {name: [_arrays(stats[name])] for name in features}
    rows = pq.read_table(folder / EPISODES, filters=[("episode_index", "<", info["total_episodes"])]).to_pylist()
    kinds = stats["index"]
    return {name: [_arrays({kind: row[f"stats/{name}/{kind}"] for kind in kinds}) for row in rows] for name in features}


def _plain(stats: Mapping[str, Statistics]) -> dict[str, dict[str, Any]]:
    return {name: {kind: value.tolist() for kind, value in each.items()} for name, each in stats.items()}


def _arrays(stats: Mapping[str, Any]) -> Statistics:
    return {kind: np.array(value) for kind, value in stats.items()}


def _write_json(path: Path, content: Any) -> None:
    atomic_write_text(path, json.dumps(content, indent=4))
