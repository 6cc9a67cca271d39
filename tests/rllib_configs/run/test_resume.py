"""A run that was killed goes on as if nothing had happened."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies.registry import load_policy
from rllib_configs.cli import main
from rllib_configs.run.train import load_experiment, resume
from tests.rllib_configs.seeker import ENV_ID
from vla_envs.errors import InvalidArgumentError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

ROOT = Path(__file__).resolve().parents[3]

OPTIONS = [
    *("--name", "reach"),
    *("--iterations", "6"),
    *("--checkpoint-interval", "3"),
    *("--environment.id", ENV_ID),
    *("--environment.task-id", "0"),
    *("--environment.chunk-size", "2"),
    *("--environment.max-episode-steps", "40"),
    *("--bc.demonstrations-per-task", "0"),
    *("--ttrl.n-votes-per-prompt", "4"),
    *("--ppo.groups-per-iteration", "8"),
    *("--resources.num-env-runners", "0"),
    *("--resources.groups-per-env-runner", "8"),
    *("--evaluation.num-episodes", "8"),
    *("--evaluation.curve-episodes", "4"),
    *("--evaluation.num-envs", "8"),
    *("--evaluation.interval", "2"),
    *("--evaluation.videos", "0"),
]
"""Six iterations of a policy that knows nothing, of which the checkpoint at the third is half way."""

KILLED_IN_THE_FIFTH = """
import os, signal, sys
from rllib_configs.cli import main
from rllib_configs.algorithm import VLAPPO

train = VLAPPO.train
calls = []

def train_or_die(self):
    calls.append(None)
    if len(calls) == 5:
        os.killpg(0, signal.SIGKILL)  # as a terminal does with Ctrl-C: every process of the run
    return train(self)

