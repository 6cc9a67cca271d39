"""Scalars of every iteration on disk."""

import csv
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rllib_configs.report.log import SCALARS, ResultLog

RESULT = {"ttrl": {"success_rate": 0.25, "reward": 0.125}, "learners": {"default_policy": {"approx_kl": 0.5}}}


@pytest.fixture
def directory(tmp_path):
    """Two iterations, of which the second was evaluated and had nothing to learn from."""
    log = ResultLog(tmp_path)
    log.write(1, RESULT, None)
    log.write(2, {"ttrl": {"success_rate": 0.75}, "learners": {"default_policy": {"approx_kl": math.nan}}}, 0.5)
    log.close()
    return tmp_path


def test_there_is_a_row_per_iteration(directory):
    """With a column per scalar, empty where the result lacks it."""
    with (directory / "progress.csv").open() as file:
        first, second = csv.DictReader(file)
    assert set(first) == {"iteration", "eval/success_rate", *SCALARS}
    assert (first["iteration"], second["iteration"]) == ("1", "2")
    assert (first["ttrl/success_rate"], second["ttrl/success_rate"]) == ("0.25", "0.75")
    assert (first["policy/approx_kl"], second["policy/approx_kl"]) == ("0.5", "")
    assert (first["eval/success_rate"], second["eval/success_rate"]) == ("", "0.5")


def test_tensorboard_shows_the_same_scalars(directory):
    """By iteration."""
    events = EventAccumulator(str(directory)).Reload()
    shown = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert shown == {
        "ttrl/success_rate": [(1, 0.25), (2, 0.75)],
        "ttrl/reward": [(1, 0.125)],
        "policy/approx_kl": [(1, 0.5)],
        "eval/success_rate": [(2, 0.5)],
    }


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path):
    """An interruption loses no iteration."""
    log = ResultLog(tmp_path)
    log.write(1, RESULT, None)
    assert len((tmp_path / "progress.csv").read_text().splitlines()) == 2
    log.close()
