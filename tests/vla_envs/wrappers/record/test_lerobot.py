"""LeRobot's dataset format, read by the rules of LeRobot 0.4.4's and 0.6.2's own reader."""

import json
import os

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest

from tests.vla_envs.wrappers.record.conftest import record_reach, solve, tabletop
from vla_envs.wrappers.record import RecordTrajectory, lerobot, lerobot_meta, read_episode, replay


@pytest.fixture
def folder(tmp_path):
    """Three solved episodes of two tasks."""
    env = RecordTrajectory(tabletop(), tmp_path)
    for task_id in (0, 1, 0):
        solve(env, task_id)
    return tmp_path


def read_data(folder):
    """All frames, as LeRobot finds them."""
    return pq.read_table([str(path) for path in sorted((folder / "data").glob("*/*.parquet"))])


def test_the_info_counts_episodes_frames_and_tasks(folder):
    """And names the version of the format and where the files are."""
    info = json.loads((folder / "meta" / "info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_tasks"], info["splits"]) == (3, 2, {"train": "0:3"})
    assert info["total_frames"] == len(read_data(folder))
    assert info["fps"] == 20
    assert (folder / info["data_path"].format(chunk_index=0, file_index=2)).is_file()


def test_every_column_is_a_feature(folder):
    """LeRobot casts the files to the features of the info."""
    info = json.loads((folder / "meta" / "info.json").read_text())
    assert list(info["features"]) == read_data(folder).column_names
    assert info["features"]["action"] == {"dtype": "float32", "shape": [7], "names": None}
    assert info["features"]["observation.images.image"]["shape"] == [16, 16, 3]
    assert info["features"]["next.done"]["shape"] == [1]


def test_the_table_of_episodes_cuts_the_frames(folder):
    """``dataset_from_index`` to ``dataset_to_index``, which the column ``index`` runs through."""
    frames = read_data(folder)
    episodes = pq.read_table(folder / "meta" / "episodes").to_pylist()
    assert frames["index"].to_pylist() == list(range(len(frames)))
    for episode in episodes:
        rows = frames.slice(episode["dataset_from_index"], episode["length"])
        assert set(rows["episode_index"].to_pylist()) == {episode["episode_index"]}
        assert rows["frame_index"].to_pylist() == list(range(episode["length"]))
        assert rows["next.done"].to_pylist() == [False] * (episode["length"] - 1) + [True]
    assert episodes[-1]["dataset_to_index"] == len(frames)
    assert [episode["success"] for episode in episodes] == [True] * 3


def test_pandas_finds_tasks_by_their_index(folder):
    """LeRobot reads ``tasks.iloc[task_index].name``."""
    tasks = pandas.read_parquet(folder / "meta" / "tasks.parquet")
    instructions = [read_episode(folder, index).origin.instruction for index in range(3)]
    assert [tasks.iloc[index].name for index in range(2)] == instructions[:2]
    assert tasks.loc[instructions[1]]["task_index"] == 1


def test_statistics_are_those_of_all_frames(folder):
    """Images count per channel, scaled to [0, 1]."""
    stats = json.loads((folder / "meta" / "stats.json").read_text())
    episodes = [read_episode(folder, index) for index in range(3)]
    actions = np.concatenate([episode.actions for episode in episodes]).astype(np.float64)
    images = np.concatenate([episode.observations["image"] for episode in episodes]) / 255
    np.testing.assert_allclose(stats["action"]["std"], actions.std(axis=0), atol=1e-12)
    np.testing.assert_allclose(stats["action"]["max"], actions.max(axis=0))
    np.testing.assert_allclose(np.ravel(stats["observation.images.image"]["mean"]), images.mean(axis=(0, 1, 2)))
    assert np.shape(stats["observation.images.image"]["q99"]) == (3, 1, 1)
    assert stats["action"]["count"] == [len(actions)]


def test_chunks_are_rows_at_their_own_rate(tmp_path):
    """20 Hz in chunks of 8: 2.5 rows per second, each at its time."""
    solve(RecordTrajectory(tabletop(chunk_size=8), tmp_path))
    info = json.loads((tmp_path / "meta" / "info.json").read_text())
    assert info["fps"] == 2.5
    assert info["features"]["action"]["shape"] == [8, 7]
    np.testing.assert_allclose(read_data(tmp_path)["timestamp"].to_pylist()[:2], [0.0, 0.4])


@pytest.mark.parametrize("renames", range(5))
def test_an_interruption_keeps_the_episodes_so_far(tmp_path, monkeypatch, renames):
    """Wherever it falls: no file is broken, and the next run carries on."""
    record_reach(tmp_path, episodes=2)
    episode = read_episode(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted_after(renames))
        with pytest.raises(KeyboardInterrupt):
            lerobot.add_episode(tmp_path, episode)
    assert lerobot_meta.read_info(tmp_path)["total_episodes"] == 2
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text())
    for path in tmp_path.glob("*/**/*.parquet"):
        pq.read_table(path)
    record_reach(tmp_path, episodes=1)
    assert [replay(tmp_path, index).origin.init_state_id for index in range(3)] == [0, 1, 0]
    stats = json.loads((tmp_path / "meta" / "stats.json").read_text())
    assert stats["index"]["count"] == [len(read_data(tmp_path))] == [36]
    assert stats["index"]["max"] == [35]


def interrupted_after(renames):
    """``os.replace`` that works so many times."""
    replace, calls = os.replace, iter(range(renames))

    def interrupt(source, target):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        replace(source, target)

    return interrupt
