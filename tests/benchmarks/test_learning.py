"""The command of the learning benchmark."""

import subprocess
import sys

import pytest

pytest.importorskip("ray")

from benchmarks import learning
from benchmarks.learning_arms import results
from tests.benchmarks.learning_arms.made_up import make_result


def leave_result(arm, root):
    """As a finished process does."""
    directory = root / f"{arm}-0"
    directory.mkdir()
    results.write(make_result(arm), directory)


def test_finished_runs_are_not_run_again(tmp_path, monkeypatch, capsys):
    """Their results are printed and drawn."""
    for arm in ("first", "success"):
        leave_result(arm, tmp_path)
    options = ["--arms", "success", "--seeds", "0", "--output", str(tmp_path), "--images", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["learning.py", *options])
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))
    learning.main()
    assert "| success | 1 | 95% [95%, 95%] |" in capsys.readouterr().out
    assert (tmp_path / "learning.png").is_file()


def test_a_process_that_fails_ends_the_comparison(tmp_path):
    """Here the first policy is missing."""
    leave_result("first", tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        learning.tabletop(["success"], [0], tmp_path, tmp_path)
