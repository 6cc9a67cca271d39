"""Writing that an interruption cannot leave half done."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

import vla_envs.files
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import (
    atomic_directory,
    atomic_path,
    check_writable,
    claimed,
    clear_scratch,
    exclusive,
    expanded,
    set_aside,
    user_cache,
)


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
    [
        OSError(errno.ENOSPC, "full"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
    ],
)
def test_a_full_disk_is_told_with_the_file(tmp_path, error):
    """Also where a library in Rust has written it, or a whole folder was copied."""

    def write():
        with atomic_path(tmp_path / "a.txt"):
            raise error

    with pytest.raises(OSError, match="No space left") as raised:
        write()
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "a.txt"))


WRITING = """
import os, pathlib, signal, sys, time
from vla_envs.files import atomic_directory, atomic_path

def wait():
    print("writing", flush=True)
    time.sleep(600)

def write_directory(target):
    with atomic_directory(target) as folder:
        (folder / "half.txt").touch()
        wait()

def write_file(target):
    with atomic_path(target) as path:
        path.touch()
        wait()

def replace_directory(target):
    replace = os.replace
    os.replace = lambda source, place: wait() if place == target else replace(source, place)
    with atomic_directory(target) as folder:
        (folder / "new.txt").touch()

locals()[sys.argv[1]](pathlib.Path(sys.argv[2]))
"""
"""A process that stops half way."""


@pytest.fixture
def writing():
    """Starts processes that are half way when the call returns, and kills them after the test."""
    started = []

    def start(function, target):
        command = [sys.executable, "-c", WRITING, function, str(target)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert started[-1].stdout.readline() == b"writing\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def killed(process):
    process.kill()  # SIGKILL
    process.wait()


def write_a_directory(folder):
    with atomic_directory(folder / "other"):
        pass


def write_a_file(folder):
    with atomic_path(folder / "other") as path:
        path.touch()


def hold(folder):
    with exclusive(folder):
        pass


@pytest.mark.parametrize(
    ("function", "next_run"),
    [("write_directory", write_a_file), ("write_file", write_a_directory), ("write_directory", hold)],
)
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, writing, function, next_run):
    """Whatever that one writes in the folder; what a living process is writing stays until it dies."""
    process = writing(function, tmp_path / "a.txt")
    next_run(tmp_path)
    (scratch,) = set(names(tmp_path)) - {"other"}
    assert scratch.startswith(".a.txt.")
    killed(process)
    next_run(tmp_path)
    assert set(names(tmp_path)) <= {"other"}


def test_what_a_killed_process_was_replacing_goes_back(tmp_path, writing):
    """Between the two renames of a directory nothing has its name."""
    target = tmp_path / "a"
    target.mkdir()
    (target / "old.txt").touch()
    killed(writing("replace_directory", target))
    assert not target.exists()
    clear_scratch(tmp_path)
    assert names(tmp_path) == ["a"]
    assert names(target) == ["old.txt"]


def test_hidden_folders_of_others_stay(tmp_path):
    """Whatever their names end with."""
    for name in (".git", ".a.scratch", ".a.12345678.scratch"):
        (tmp_path / name).mkdir()
    clear_scratch(tmp_path)
    assert names(tmp_path) == [".a.12345678.scratch", ".a.scratch", ".git"]


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


@pytest.mark.skipif(os.getuid() != 0, reason="changes the user of a process")
def test_a_folder_of_another_user_cannot_be_written():
    """Not even made; where that user may write, folders can be made."""

    def is_refused(folder):
        if not (child := os.fork()):
            os.setuid(65534)
            with suppress(InvalidArgumentError):
                check_writable(folder, "runs", "")
                os._exit(0)
            os._exit(3)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3

    with tempfile.TemporaryDirectory() as folder:  # that of pytest cannot be reached by others
        os.chmod(folder, 0o755)
        assert is_refused(Path(folder) / "runs")
        os.chmod(folder, 0o777)
        assert not is_refused(Path(folder) / "runs")
