"""What a run says while it works: numbers by name, a table, events, and lines for the person who waits."""

import csv
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rllib_configs.config import Experiment
from rllib_configs.run.logging import MetricsLog, Progress, scalars
from vla_envs.errors import DependencyNotInstalled

VALUES = {"ttrl/success_rate": 0.5, "ttrl/reward": 0.25, "policy/approx_kl": 0.01, "time/iteration_s": 2.0}


@pytest.mark.parametrize("group", ["ttrl", "rollout", "throughput", "memory"])
def test_a_group_of_ours_keeps_its_names(group):
    """Whatever they are, also those of parts."""
    result = {group: {"anything": np.float64(2.0), "part": {"of_it": 3}}}
    assert scalars(result) == {f"{group}/anything": 2.0, f"{group}/part/of_it": 3.0}


def test_the_learner_reports_its_policy_and_its_losses():
    """Without what RLlib counts for itself."""
    learner = {"vf_loss": 1.0, "policy_loss": 2.0, "entropy": 4.0, "num_module_steps_trained": 5}
    assert scalars({"learners": {"default_policy": learner}}) == {
        "loss/value": 1.0,
        "loss/policy": 2.0,
        "policy/entropy": 4.0,
    }


def test_phases_are_timed_in_seconds():
    """And the iteration as a whole."""
    result = {"timers": {"learner_update_timer": 0.5, "training_step": 9.0}, "time_this_iter_s": 1.0}
    assert scalars(result) == {"time/learning_s": 0.5, "time/iteration_s": 1.0}


@pytest.mark.parametrize("nothing", [math.nan, None, "text"])
def test_what_was_not_measured_is_left_out(nothing):
    """RLlib reports NaN for what it knew in an earlier iteration."""
    assert scalars({"ttrl": {"reward": nothing}, "learners": {}, "timers": None}) == {}


def test_what_a_learner_measured_stays_nan():
    """In an iteration in which it has made an update, as it says by its count of steps; and in the table."""
    learner = {"policy_loss": math.nan, "nonfinite_steps": 1.0, "num_nonfinite_steps_in_a_row": 1.0}
    values = scalars({"learners": {"default_policy": learner}})
    assert values == {"loss/policy": pytest.approx(math.nan, nan_ok=True), "policy/nonfinite_steps": 1.0}
    assert scalars({"learners": {"default_policy": {**learner, "nonfinite_steps": math.nan}}}) == {}


def test_nan_stands_in_the_table(tmp_path):
    """As a number that was measured."""
    log = MetricsLog(tmp_path)
    log.write(1, {"loss/policy": math.nan})
    log.close()
    assert (tmp_path / "progress.csv").read_text().splitlines() == ["iteration,loss/policy", "1,nan"]


@pytest.fixture
def directory(tmp_path):
    """Two iterations, of which the second was evaluated and had something new to tell."""
    log = MetricsLog(tmp_path)
    log.write(1, {"ttrl/success_rate": 0.25, "ttrl/reward": 0.125})
    log.write(2, {"ttrl/success_rate": 0.75, "policy/approx_kl": 0.5})
    log.write(2, {"eval/success_rate": 0.5})
    log.close()
    return tmp_path


def rows(directory):
    with (directory / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def shown(directory):
    events = EventAccumulator(str(directory)).Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_there_is_a_row_per_iteration(directory):
    """With a column per scalar in the order of their first appearance, empty where it was not measured."""
    columns = ["iteration", "ttrl/success_rate", "ttrl/reward", "policy/approx_kl", "eval/success_rate"]
    assert [list(row) for row in rows(directory)] == [columns, columns]
    assert list(rows(directory)[0].values()) == ["1", "0.25", "0.125", "", ""]
    assert list(rows(directory)[1].values()) == ["2", "0.75", "", "0.5", "0.5"]


def test_tensorboard_shows_the_same_scalars(directory):
    """By iteration."""
    assert shown(directory) == {
        "ttrl/success_rate": [(1, 0.25), (2, 0.75)],
        "ttrl/reward": [(1, 0.125)],
        "policy/approx_kl": [(2, 0.5)],
        "eval/success_rate": [(2, 0.5)],
    }


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path):
    """An interruption loses no iteration."""
    log = MetricsLog(tmp_path)
    log.write(1, {"ttrl/reward": 1.0})
    assert [row["ttrl/reward"] for row in rows(tmp_path)] == ["1.0"]
    log.close()


