"""``vla train --resume``."""

from rllib_configs.cli import main


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
