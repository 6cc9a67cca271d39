"""Recordings that a disk, a copy or an editor has damaged."""

import json
import shutil

import h5py
import numpy as np
import pytest

from tests.vla_envs.wrappers.record.conftest import record_reach
from vla_envs.errors import DamagedRecordingError
from vla_envs.wrappers.record import read_episode


@pytest.fixture
def recorded(tmp_path, format):
    """A folder with two episodes, and its files."""
    folder = tmp_path / "sound"
    record_reach(folder, format, episodes=2)
    return folder, sorted(path for path in folder.rglob("*") if path.is_file())


def same(episode, other):
    np.testing.assert_equal(episode.observations, other.observations)
    np.testing.assert_equal(episode.actions, other.actions)
    np.testing.assert_equal(episode.rewards, other.rewards)
    return episode.origin == other.origin


def test_a_changed_byte_is_told_or_means_nothing(recorded):
    """Whichever byte it is: the episode is what was recorded, or the error names the file."""
    folder, files = recorded
    sound = read_episode(folder, 1)
    refused = 0
    for file in files:
        content = file.read_bytes()
        for place in range(0, len(content), len(content) // (120 // len(files)) + 1):
            file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
            try:
                assert same(read_episode(folder, 1), sound), (file, place)
            except DamagedRecordingError as error:
                refused += str(folder) in str(error)
        file.write_bytes(content)
    assert refused > 5
    assert same(read_episode(folder, 1), sound)


def test_a_file_that_is_cut_short_is_named(recorded):
    """Which is what a copy leaves that did not finish."""
    folder, files = recorded
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        unread = ("meta/stats.json", "meta/tasks.parquet", "data/chunk-000/file-000.parquet")
        if not str(file).endswith(unread):  # what only a recorder reads, and the other episode
            with pytest.raises(DamagedRecordingError, match=str(folder)):
                read_episode(folder, 1)
        file.write_bytes(content)


def test_damage_stays_where_it_is_when_another_episode_is_recorded(recorded, format):
    """Every file stays as it is, for whoever wants to mend it."""
    folder, files = recorded
    for file in files:
        if file.parent.name == "chunk-000":  # of one episode alone
            continue
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        before = {path: path.read_bytes() for path in files}
        with pytest.raises(DamagedRecordingError, match=str(folder)):
            record_reach(folder, format)
        assert {path: path.read_bytes() for path in files} == before
        file.write_bytes(content)


def test_every_number_in_hdf5_has_a_checksum_that_other_readers_check(tmp_path):
    """By the library's own filter, and what stands around the numbers by the version of the format."""
    record_reach(tmp_path, "hdf5")
    (path,) = tmp_path.rglob("*.hdf5")
    with h5py.File(path) as file:
        datasets = []
        file.visititems(lambda name, each: datasets.append(each) if isinstance(each, h5py.Dataset) else None)
        assert len(datasets) > 5
        assert all(each.fletcher32 for each in datasets)
        assert file.id.get_create_plist().get_version()[0] == 3


def test_hdf5_that_claims_more_numbers_than_it_has_is_not_read(tmp_path):
    """A dataset of 2**40 rows without a chunk takes no space in a file, and terabytes once it is read."""
    record_reach(tmp_path, "hdf5")
    (path,) = tmp_path.rglob("*.hdf5")
    with h5py.File(path, "a") as file:
        del file["data/demo_0/rewards"]
        file["data/demo_0"].create_dataset("rewards", (2**40,), np.float32, chunks=(1024,))
    with pytest.raises(DamagedRecordingError, match="4398046511104 bytes"):
        read_episode(tmp_path)


@pytest.mark.parametrize("change", ['"total_episodes": 2', '"total_frames": 24'])
@pytest.mark.parametrize("value", ["-1", '"2"', "true", "[" * 100_000, "1e12", "NaN"])
def test_counts_that_are_none_are_named(tmp_path, change, value):
    """Nested deeper than Python's stack among them."""
    record_reach(tmp_path, "lerobot", episodes=2)
    info = tmp_path / "meta" / "info.json"
    name = change.partition(":")[0]
    assert change in info.read_text()
    info.write_text(info.read_text().replace(change, f"{name}: {value}"))
    with pytest.raises(DamagedRecordingError, match=r"meta/info\.json"):
        read_episode(tmp_path)


def test_statistics_of_other_shapes_are_not_merged(tmp_path):
    """They would be repeated to fit."""
    record_reach(tmp_path, "lerobot")
    path = tmp_path / "meta" / "stats.json"
    stats = json.loads(path.read_text())
    stats["action"]["mean"] = [0.0]
    path.write_text(json.dumps(stats))
    with pytest.raises(DamagedRecordingError, match=r"stats\.json.*finite numbers"):
        record_reach(tmp_path, "lerobot")


def test_a_recording_without_a_digest_is_read(tmp_path):
    """Those of earlier versions have none."""
    record_reach(tmp_path / "new", "hdf5")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    (path,) = (tmp_path / "old").rglob("*.hdf5")
    with h5py.File(path, "a") as file:
        del file["data/demo_0"].attrs["sha256"]
    assert same(read_episode(tmp_path / "old"), read_episode(tmp_path / "new"))