@pytest.fixture
def resumed(directory):
    """From iteration 1, with another second iteration."""
    time.sleep(1.1)  # TensorBoard orders files by their names, which tell the second and then count, 10 before 9
    log = MetricsLog(directory, iteration=1)
    log.write(2, {"ttrl/success_rate": 0.5, "memory/rss_gib": 2.0})
    log.close()
    return directory


def test_a_resumed_table_goes_on_after_its_checkpoint(resumed):
    """What came later is dropped, with the columns that only it had; new ones are the last."""
    first, second = rows(resumed)
    assert first == {"iteration": "1", "ttrl/success_rate": "0.25", "ttrl/reward": "0.125", "memory/rss_gib": ""}
    assert second == {"iteration": "2", "ttrl/success_rate": "0.5", "ttrl/reward": "", "memory/rss_gib": "2.0"}


def test_resumed_events_go_on_after_the_checkpoint(resumed):
    """TensorBoard forgets what came later."""
    curves = shown(resumed)
    assert curves["ttrl/success_rate"] == [(1, 0.25), (2, 0.5)]
    assert curves["memory/rss_gib"] == [(2, 2.0)]
    assert not curves.get("eval/success_rate")


class TestDamaged:
    """A power cut leaves zeros, a full disk a part of a line, and a person another table."""

    @pytest.mark.parametrize("rest", [b"\0" * 999, b"3,0.5", b"\xff\xfe\n", b"3,high,,,\n", b"x,1,,,\n"])
    def test_the_rows_before_the_damage_are_kept(self, directory, caplog, rest):
        """And the file is set aside as it was, with a warning."""
        damaged = (directory / "progress.csv").read_bytes() + rest
        (directory / "progress.csv").write_bytes(damaged)
        log = MetricsLog(directory, iteration=2)
        log.write(3, {"ttrl/reward": 1.0})
        log.close()
        assert [row["ttrl/success_rate"] for row in rows(directory)] == ["0.25", "0.75", ""]
        assert (directory / "progress.csv.damaged-1").read_bytes() == damaged
        assert "line 4 is damaged" in caplog.text

    @pytest.mark.parametrize("content", [b"", b"\0" * 99, b"time,price\n1,2\n", b'"', b"\xff\xff"])
    def test_another_table_is_set_aside(self, tmp_path, content):
        (tmp_path / "progress.csv").write_bytes(content)
        log = MetricsLog(tmp_path, iteration=2)
        log.write(3, {"ttrl/reward": 1.0})
        log.close()
        assert [row["iteration"] for row in rows(tmp_path)] == ["3"]
        assert (tmp_path / "progress.csv.damaged-1").read_bytes() == content


def test_weights_and_biases_must_be_installed_to_be_used(tmp_path, monkeypatch):
    """The error names the command that does it, before anything is written."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(DependencyNotInstalled, match=r"pip install 'vla-envs\[wandb\]'"):
        MetricsLog(tmp_path, wandb_project="robots")
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_measured_is_a_dash(capsys):
    """An iteration whose groups all agree updates nothing."""
    Progress(Experiment()).trained(1, {key: value for key, value in VALUES.items() if key != "policy/approx_kl"})
    assert "sampled success  50%  reward 0.250  KL -  " in capsys.readouterr().out


def test_an_iteration_is_a_line(capsys):
    """With the time it took and the time left."""
    Progress(Experiment(iterations=31)).trained(1, VALUES)
    assert "iteration   1/31" in (output := capsys.readouterr().out)
    assert "KL 0.0100   2.0 s,  1.0 min left" in output


def test_a_resumed_run_takes_as_long_as_its_own_iterations(capsys):
    """What an earlier session did says nothing about the time this one needs."""
    Progress(Experiment(iterations=60)).trained(30, VALUES)
    assert "iteration  30/60" in (output := capsys.readouterr().out)
    assert " 1.0 min left" in output


def test_no_more_time_is_left_than_the_limit_allows(capsys):
    """Iterations beyond it are not run."""
    progress = Progress(Experiment(iterations=600, time_limit_minutes=1.0))
    progress.trained(1, {**VALUES, "time/total_s": 30.0})
    assert " 0.5 min left" in capsys.readouterr().out


def test_a_checkpoint_is_named(capsys):
    """So that one knows from where a run can go on."""
    Progress(Experiment()).saved(Path("runs/small/checkpoints/iteration_000005"))
    assert capsys.readouterr().out.endswith("checkpoint iteration_000005\n")


def test_output_that_nobody_reads_raises_and_does_not_exit(monkeypatch):
    """So that the run can write its checkpoint first; rich would exit by itself."""
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), open(writer, "w") as output:  # closing it writes again
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(BrokenPipeError):
            Progress(Experiment())
