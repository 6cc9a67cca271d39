"""The command of the learning benchmark."""

import subprocess
import sys

import pytest

pytest.importorskip("ray")

from benchmarks import learning
from benchmarks.learning_arms import arms, results
from tests.benchmarks.learning_arms.made_up import make_result
from vla_envs.errors import InvalidArgumentError


def leave_result(arm, root):
    """As a finished process does."""
    experiment = arms.experiment(arm, 0, root)
    directory = root / experiment.name
    directory.mkdir()
    (directory / "config.json").write_text(experiment.to_json())
    results.write(make_result(arm), directory)
    return directory


def test_finished_runs_are_not_run_again(tmp_path, monkeypatch, capsys):
    """Their results are printed and drawn."""
    for arm in ("initial", "success"):
        leave_result(arm, tmp_path)
    options = ["--arms", "success", "--seeds", "0", "--output", str(tmp_path), "--plot", str(tmp_path / "learning.png")]
    monkeypatch.setattr(sys, "argv", ["learning.py", *options])
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))
    learning.main()
    assert "| success | 1 | 95% [95%, 95%] |" in capsys.readouterr().out
    assert (tmp_path / "learning.png").is_file()


def test_a_run_of_another_experiment_is_refused(tmp_path):
    """Its result would stand under a name that it is not."""
    directory = leave_result("initial", tmp_path)
    config = (directory / "config.json").read_text()
    (directory / "config.json").write_text(
        config.replace('"demonstrations_per_task": 30', '"demonstrations_per_task": 10')
    )
    with pytest.raises(
        InvalidArgumentError, match="initial-0` is a run of another experiment than the arm 'initial' is now"
    ):
        learning.tabletop(["success"], [0], tmp_path, tmp_path / "learning.png")


def test_a_process_that_fails_ends_the_comparison(tmp_path):
    """Here the initial policy is missing."""
    leave_result("initial", tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        learning.tabletop(["success"], [0], tmp_path, tmp_path / "learning.png")
