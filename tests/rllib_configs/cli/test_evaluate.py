"""``vla evaluate``."""

import json
import re

import pytest

from rllib_configs.cli import main


def test_it_wants_the_directory_of_a_run(capsys, tmp_path):
    """The error names what was given."""
    assert main(["evaluate", str(tmp_path)]) == 1
    assert f"actually: {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(("output", "problem"), [("", "be a file"), ("note/result.json", "note is no directory")])
@pytest.mark.parametrize("command", [("evaluate", "runs/none"), ("bench", "parity")])
def test_an_output_that_cannot_be_written_is_named_before_any_work(capsys, tmp_path, command, output, problem):
    """Not after the last episode."""
    (tmp_path / "note").touch()
    assert main([*command, "--output", str(tmp_path / output)]) == 1
    assert re.search(f"`--output`.*{problem}", capsys.readouterr().err)


@pytest.mark.slow
class TestRun:
    def test_it_finds_what_the_run_found(self, quick_run, capsys, tmp_path):
        """The same episodes, in a file and as a rate with its interval."""
        output = tmp_path / "result.json"
        assert main(["evaluate", str(quick_run), "--num-episodes", "3", "--output", str(output)]) == 0
        assert "success 0.0% [0.0%, 56.1%] over 3 episodes" in capsys.readouterr().out
        result = json.loads(output.read_text())
        assert result["episodes"] == json.loads((quick_run / "episodes.json").read_text())["after"]
        assert {key: result[key] for key in ("run", "split", "success_rate")} == {
            "run": str(quick_run),
            "split": "eval",
            "success_rate": 0.0,
        }

    def test_training_states_are_refused_unless_allowed(self, quick_run, capsys):
        """As a table of results should."""
        command = ["evaluate", str(quick_run), "--split", "train", "--num-episodes", "1"]
        assert main(command) == 1
        assert "--train-ok" in capsys.readouterr().err
        assert main([*command, "--train-ok"]) == 0

    def test_it_says_when_a_run_has_not_ended(self, quick_run, capsys, tmp_path):
        """It has a configuration and no policy yet."""
        (tmp_path / "config.json").write_text((quick_run / "config.json").read_text())
        assert main(["evaluate", str(tmp_path)]) == 1
        assert "has no trained policy" in capsys.readouterr().err

    def test_it_names_a_damaged_policy(self, quick_run, capsys, tmp_path):
        """In one line."""
        (tmp_path / "config.json").write_text((quick_run / "config.json").read_text())
        (tmp_path / "policy").mkdir()
        (tmp_path / "policy" / "config.json").write_text((quick_run / "policy" / "config.json").read_text())
        (tmp_path / "policy" / "model.safetensors").write_bytes(b"half")
        assert main(["evaluate", str(tmp_path)]) == 1
        assert str(tmp_path / "policy" / "model.safetensors") in capsys.readouterr().err