VLAPPO.train = train_or_die
sys.exit(main(sys.argv[1:]))
"""


def run_script(script, folder, *options):
    """A finished `vla train` in a process of its own, in a folder."""
    command = [sys.executable, "-c", script, "train", "tabletop_ttrl", *OPTIONS, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, start_new_session=True
    )


def run_until_killed(folder, *options):
    """The directory that a killed `vla train` has left."""
    process = run_script(KILLED_IN_THE_FIFTH, folder, *options)
    assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr
    return folder / "runs" / "reach"


@pytest.fixture(scope="module")
def whole(local_ray, tmp_path_factory):
    """The directory of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "tabletop_ttrl", *OPTIONS]) == 0
    return folder / "runs" / "reach"


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The directory of a run that was killed in its fifth iteration."""
    return run_until_killed(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def resumed(local_ray, killed, tmp_path_factory):
    """The same directory, moved elsewhere, where the run went on to its end."""
    directory = tmp_path_factory.mktemp("moved") / "elsewhere"
    shutil.copytree(killed, directory)
    assert main(["train", "--resume", str(directory)]) == 0
    return directory


def weights(folder):
    return load_policy("tiny", path=folder).state_dict()


def assert_equal_weights(folder, expected):
    given, wanted = weights(folder), weights(expected)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)


def rows(directory):
    with (directory / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def measured(directory):
    """What an iteration found, without what it cost."""
    costs = ("time/", "throughput/", "memory/")
    return [{key: value for key, value in row.items() if not key.startswith(costs)} for row in rows(directory)]


def test_a_killed_run_has_its_checkpoints_and_no_result(killed):
    """It was on its way from the fourth iteration to the fifth."""
    names = sorted(path.name for path in (killed / "checkpoints").iterdir())
    assert names == ["iteration_000000", "iteration_000003"]
    assert [row["iteration"] for row in rows(killed)] == ["0", "1", "2", "3", "4"]
    assert not (killed / "policy").exists()


def test_a_resumed_run_ends_as_one_that_was_never_killed(resumed, whole):
    """Bit for bit, after a training that changed every parameter."""
    assert_equal_weights(resumed / "policy", whole / "policy")
    first, last = weights(whole / "policy_before"), weights(whole / "policy")
    assert any((first[name] != last[name]).any() for name in first)


def test_the_same_was_measured(resumed, whole):
    """Every number of every iteration that is not a cost."""
    assert measured(resumed) == measured(whole)


def test_the_same_results_are_reported(resumed, whole):
    """Before and after, and the best policy on the way."""
    for name in ("episodes.json", "success.md"):
        assert (resumed / name).read_text() == (whole / name).read_text()
    assert_equal_weights(resumed / "best", whole / "best")


def test_the_learning_curve_goes_on(resumed, whole):
    """From the points before the checkpoint."""
    states = [json.loads((each / "checkpoints/iteration_000006/run.json").read_text()) for each in (resumed, whole)]
    given, wanted = ({key: state[key] for key in ("iteration", "sampled", "curve")} for state in states)
    assert given == wanted
    assert [point[0] for point in given["curve"]] == [0, 2, 4, 6]


def test_tensorboard_shows_one_curve(resumed):
    """The fourth iteration of the killed session is forgotten."""
    events = EventAccumulator(str(resumed)).Reload()
    assert [each.step for each in events.Scalars("ttrl/success_rate")] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_checkpoint_costs_iterations_and_nothing_else(killed, whole, tmp_path, caplog):
    """The run goes on from the one before, and says so."""
    directory = tmp_path / "reach"
    shutil.copytree(killed, directory)
    (directory / "checkpoints/iteration_000003/training.pt").write_bytes(b"half")
    resume(directory)
    assert "iteration_000003 is damaged" in caplog.text
    assert_equal_weights(directory / "policy", whole / "policy")


def test_a_finished_run_can_be_given_more_iterations(resumed, tmp_path):
    """It goes on from its last one."""
    directory = tmp_path / "reach"
    shutil.copytree(resumed, directory)
    assert main(["train", "--resume", str(directory), "--iterations", "7"]) == 0
    assert [row["iteration"] for row in rows(directory)] == ["0", "1", "2", "3", "4", "5", "6", "7"]
    assert rows(directory)[:7] == [{**dict.fromkeys(rows(directory)[0], ""), **row} for row in rows(resumed)]
    assert load_experiment(directory).iterations == 7


def test_a_finished_run_is_left_as_it_is(resumed, capsys):
    """Nothing is evaluated or written again, and the command for more iterations is named."""
    before = {path: path.stat().st_mtime_ns for path in resumed.rglob("*") if path.is_file() and path.name != ".lock"}
    assert main(["train", "--resume", str(resumed)]) == 0
    assert "the run has all its 6 iterations; --iterations N goes on to N" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_fewer_iterations_are_refused(killed):
    """The error names both numbers, and the run stays as it was."""
    with pytest.raises(InvalidArgumentError, match="6, actually: 5"):
        resume(killed, iterations=5)
    assert load_experiment(killed).iterations == 6


@pytest.mark.parametrize(("state", "iterations"), [("killed", 9), ("resumed", 9), ("resumed", None)])
def test_more_iterations_need_time_that_is_left(request, tmp_path, state, iterations):
    """Otherwise the run would end at once, and look as if it had been trained."""
    run = shutil.copytree(request.getfixturevalue(state), tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "time_limit_minutes": 0.0}))
    with pytest.raises(InvalidArgumentError, match=r"has trained for .*--iterations [69] --time-limit-minutes MINUTES"):
        resume(run, iterations)


def test_a_run_without_a_checkpoint_cannot_go_on(killed, tmp_path, capsys):
    """The error says where one was looked for."""
    (tmp_path / "config.json").write_text((killed / "config.json").read_text())
    assert main(["train", f"--resume={tmp_path}"]) == 1
    assert f"{tmp_path / 'checkpoints'} has no sound checkpoint" in capsys.readouterr().err


def test_a_run_with_two_runners_goes_on(whole, tmp_path):
    """With the weights of the checkpoint in both: the first ratio of every update is 1, and the end the same."""
    directory = run_until_killed(tmp_path, "--resources.num-env-runners", "2")
    assert main(["train", "--resume", str(directory)]) == 0
    assert [row["iteration"] for row in rows(directory)] == ["0", "1", "2", "3", "4", "5", "6"]
    assert all(float(row["policy/first_ratio_error"]) < 1e-5 for row in rows(directory)[1:])
    torch.testing.assert_close(weights(directory / "policy"), weights(whole / "policy"), rtol=0.0, atol=1e-5)


def test_a_terminated_run_loses_nothing(whole, tmp_path):
    """It finishes its iteration, writes a checkpoint and says how to go on, which ends as if nothing had been."""
    process = run_script(KILLED_IN_THE_FIFTH.replace("SIGKILL", "SIGTERM"), tmp_path)
    assert process.returncode == 128 + signal.SIGTERM, process.stdout + process.stderr
    directory = tmp_path / "runs" / "reach"
    assert process.stderr == "vla train: stopped by SIGTERM. Go on with: vla train --resume runs/reach\n"
    assert (directory / "checkpoints" / "iteration_000005").is_dir()
    (directory / "episodes.json").write_bytes(b"\0" * 99)  # what a power cut leaves is measured again
    assert main(["train", "--resume", str(directory)]) == 0
    assert_equal_weights(directory / "policy", whole / "policy")
    assert (directory / "success.md").read_text() == (whole / "success.md").read_text()
    assert measured(directory) == measured(whole)
