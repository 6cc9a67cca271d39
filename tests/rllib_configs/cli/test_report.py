"""``vla report``."""

import json
import platform
import shutil
import subprocess

import imageio.v2 as imageio
import numpy as np
import pytest

from rllib_configs.cli import main
from rllib_configs.run.page import MAX_BYTES
from tests.rllib_configs.run.test_page import read

TASKS = ["--environment.task-id", "0", "9", "--num-episodes", "8"]
BLUE = (98, 160, 203)
"""Of bars: 70 % of Matplotlib's blue on white."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Results of the expert and of chance on the same eight prompts."""
    folder = tmp_path_factory.mktemp("results")
    for actor in ("expert", "random"):
        assert main(["evaluate", actor, *TASKS, "--output", str(folder / f"{actor}.jsonl")]) == 0
    return folder


def test_an_evaluation_has_a_page(files, capsys):
    """Beside its file, with the success of each task and what it rests on."""
    assert main(["report", str(files / "expert.jsonl")]) == 0
    assert f"report in {files / 'expert.html'}" in capsys.readouterr().out
    texts = read(files / "expert.html").texts
    assert "expert succeeds in 100% [68%, 100%] of 8 episodes." in texts
    row = texts.index("open the drawer")
    assert texts[row : row + 3] == ["open the drawer", "4", "100% [51%, 100%]"]
    assert texts[texts.index("environment.id") + 1] == '"VLA-Tabletop-v0"'


def test_the_page_of_an_evaluation_shows_its_film(tmp_path, capsys):
    """Of the first episodes."""
    output = tmp_path / "expert.jsonl"
    assert main(["evaluate", "expert", *TASKS, "--output", str(output), "--films", "2"]) == 0
    assert f"film in {tmp_path / 'expert.mp4'}" in capsys.readouterr().out
    assert main(["report", str(output)]) == 0
    assert any(source.startswith("data:video/mp4") for source in read(tmp_path / "expert.html").sources)


def test_the_page_of_a_sweep_shows_each_perturbation(tmp_path):
    """With its success and what it takes away."""
    command = ["evaluate", "expert", *TASKS, "--perturb", "initial_pose", "--severities", "0.5", "1"]
    assert main([*command, "--output", str(tmp_path / "expert.jsonl")]) == 0
    assert main(["report", str(tmp_path / "expert.jsonl")]) == 0
    texts = read(tmp_path / "expert.html").texts
    row = texts.index("1", texts.index("Robustness"))
    assert texts[row - 1 : row + 3] == ["initial_pose", "1", "100% [68%, 100%]", "+0.0 [-32.4, +32.4]"]
    assert "Success by severity, 95 % intervals." in texts


def test_two_evaluations_are_compared(files, tmp_path):
    """With the difference and the outcomes that differ, and without the film of others."""
    (tmp_path / "flipped.mp4").write_bytes(b"film")
    names = [str(files / f"{actor}.jsonl") for actor in ("random", "expert")]
    assert main(["report", *names, "--output", str(tmp_path / "page.html")]) == 0
    assert not any(source.startswith("data:video") for source in read(tmp_path / "page.html").sources)
    texts = read(tmp_path / "page.html").texts
    assert "B (expert) against A (random): +100.0 points of success on the same 8 prompts." in texts
    assert texts[texts.index("prompts: both succeed, A alone, B alone, neither") + 1] == "0, 0, 8, 0"
    assert texts[texts.index("exact McNemar test, for prompts fixed before") + 1] == "p = 0.0078"


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1200])
def test_a_browser_draws_the_page(files, tmp_path, width):
    """Text from the left, blue bars of the figure, and nothing that is cut at the right, on a phone's width too."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium: apt-get install chromium")
    assert main(["report", str(files / "expert.jsonl"), "--output", str(tmp_path / "page.html")]) == 0
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},1600"]
    shot = tmp_path / "page.png"
    command = [browser, *options, f"--screenshot={shot}", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run([*command, (tmp_path / "page.html").as_uri()], check=True, capture_output=True, timeout=120)
    pixels = imageio.imread(shot)[..., :3].astype(int)
    assert pixels.shape[1] == width
    assert (np.abs(pixels - BLUE).max(-1) < 8).sum() > 1000
    assert (pixels.sum(-1) < 200).any(1).sum() > 100
    assert (pixels[:, -8:] == pixels[0, -1]).all()


@pytest.mark.slow
def test_a_run_has_a_page_when_it_ends(quick_run, tmp_path):
    """The command makes the same once more."""
    page = read(quick_run / "report.html")
    assert "Greedy success on 3 held-out episodes: 0% before and 0% after training." in page.texts
    assert {"Success", "Film", "Episodes", "Training", "What it rests on"} <= set(page.texts)
    assert "Held-out success has not reached 80%." in page.texts
    assert page.texts[page.texts.index("rests on.machine.platform") + 1] == json.dumps(platform.platform())
    assert any(source.startswith("data:video/mp4") for source in page.sources)
    assert (quick_run / "report.html").stat().st_size < MAX_BYTES
    assert main(["report", str(quick_run), "--output", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text() == (quick_run / "report.html").read_text()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "one or two files"),
        (["."], "directory of a run"),
        (["nothing.jsonl"], "nothing.jsonl, which does not exist"),
    ],
)
def test_what_has_no_page_is_named(names, problem, capsys, tmp_path, monkeypatch):
    """In one line."""
    monkeypatch.chdir(tmp_path)
    assert main(["report", *names]) == 1
    assert problem in capsys.readouterr().err
