"""``vla bench``."""

from __future__ import annotations

import json

import pytest

from rllib_configs.cli import main
from vla_envs.libero.assets import FOLDERS

SMALL = ["--suite", "libero_object", "--tasks", "0", "--steps", "2", "--image-every", "2", "--image-size", "32"]


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_it_lists_its_benches(capsys, arguments):
    assert main(["bench", *arguments]) == 0
    assert "  parity  " in capsys.readouterr().out


def test_an_unknown_bench_names_the_valid_ones(capsys):
    assert main(["bench", "speed"]) == 1
    assert capsys.readouterr().err == "vla bench: Expect the `bench` to be one of 'parity', actually: 'speed'.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "Expect the `steps` to be at least 1, actually: 0."),
        (["--processes", "0"], "Expect the `processes` to be at least 1, actually: 0."),
        (["--image-every", "0"], "Expect the `image_every` to be at least 1, actually: 0."),
        (["--suite", "libero_100"], "Expect the `suite` to be one of"),
    ],
)
def test_a_bad_option_ends_in_one_line(capsys, options, message):
    assert main(["bench", "parity", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"vla bench: {message}")
    assert error.count("\n") == 1


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
class TestParity:
    def test_a_task_that_the_suite_lacks(self, capsys):
        assert main(["bench", "parity", "--suite", "libero_goal", "--tasks", "10"]) == 1
        assert "`task_id` of suite 'libero_goal' to be an integer from 0 to 9, actually: 10" in capsys.readouterr().err

    @pytest.mark.slow
    def test_a_task_is_equal(self, capsys, tmp_path):
        """In a table for people and a file for machines, which says what the result rests on."""
        output = tmp_path / "parity.json"
        assert main(["bench", "parity", *SMALL, "--output", str(output)]) == 0
        printed = capsys.readouterr().out
        assert "libero_object 0" in printed
        assert "1 of 1 tasks are equal over 2 control steps and 4 images" in printed
        report = json.loads(output.read_text())
        assert report["equal"] is True
        assert report["versions"]["mujoco"] == "3.3.7"
        assert {"stand_ins", "render_quality", "opengl", "limit", "arguments"} <= set(report)
        (task,) = report["tasks"]
        assert (task["steps"], task["images"], task["equal"]) == (2, 4, True)

    @pytest.mark.slow
    def test_a_task_that_cannot_be_compared(self, capsys, tmp_path, monkeypatch):
        """It fails the bench, the others still run."""
        for folder in FOLDERS:
            (tmp_path / folder).mkdir()
        monkeypatch.setenv("VLA_LIBERO_ASSETS", str(tmp_path))
        output = tmp_path / "parity.json"
        assert main(["bench", "parity", *SMALL, "--tasks", "0", "1", "--output", str(output)]) == 1
        printed = capsys.readouterr().out
        assert "0 of 2 tasks are equal" in printed
        assert "libero_object 1: DamagedAssetsError: The assets at" in printed
        assert all("do not build task" in task["error"] for task in json.loads(output.read_text())["tasks"])
