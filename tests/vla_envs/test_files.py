"""Writing that an interruption cannot leave half done."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import vla_envs.files
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_directory, atomic_path, claimed, expanded, set_aside, user_cache


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


def synced(monkeypatch):
    """The paths that are given to the disk, in their order, and what is renamed in between."""
    done, replace = [], os.replace
    monkeypatch.setattr(vla_envs.files, "_sync", lambda path: done.append(path.name))
    monkeypatch.setattr(os, "replace", lambda source, target: (done.append("renamed"), replace(source, target)))
    return done


def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_after(tmp_path, monkeypatch):
    """A power cut leaves zeros of a renamed file that was not."""
    done = synced(monkeypatch)
    with atomic_path(tmp_path / "a.txt") as path:
        path.touch()
    assert done == [path.name, "renamed", tmp_path.name]


def test_everything_in_a_directory_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = synced(monkeypatch)
    with atomic_directory(tmp_path / "a") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "b.txt").touch()
    assert sorted(done[:3]) == sorted(["inner", "b.txt", folder.name])
    assert done[3:] == ["renamed", tmp_path.name]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), RuntimeError("I/O error: No space left on device (os error 28)")],
)
def test_a_full_disk_is_told_with_the_file(tmp_path, error):
    """Also where a library in Rust has written it."""

    def write():
        with atomic_path(tmp_path / "a.txt"):
            raise error

    with pytest.raises(OSError, match="No space left") as raised:
        write()
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "a.txt"))


def test_a_folder_is_claimed_by_one_process(tmp_path):
    """The error names the other one and its machine; when that is killed, the folder is free."""
    script = (
        "import pathlib, sys, time\n"
        "from vla_envs.files import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1])): print('claimed', flush=True), time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"claimed\n"
        holder = f"process {other.pid} on {socket.gethostname()} works on {tmp_path}"
        with pytest.raises(InvalidArgumentError, match=holder), claimed(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    with claimed(tmp_path):
        pass


def test_what_is_set_aside_hides_nothing(tmp_path, caplog):
    """Each time under another name, with the reason."""
    for text in ("one", "two"):
        (tmp_path / "a.csv").write_text(text)
        set_aside(tmp_path / "a.csv", "a power cut")
    assert [(tmp_path / f"a.csv.damaged-{number}").read_text() for number in (1, 2)] == ["one", "two"]
    assert names(tmp_path) == ["a.csv.damaged-1", "a.csv.damaged-2"]
    assert "set aside as a.csv.damaged-2: a power cut" in caplog.text


class TestHome:
    @pytest.fixture(autouse=True)
    def _homeless(self, monkeypatch):
        """As a container's user without a name is."""
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)

    def test_a_named_cache_needs_no_home(self, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
        assert user_cache() == Path("/cache")

    def test_without_either_the_error_names_both(self, monkeypatch):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        with pytest.raises(InvalidArgumentError, match="set HOME, or XDG_CACHE_HOME"):
            user_cache()

    def test_a_path_without_a_tilde_stays(self):
        assert expanded("a/b") == Path("a/b")
