"""Simulators that die, hang and raise: what an episode, a reset and a group make of it."""

from __future__ import annotations

import gc
import logging
import multiprocessing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from tests.conformance import assert_same
from tests.vla_envs.robotwin.conftest import worker_pids
from tests.vla_envs.robotwin.fake_checkout import RESET_FAULTS, write_checkout
from vla_envs.errors import WorkerError
from vla_envs.robotwin.env import MAX_FAULTS, MAX_REPLACEMENTS, RoboTwinEnv
from vla_envs.robotwin.process import SimulationError, UnstableSceneError

RAISE, HANG, SEGFAULT, EXIT, CHATTER = 0.111, 0.222, 0.333, 0.444, 0.555
"""Targets of the left arm's first joint, each a fault of the fake's."""
PROMPT = {"init_state_id": 1}


def action(env, first=0.1):
    chosen = np.zeros(env.action_space.shape, np.float32)
    chosen[0] = first
    return chosen


@pytest.fixture
def env(make_env):
    """An environment in the middle of an episode."""
    env = make_env()
    env.reset(options=PROMPT)
    env.step(action(env))
    return env


class TestDeathInAStep:
    def test_truncates_without_counting(self, env):
        """Neither success nor failure: the trajectory is invalid, and what the process did not answer did not run."""
        _, reward, terminated, truncated, info = env.step(action(env, EXIT))
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert (info["valid"], info["success"]) == (False, False)
        assert (info["executed_actions"], info["elapsed_steps"]) == (0, 1)
        assert "final_state" in info

    def test_observation_is_the_last_one(self, env):
        env.reset(options=PROMPT)
        before, *_ = env.step(action(env))
        after, *_ = env.step(action(env, EXIT))
        assert_same(after, before)

    def test_fault_says_how_and_what_it_said(self, env, caplog):
        """The exit code and the last lines, in the info and in the log."""
        *_, info = env.step(action(env, EXIT))
        assert "ended with exit code 3" in info["fault"]
        assert "the driver has lost its context" in info["fault"]
        assert info["fault"] in caplog.text

    def test_fault_names_the_signal(self, env):
        *_, info = env.step(action(env, SEGFAULT))
        assert "was killed by signal 11" in info["fault"]

    def test_episode_has_ended(self, env):
        env.step(action(env, EXIT))
        with pytest.raises(ResetNeeded):
            env.step(action(env))

    def test_next_reset_starts_another(self, env):
        """Whose episode is as if nothing had happened."""
        expected = [env.reset(options=PROMPT)[0], env.step(action(env))[0]]
        env.step(action(env, EXIT))
        observation, info = env.reset(options=PROMPT)
        assert info["valid"]
        assert info["fault"] == ""
        assert_same(observation, expected[0])
        assert_same(env.step(action(env))[0], expected[1])

    def test_hang_is_killed(self, make_env):
        env = make_env(timeout=5.0)
        env.reset(options=PROMPT)
        *_, truncated, info = env.step(action(env, HANG))
        assert truncated
        assert "did not answer 'step' within 5 s" in info["fault"]
        assert not worker_pids()

    def test_talkative_drivers_do_no_harm(self, env):
        """A megabyte of output blocks nobody."""
        *_, info = env.step(action(env, CHATTER))
        assert info["valid"]


class TestDeathAtAReset:
    @pytest.fixture
    def faults(self, tmp_path, monkeypatch):
        """Has the next processes die at a reset."""
        folder = tmp_path / "faults"
        folder.mkdir()
        monkeypatch.setenv(RESET_FAULTS, str(folder))

        def have(count):
            for number in range(count):
                (folder / str(number)).touch()

        return have

    def test_process_is_replaced(self, make_env, faults, caplog):
        """The episode is the one that it would have been."""
        expected, _ = make_env().reset(options=PROMPT)
        faults(MAX_REPLACEMENTS)
        observation, info = make_env().reset(options=PROMPT)
        assert_same(observation, expected)
        assert info["valid"]
        assert caplog.text.count("A new process takes its place") == MAX_REPLACEMENTS

    def test_deaths_in_a_row_are_an_error(self, make_env, faults):
        env = make_env()
        faults(MAX_REPLACEMENTS + 1)
        with pytest.raises(WorkerError, match=r"(?s)ended with exit code 3.*lost its context"):
            env.reset(options=PROMPT)
        env.reset(options=PROMPT)

    def test_no_episode_goes_on_after_the_error(self, env, faults):
        """Not even the one that ran before."""
        env.close()
        faults(MAX_REPLACEMENTS + 1)
        with pytest.raises(WorkerError):
            env.reset(options=PROMPT)
        with pytest.raises(ResetNeeded):
            env.step(action(env))


