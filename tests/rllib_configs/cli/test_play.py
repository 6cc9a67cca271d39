"""``vla play``."""

import imageio.v2 as imageio
import numpy as np
import pytest

from rllib_configs.cli import main, play

TASKS = ["--environment.task-id", "0", "9", "--num-episodes", "2"]


@pytest.fixture(autouse=True)
def no_display(monkeypatch, tmp_path):
    """As on a server, in a directory of the test's own."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_film_shows_the_episodes_side_by_side(tmp_path, capsys):
    """Of the expert, who succeeds in both; the last frame is not the first."""
    assert main(["play", "expert", *TASKS, "--output", "film.mp4"]) == 0
    assert "2 of 2 episodes succeed: film in film.mp4" in capsys.readouterr().out
    frames = imageio.mimread(tmp_path / "film.mp4", memtest=False)
    height, width, _ = frames[0].shape
    assert width > 2 * 192 > height
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 1


def test_without_a_display_there_is_a_film(tmp_path):
    """Whether or not one is asked for."""
    assert main(["play", "random", *TASKS, "--environment.max-episode-steps", "4"]) == 0
    assert (tmp_path / play.FILM).is_file()


def test_with_a_display_a_window_shows_the_episodes(monkeypatch, capsys, tmp_path):
    """Here one that SDL draws nowhere."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    drawn = []
    monkeypatch.setattr(pygame.display, "flip", lambda: drawn.append(pygame.display.get_surface().get_size()))
    assert main(["play", "expert", *TASKS]) == 0
    printed = capsys.readouterr().out
    assert "success: put the red cube on the blue plate (initial state 50)" in printed
    assert "success: open the drawer (initial state 50)" in printed
    assert len(drawn) > 20
    assert not (tmp_path / play.FILM).exists()


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_says_what_can_be_watched(arguments, capsys):
    """And where it is shown."""
    assert main(["play", *arguments]) == 0
    assert "usage: vla play WHAT" in capsys.readouterr().out


def test_a_film_that_cannot_be_written_is_named(capsys, tmp_path):
    """Before any episode."""
    assert main(["play", "expert", "--output", str(tmp_path)]) == 1
    assert "`--output` to be a file" in capsys.readouterr().err
