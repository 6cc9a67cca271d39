"""Workers that die, hang or raise: real processes, real signals."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.reach_env import ReachEnv
from tests.vla_envs.group.faulty_env import EXIT, HANG, KILL, LOSE_CONTEXT, RAISE, SEGFAULT, FaultyEnv
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.group import GroupVectorEnv, VoteConfig

ROOT = Path(__file__).resolve().parents[4]
STILL = np.zeros((4, 7), np.float32)
FIRST, SECOND = slice(0, 2), slice(2, 4)
"""The environments of each worker, which are also the groups."""


@pytest.fixture
def make_envs(workers):
    """Makes two groups of two environments, and closes them."""
    made = []

    def make(env=FaultyEnv, **kwargs):
        arguments = {"group_size": 2, "mode": "hold", "num_workers": 2, **kwargs}
        made.append(GroupVectorEnv([env] * 4, **arguments))
        return made[-1]

    yield make
    for envs in made:
        envs.close()


def actions(fault, index):
    """Nobody moves, and one environment meets a fault."""
    asked = STILL.copy()
    asked[index, 2] = fault
    return asked


def kill(worker):
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (RAISE, "KeyError: 'a bug of the simulator'"),
        (SEGFAULT, "was killed by signal 11"),
        (KILL, "was killed by signal 9"),
        (EXIT, "ended with exit code 3"),
        (LOSE_CONTEXT, "the driver has lost its context"),
    ],
)
def test_a_fault_ends_the_trajectories_of_its_worker_and_no_other(make_envs, caplog, fault, cause):
    """In that step, as invalid; the log names environments, prompt and cause."""
    envs = make_envs()
    first, started = envs.reset(seed=0)
    envs.step(STILL)
    observations, rewards, terminated, truncated, infos = envs.step(actions(fault, 3))
    assert truncated.tolist() == [False, False, True, True]
    assert infos["valid"].tolist() == infos["active"].tolist() == [True, True, False, False]
    assert not rewards.any()
    assert not terminated.any()
    assert not infos["success"].any()
    assert infos["elapsed_steps"].tolist() == [2, 2, 0, 0]
    np.testing.assert_array_equal(observations["image"][SECOND], first["image"][SECOND])
    prompt = f"task_id={started['task_id'][3]}, init_state_id={started['init_state_id'][3]}"
    for part in ("Worker 1 (environments 2 to 3)", f"environment 3 ({prompt}; its trajectory is invalid)", cause):
        assert part in caplog.text


def test_attributes_that_were_set_outlive_their_process(make_envs):
    """Or the members of a group would differ from then on. A value that was refused is not set later either."""
    envs = make_envs(num_workers=1)
    envs.reset(seed=0)
    envs.set_attr("max_episode_steps", [5, 6, 7, 8])
    with pytest.raises(InvalidArgumentError, match="integer from 1 to 2147483647, actually: 0"):
        envs.set_attr("max_episode_steps", 0)
    envs.step(actions(KILL, 3))
    assert envs.get_attr("max_episode_steps") == (5, 6, 7, 8)
    assert envs.reset()[1]["max_steps"].tolist() == [5, 6, 7, 8]


@pytest.mark.slow
def test_a_hang_is_killed(make_envs, caplog, workers):
    """With SIGKILL, once its time is over."""
    envs = make_envs(worker_timeout=8.0)
    envs.reset(seed=0)
    hung = workers()["vla_envs worker 0"].pid
    *_, infos = envs.step(actions(HANG, 0))
    assert infos["valid"].tolist() == [False, False, True, True]
    assert "did not answer within 8 s" in caplog.text
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)


def test_others_go_on_bit_for_bit(make_envs):
    """A fault elsewhere changes nothing for them."""
    envs, other = make_envs(), make_envs(ReachEnv, num_workers=0)
    envs.reset(seed=0)
    other.reset(seed=0)
    asked = np.random.default_rng(0).uniform(-1, 1, (8, 4, 7)).astype(np.float32)
    asked[..., 2] = 0.0
    for step, each in enumerate(asked):
        faulty = each.copy()
        faulty[2, 2] = KILL if step == 3 else 0.0
        seen, expected = envs.step(faulty), other.step(each)
        np.testing.assert_array_equal(seen[0]["image"][FIRST], expected[0]["image"][FIRST])
        assert (seen[4]["elapsed_steps"][FIRST] == expected[4]["elapsed_steps"][FIRST]).all()


def test_in_lockstep_a_fault_ends_its_group_and_no_other(make_envs):
    """Also the environments that had nothing to do with it: a group is compared whole or not at all."""
    envs = make_envs(mode="lockstep", num_workers=4)
    envs.reset(seed=0)
    envs.step(STILL)
    _, rewards, terminated, truncated, infos = envs.step(actions(KILL, 3))
    assert truncated.tolist() == [False, False, True, True]
    assert infos["valid"].tolist() == infos["active"].tolist() == [True, True, False, False]
    assert not rewards.any()
    assert not terminated.any()


def test_in_lockstep_a_group_that_was_cut_short_starts_again_at_its_prompt(make_envs):
    """Under another id, while the other group goes on as if nothing had been."""
    envs = make_envs(mode="lockstep")
    first, started = envs.reset(seed=0)
    envs.step(actions(KILL, 3))
    observations, _, _, _, infos = envs.step(STILL)
    assert infos["valid"].all()
    assert infos["active"].all()
    assert infos["group_id"].tolist() == [0, 0, 2, 2]
    assert infos["elapsed_steps"].tolist() == [2, 2, 0, 0]
    for key in ("task_id", "init_state_id"):
        assert (infos[key] == started[key]).all()
    np.testing.assert_array_equal(observations["image"][SECOND], first["image"][SECOND])


def test_in_lockstep_a_group_with_a_fault_casts_no_vote(make_envs):
    """Nobody is rewarded, selected or counted."""
    envs = make_envs(mode="lockstep", vote=VoteConfig(2, 2), prompts="curriculum")
    envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(actions(KILL, 3))
    assert not rewards.any()
    assert not infos["selected"].any()
    assert "vote" not in infos
    assert envs.prompts.state_dict() == {"outcomes": []}


def test_after_a_fault_the_next_round_is_as_if_nothing_had_been(make_envs):
    """Valid, and at the prompts that the seed gives."""
    envs, other = make_envs(), make_envs(ReachEnv, num_workers=0)
    for each in (envs, other):
        each.reset(seed=0)
    envs.step(actions(KILL, 2))
    (observations, infos), (expected, expected_infos) = envs.reset(), other.reset()
    np.testing.assert_equal(observations, expected)
    np.testing.assert_equal({key: infos[key] for key in expected_infos}, expected_infos)
    *_, infos = envs.step(STILL)
    assert infos["valid"].all()


def test_an_invalid_trajectory_idles_until_the_next_reset(make_envs):
    """It ends once, and stays invalid."""
    envs = make_envs()
    envs.reset(seed=0)
    envs.step(actions(KILL, 0))
    _, _, _, truncated, infos = envs.step(STILL)
    assert not truncated.any()
    assert infos["valid"].tolist() == [False, False, True, True]


def test_an_environment_whose_episode_had_ended_keeps_its_outcome(make_envs):
    """Only what was still running is lost."""
    envs = make_envs()
    _, infos = envs.reset(seed=3)
    twin = ReachEnv()
    twin.reset(options={key: infos[key][2] for key in ("task_id", "init_state_id")})
    asked = STILL.copy()
    while envs.active[2]:
        asked[2, :2] = 4 * (twin.targets[infos["task_id"][2]] - twin.position)
        twin.step(asked[2])
        *_, infos = envs.step(asked)
    *_, infos = envs.step(actions(KILL, 3))
    assert infos["valid"].tolist() == [True, True, True, False]
    assert infos["success"].tolist() == [False, False, True, False]
    assert infos["final_state"][2] is not None


def test_a_death_between_commands_is_noticed_at_the_next(make_envs, workers):
    """The trajectories are lost all the same."""
    envs = make_envs()
    envs.reset(seed=0)
    envs.step(STILL)
    kill(workers()["vla_envs worker 1"])
    *_, infos = envs.step(STILL)
    assert infos["valid"].tolist() == [True, True, False, False]


def test_a_fault_in_a_reset_is_made_good_at_the_same_prompt(make_envs, tmp_path):
    """No step was made, so nothing is lost, and the retry shows in nothing."""
    envs = make_envs(partial(FaultyEnv, str(tmp_path)))
    other = make_envs(ReachEnv, num_workers=0)
    (tmp_path / "once").touch()
    observations, infos = envs.reset(seed=5)
    expected, expected_infos = other.reset(seed=5)
    assert not list(tmp_path.iterdir())
    np.testing.assert_equal(observations, expected)
    np.testing.assert_equal({key: infos[key] for key in expected_infos}, expected_infos)


def test_a_fault_while_putting_back_is_retried(make_envs, tmp_path):
    """In one more process."""
    envs = make_envs(partial(FaultyEnv, str(tmp_path)))
    envs.reset(seed=0)
    for number in range(2):
        (tmp_path / str(number)).touch()
    *_, infos = envs.step(actions(KILL, 0))
    assert not list(tmp_path.iterdir())
    assert infos["valid"].tolist() == [False, False, True, True]


def test_faults_without_end_are_an_error(make_envs, tmp_path, workers):
    """After three replacements, with the last cause; no process stays, and the next call says so."""
    envs = make_envs(partial(FaultyEnv, str(tmp_path)))
    for number in range(10):
        (tmp_path / str(number)).touch()
    with pytest.raises(WorkerError, match=r"(?s)Worker 0.*exit code 3.*replaced 3 times.*num_workers=0"):
        envs.reset(seed=0)
    assert len(list(tmp_path.iterdir())) in range(10 - 8, 10 - 3)  # worker 1 may have met some of them
    assert not workers()


def test_faults_apart_from_each_other_are_not_counted_together(make_envs):
    """A completed command in between starts the count anew."""
    envs = make_envs(num_workers=1)
    for _ in range(5):
        envs.reset()
        *_, infos = envs.step(actions(KILL, 0))
        assert not infos["valid"].any()


def test_an_environment_outside_the_contract_goes_back_to_its_seed(make_envs, caplog):
    """Which is what its group shares."""
    envs = make_envs(Unnamed)
    first, _ = envs.reset(seed=0)
    envs.step(STILL)
    observations, *_, infos = envs.step(actions(KILL, 0))
    assert infos["valid"].tolist() == [False, False, True, True]
    np.testing.assert_array_equal(observations["image"][FIRST], first["image"][FIRST])
    assert "environment 0 (seed=" in caplog.text


def test_a_fault_while_drawing_leaves_no_frame_and_ends_the_trajectory(make_envs, workers):
    """It is told by the next step."""
    envs = make_envs()
    envs.reset(seed=0)
    envs.step(STILL)
    kill(workers()["vla_envs worker 0"])
    assert [frame is None for frame in envs.render()] == [True, True, False, False]
    _, _, _, truncated, infos = envs.step(STILL)
    assert truncated.tolist() == [True, True, False, False]
    assert infos["valid"].tolist() == [False, False, True, True]


def test_an_ended_environment_in_a_new_process_has_no_frame(make_envs, workers):
    """Its environment waits for a reset; the others are drawn."""
    envs = make_envs()
    envs.reset(seed=0)
    envs.step(actions(KILL, 0))  # which ends its trajectory
    kill(workers()["vla_envs worker 0"])
    for _ in range(2):
        assert [frame is None for frame in envs.render()] == [True, True, False, False]
    envs.reset()
    assert not any(frame is None for frame in envs.render())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_parent(sent, tmp_path):
    """Neither Ctrl-C, which reaches the workers too, nor a death leaves a worker that hangs."""
    script = (
        "import multiprocessing, signal; from tests.vla_envs.group.workers.test_faults import *\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "envs = GroupVectorEnv([FaultyEnv] * 4, 2, num_workers=2); envs.reset(seed=0)\n"
        "print(*(each.pid for each in multiprocessing.active_children()), flush=True)\n"
        "envs.step(actions(HANG, 0))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = [int(each) for each in process.stdout.readline().split()]
    assert len(pids) == 2
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.kill()
    _, errors = process.communicate(timeout=60)
    assert ("KeyboardInterrupt" in errors) == (sent == signal.SIGINT)
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def is_running(pid):
    """Whether there is such a process and it is no zombie of somebody else."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


class Unnamed(FaultyEnv):
    """Its info names no prompt."""

    def _info(self, success):
        info = super()._info(success)
        return {key: info[key] for key in ("success", "elapsed_steps", "max_steps")}
