"""Writing that an interruption cannot leave half done."""

import os
from pathlib import Path

import pytest

from vla_envs.files import atomic_directory, atomic_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_under_its_own_suffix(tmp_path):
    """From which imageio and matplotlib read the format."""
    with atomic_path(tmp_path / "new" / "video.mp4") as path:
        assert path.suffix == ".mp4"
        path.write_text("whole")
        assert not (tmp_path / "new" / "video.mp4").exists()
    assert names(tmp_path / "new") == ["video.mp4"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, error):
    """And nothing beside it."""
    (tmp_path / "a.txt").write_text("old")

    def write_half():
        with atomic_path(tmp_path / "a.txt") as path:
            path.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_directory_replaces_another(tmp_path):
    """With everything in it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.txt").touch()
    with atomic_directory(tmp_path / "a") as folder:
        (folder / "new.txt").touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["new.txt"]


def test_a_directory_that_cannot_be_put_in_place_gives_the_old_one_back(tmp_path, monkeypatch):
    """The first rename has already moved it away then."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.txt").touch()
    replace = os.replace

    def fails_for_the_new_one(source, target):
        if (Path(source) / "new.txt").exists():
            raise OSError("no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_for_the_new_one)
    with pytest.raises(OSError, match="no"), atomic_directory(tmp_path / "a") as folder:
        (folder / "new.txt").touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["old.txt"]


def test_an_old_directory_that_cannot_go_back_is_not_deleted(tmp_path, monkeypatch):
    """It stays in the hidden folder beside its place."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.txt").touch()
    replace = os.replace

    def fails_into_place(source, target):
        if Path(target) == tmp_path / "a":
            raise OSError("no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_into_place)
    with pytest.raises(OSError, match="no"), atomic_directory(tmp_path / "a"):
        pass
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["old.txt"]
