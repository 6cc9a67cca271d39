"""What a run leaves for people: the learning curve as a picture, and success before and after as a table."""

import imageio.v2 as imageio
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from rllib_configs.run.evaluation import Episode
from rllib_configs.run.report import CurvePoint, curve_figure, markdown, plot_curve, success_table
from rllib_configs.run.statistics import success_interval

SAMPLED = (0.1, None, 0.5, 0.3)
POINTS = [CurvePoint(0, 2, 10), CurvePoint(2, 6, 10), CurvePoint(4, 9, 10)]

NOWHERE = (0.13, 0.95)
"""Where no line passes, also none of the grid."""


@pytest.fixture
def axes():
    """The curve's, drawn."""
    figure = curve_figure(SAMPLED, POINTS, "run")
    figure.set_dpi(120)
    figure.draw_without_rendering()
    return figure.axes[0]


def picture(path, points=POINTS):
    plot_curve(SAMPLED, points, "run", path)
    return imageio.imread(path)[..., :3]


def test_sampled_success_is_a_line_with_gaps(axes):
    """From the first iteration on; what was not measured is no zero."""
    sampled, _ = axes.lines
    assert sampled.get_xdata().tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(sampled.get_ydata(), [0.1, np.nan, 0.5, 0.3])


def test_greedy_success_is_a_line_with_a_mark_at_each_evaluation(axes):
    _, greedy = axes.lines
    assert greedy.get_marker() == "o"
    assert (list(greedy.get_xdata()), list(greedy.get_ydata())) == ([0, 2, 4], [0.2, 0.6, 0.9])


def test_the_band_is_the_interval_of_each_evaluation(axes):
    (band,) = axes.collections
    corners = {tuple(corner) for path in band.get_paths() for corner in path.vertices.tolist()}
    for point in POINTS:
        low, high = success_interval(point.successes, point.episodes)
        assert {(point.iteration, low), (point.iteration, high)} <= corners


@pytest.mark.parametrize(("line", "where"), [(0, (3.5, 0.4)), (1, (2, 0.6)), (1, (1, 0.4)), (1, (4, 0.9))])
def test_the_picture_has_the_lines_where_the_numbers_are(axes, tmp_path, line, where):
    """In their colors, and nothing of that color where no number is; nothing else is left in the folder."""
    image = picture(tmp_path / "curve.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
    color = 255 * np.array(to_rgb(axes.lines[line].get_color()))
    assert nearest(image, axes, where, color) < 40
    assert nearest(image, axes, NOWHERE, color) > 60


def nearest(image, axes, where, color):
    """How far the pixels around a point of the axes are from a color, at best."""
    x, y = axes.transData.transform(where).round().astype(int)
    row = len(image) - 1 - y
    return np.abs(image[row - 2 : row + 3, x - 2 : x + 3] - color).max(2).min()


def test_a_later_curve_replaces_the_earlier_one(tmp_path):
    """It is drawn anew at every evaluation."""
    first = picture(tmp_path / "curve.png", points=POINTS[:1])
    second = picture(tmp_path / "curve.png")
    assert first.shape == second.shape
    assert (first != second).any()


def test_the_curve_can_be_drawn_before_the_first_iteration():
    """From the evaluation of the initial policy alone."""
    sampled, greedy = curve_figure((), POINTS[:1], "run").axes[0].lines
    assert (list(sampled.get_ydata()), list(greedy.get_ydata())) == ([], [0.2])


def test_more_episodes_narrow_the_band(tmp_path):
    """The same rate, measured more often, leaves more of the picture white."""
    few = picture(tmp_path / "few.png")
    often = [CurvePoint(point.iteration, 100 * point.successes, 100 * point.episodes) for point in POINTS]
    many = picture(tmp_path / "many.png", often)
    white = [np.mean((image == 255).all(-1)) for image in (few, many)]
    assert white[1] > white[0]


TASKS = {0: "open the drawer", 3: "stack the cubes"}


def episodes(task_id, successes, count):
    return [Episode(TASKS[task_id], task_id, index, index < successes, 10, 80) for index in range(count)]


BEFORE = episodes(3, 0, 4) + episodes(0, 2, 4)
AFTER = episodes(3, 1, 4) + episodes(0, 4, 4)


def test_tasks_come_in_order_and_all_of_them_last():
    """Under one header."""
    names, counts, *_ = zip(*success_table({"before": BEFORE, "after": AFTER}), strict=True)
    assert names == ("task", "open the drawer", "stack the cubes", "all tasks")
    assert counts == ("episodes", "4", "4", "8")


def test_rates_have_their_interval():
    """Wilson's, in per cent."""
    rows = {row[0]: row[2:] for row in success_table({"before": BEFORE, "after": AFTER})}
    assert rows["open the drawer"] == ("50% [15%, 85%]", "100% [51%, 100%]")
    assert rows["stack the cubes"] == ("0% [0%, 49%]", "25% [5%, 70%]")
    assert rows["all tasks"] == ("25% [7%, 59%]", "62% [31%, 86%]")


def test_a_task_without_episodes_after_has_a_dash():
    """Instead of a division by zero."""
    rows = {row[0]: row for row in success_table({"before": BEFORE, "after": AFTER[:4]})}
    assert rows["open the drawer"][1:] == ("0", "50% [15%, 85%]", "-")


def test_markdown_has_a_line_per_row_under_its_rule():
    """And as many cells in each."""
    lines = markdown(success_table({"before": BEFORE, "after": AFTER})).splitlines()
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {5}
    assert set(lines[1]) == {"|", "-"}
