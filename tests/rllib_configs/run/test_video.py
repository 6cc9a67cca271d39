"""The video of before and after."""

import imageio.v2 as imageio
import numpy as np
import pytest

from rllib_configs.run.actors import greedy
from rllib_configs.run.evaluation import starts_of
from rllib_configs.run.video import CAPTION, COLORS, TILE, Clip, record, tiles_of, write_grid
from tests.rllib_configs.seeker import ENVIRONMENT, Seeker
from vla_envs.spec import Prompt

WHITE, GRAY = Prompt(0, 10), Prompt(1, 10)


@pytest.fixture(scope="module")
def clips():
    """One success and one failure, every control step a frame."""
    return record(greedy(Seeker()), ENVIRONMENT, starts_of([WHITE, GRAY]), stride=1)


def still(value, count):
    return Clip([np.full((16, 16, 3), value, np.uint8)] * count, "stand still", success=False, fps=10.0)


def frames_of(path):
    with imageio.get_reader(path) as reader:
        return [np.asarray(frame) for frame in reader]


def test_an_episode_is_its_first_frame_and_one_per_control_step(clips):
    """12 steps of a failure; the success is faster. Frames are as the environment draws them."""
    success, failure = clips
    assert (success.success, failure.success) == (True, False)
    assert len(failure.frames) == 13
    assert 2 < len(success.frames) < 13
    assert {frame.shape for frame in success.frames} == {(16, 16, 3)}


@pytest.mark.parametrize(("stride", "frames"), [(2, [0, 2, 4, 6, 8, 10, 12]), (5, [0, 5, 10, 12]), (99, [0, 12])])
def test_a_stride_leaves_frames_out_but_never_the_last(clips, stride, frames):
    """Counted in control steps, whatever the chunks are."""
    (strided,) = record(greedy(Seeker()), ENVIRONMENT, starts_of([GRAY]), stride)
    np.testing.assert_array_equal(strided.frames, [clips[1].frames[frame] for frame in frames])
    assert strided.fps == pytest.approx(20 / stride)  # the robot moves as fast as it did


def test_the_file_plays_at_the_rate_of_its_frames(tmp_path):
    """A video with every fourth frame must not show the robot four times as fast."""
    write_grid([("before", [still(50, 3)])], tmp_path / "g.mp4")
    with imageio.get_reader(tmp_path / "g.mp4") as reader:
        assert reader.get_meta_data()["fps"] == 10.0


def test_prompts_do_not_change_each_other(clips):
    """A scene is the same alone and after another."""
    (alone,) = record(greedy(Seeker()), ENVIRONMENT, starts_of([GRAY]), stride=1)
    np.testing.assert_array_equal(alone.frames, clips[1].frames)


def test_the_last_tile_shows_how_the_episode_ended(clips):
    """Green around a success, red around a failure, and no tile before."""
    success, failure = map(tiles_of, clips)
    assert tuple(success[-1][0, 0]) == COLORS[True]
    assert tuple(failure[-1][0, 0]) == COLORS[False]
    assert {tuple(tile[0, 0]) for tile in [*success[:-1], *failure[:-1]]}.isdisjoint(COLORS.values())


def test_every_tile_has_its_picture_and_its_caption(clips):
    """The instruction is under the picture."""
    success, failure = map(tiles_of, clips)
    assert {tile.shape for tile in success} == {(TILE + CAPTION, TILE, 3)}
    assert (success[0][:TILE] != failure[0][:TILE]).any()
    assert (success[0][TILE:] != failure[0][TILE:]).any()


def test_the_grid_has_every_frame_of_the_longest_episode(tmp_path):
    """And a second more to look at the end; nothing else is left in the directory."""
    write_grid([("before", [still(50, 3), still(50, 5)]), ("after", [still(50, 2), still(50, 4)])], tmp_path / "g.mp4")
    frames = frames_of(tmp_path / "g.mp4")
    assert len(frames) == 5 + 10
    assert frames[0].shape == (2 * (TILE + CAPTION), 72 + 2 * TILE, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["g.mp4"]


def test_an_interrupted_video_leaves_nothing(tmp_path):
    """Neither a part of it nor a scratch file."""
    with pytest.raises(ValueError, match="dimension"):
        write_grid([("before", [still(50, 2)]), ("after", [still(50, 2), still(50, 2)])], tmp_path / "g.mp4")
    assert list(tmp_path.iterdir()) == []


def test_an_episode_that_has_ended_shows_its_last_frame(tmp_path):
    """While the other one goes on."""
    short, long = Clip([*still(20, 1).frames, *still(200, 1).frames], "change", success=True, fps=10.0), still(20, 9)
    write_grid([("before", [short, long])], tmp_path / "g.mp4")
    last = frames_of(tmp_path / "g.mp4")[-1]
    inside = slice(20, TILE - 20)
    assert last[inside, 90 : 50 + TILE].mean() == pytest.approx(200, abs=6)
    assert last[inside, 90 + TILE : 50 + 2 * TILE].mean() == pytest.approx(20, abs=6)
