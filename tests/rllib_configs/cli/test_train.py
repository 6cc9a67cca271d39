"""``vla train --resume``."""

import os
import subprocess
import sys
from pathlib import Path

from rllib_configs.cli import main

ROOT = Path(__file__).resolve().parents[3]


def test_help_says_how_to_resume(capsys):
    """Beside how to begin."""
    assert main(["train", "--help"]) == 0
    assert "vla train --resume RUN" in capsys.readouterr().out


def test_other_options_are_refused_with_the_reason(capsys):
    """And with the command of a new run."""
    assert main(["train", "tabletop_ttrl", "--resume", "runs/first", "--ppo.learning-rate", "1"]) == 1
    error = capsys.readouterr().err
    assert "results are those of one experiment" in error
    assert "actually: tabletop_ttrl --ppo.learning-rate 1." in error
    assert "--policy.path runs/first/policy" in error


def test_only_a_run_can_be_resumed(tmp_path, capsys):
    """The error names what was given."""
    assert main(["train", f"--resume={tmp_path}"]) == 1
    assert f"actually: {tmp_path}" in capsys.readouterr().err


def test_weights_and_biases_must_be_installed_to_be_asked_for(capsys, tmp_path, monkeypatch):
    """Which is said before anything is written."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "tabletop_ttrl", "--wandb-project", "robots"]) == 1
    assert "pip install 'vla-envs[wandb]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_one_line_without_the_notices_of_rllib(tmp_path):
    """In a process of its own, as a person runs it."""
    code = "import sys; from rllib_configs.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", "tabletop_ttrl", "--policy.path", "nope"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("vla train: ")
    assert run.stderr.count("\n") == 1