class TestExceptions:
    def test_of_a_step(self, env):
        """As a death: after it nothing is known of the scene. The fault has the traceback."""
        *_, truncated, info = env.step(action(env, RAISE))
        assert (truncated, info["valid"]) == (True, False)
        for part in ("raised ValueError: the world has a bug", "Traceback", "_faults"):
            assert part in info["fault"]
        assert not worker_pids()
        env.reset(options=PROMPT)

    def test_of_every_step(self, env):
        """A fault that comes again and again is no accident, and a training would wait for ever."""
        for _ in range(MAX_FAULTS):
            env.reset(options=PROMPT)
            assert not env.step(action(env, RAISE))[-1]["valid"]
        env.reset(options=PROMPT)
        with pytest.raises(SimulationError, match="the world has a bug"):
            env.step(action(env, RAISE))

    def test_of_a_reset_that_passes(self, make_env, tmp_path, monkeypatch):
        """Another process sets the same scene up: what a device lacks just now moves no prompt."""
        env = make_env()
        expected, _ = env.reset(options=PROMPT)
        (tmp_path / "raise").touch()
        monkeypatch.setenv(RESET_FAULTS, str(tmp_path))
        env.close()
        observation, info = env.reset(options=PROMPT)
        assert not list(tmp_path.iterdir())
        assert info["seed"] == 100_001
        assert_same(observation, expected)

    def test_checkout_that_has_gone(self, make_env, tmp_path):
        """No seed is to blame for it."""
        env = make_env(root=write_checkout(tmp_path / "checkout"))
        (tmp_path / "checkout").rename(tmp_path / "elsewhere")
        with pytest.raises(WorkerError, match="cannot open the checkout"):
            env.reset(options=PROMPT)

    @pytest.mark.parametrize(("seed", "kind"), [(118888, "ValueError"), (117777, "SystemExit")])
    def test_of_a_reset(self, make_env, write_seeds_file, seed, kind):
        """Another seed's scene is none the worse for it."""
        env = make_env(seeds=write_seeds_file([seed, 100_001]))
        with pytest.raises(UnstableSceneError, match=f"raised {kind}"):
            env.reset(options={"init_state_id": 0})
        with pytest.raises(ResetNeeded):
            env.step(action(env))
        observation, _ = env.reset(options={"init_state_id": 1})
        expected, _ = make_env().reset(options=PROMPT)
        assert_same(observation, expected)


class TestGroups:
    @pytest.mark.parametrize("num_workers", [0, 1])
    def test_group_of_the_fault_is_invalid(self, fake_root, num_workers):
        """And no other: the simulators of the others run on, in this process's children or in a worker's."""
        envs = gym.make_vec(
            "VLA-RoboTwin-v0", num_envs=4, group_size=2, num_workers=num_workers, root=str(fake_root), split="train"
        )
        try:
            envs.reset(seed=0)
            actions = np.full(envs.action_space.shape, 0.1, np.float32)
            actions[3, 0] = EXIT
            *_, truncated, infos = envs.step(actions)
            assert infos["valid"].tolist() == [True, True, False, False]
            assert truncated.tolist() == [False, False, True, True]
            envs.reset(seed=0)
            *_, infos = envs.step(np.full_like(actions, 0.1))
            assert infos["valid"].all()
        finally:
            envs.close()
        gc.collect()
        assert not worker_pids()


def state_after_a_reset(root, answers):
    logging.disable()
    env = RoboTwinEnv(root=root)
    answers.send(env.reset(options=PROMPT)[0]["state"])
    env.close()


def test_daemonic_process(fake_root, make_env):
    """Environments live in processes that may have no children of multiprocessing's own."""
    spawn = multiprocessing.get_context("spawn")
    answers, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=state_after_a_reset, args=(str(fake_root), theirs), daemon=True)
    process.start()
    try:
        assert answers.poll(60)
        np.testing.assert_array_equal(answers.recv(), make_env().reset(options=PROMPT)[0]["state"])
    finally:
        process.join(60)
        process.kill()
