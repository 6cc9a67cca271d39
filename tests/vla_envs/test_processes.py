"""What processes of our own import."""

import os
import sys
import threading
from pathlib import Path

import pytest

from vla_envs.libero.verify.doctor import in_fresh_process
from vla_envs.processes import environment_variables, import_settings

HOSTILE = "import pathlib; pathlib.Path(__file__).with_name('executed').touch()"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, ["/first"]),
        ("", ["/first"]),
        (":", ["/first"]),
        ("/a:", ["/first", "/a"]),
        (":/a::/b", ["/first", "/a", "/b"]),
    ],
)
def test_no_entry_stands_for_the_working_directory(monkeypatch, own, expected):
    """As an empty one does, also the one behind a last colon."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if own is not None:
        monkeypatch.setenv("PYTHONPATH", own)
    assert import_settings(Path("/first"))["PYTHONPATH"].split(os.pathsep) == expected


def test_nothing_at_all_is_no_entry(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":")
    assert import_settings()["PYTHONPATH"] == ""


def test_variables_are_set_for_a_while(monkeypatch):
    """Those that were not there are not there again."""
    monkeypatch.setenv("VLA_A", "before")
    monkeypatch.delenv("VLA_B", raising=False)
    with environment_variables({"VLA_A": None, "VLA_B": "b"}):
        assert (os.environ.get("VLA_A"), os.environ.get("VLA_B")) == (None, "b")
    assert (os.environ.get("VLA_A"), os.environ.get("VLA_B")) == ("before", None)


def test_threads_take_turns(monkeypatch):
    """Or the second one finds what the first has set and brings it back for good."""
    monkeypatch.delenv("VLA_A", raising=False)
    inside = threading.Event()

    def second():
        with environment_variables({"VLA_A": "second"}):
            inside.set()

    with environment_variables({"VLA_A": "first"}):
        thread = threading.Thread(target=second)
        thread.start()
        assert not inside.wait(0.1)
        assert os.environ["VLA_A"] == "first"
    thread.join()
    assert inside.is_set()
    assert "VLA_A" not in os.environ


@pytest.mark.skipif(sys.version_info < (3, 11), reason="an older Python cannot be told to be safe")
def test_a_fresh_process_runs_nothing_of_the_working_directory(tmp_path, monkeypatch):
    """Which Python puts before everything else where it is started by `-c`, as multiprocessing does."""
    for name in ("pickle", "socket", "queue", "json", "runpy"):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}")
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    assert in_fresh_process(divmod, 7, 2) == (3, 1)
    assert not (tmp_path / "executed").exists()
