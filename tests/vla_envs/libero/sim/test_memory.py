"""Memory stays where it is, however many episodes and tasks a process runs."""

from __future__ import annotations

import copy
import ctypes
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from tests.vla_envs.libero.conftest import keep_decoded_files
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.init_states import read_init_states
from vla_envs.libero.sim.compiled_task import MAX_STARTS
from vla_envs.libero.suites import SUITES
from vla_envs.libero.verify.doctor import in_fresh_process

pytestmark = [pytest.mark.slow, pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]

MIB = 2**20
INIT_STATES = 50
RESET_GROWTH = 5 * MIB
"""Of 450 resets: 11 kB each, where MuJoCo's data of this task take 0.4 MB."""
TASKS = 5
"""One more than a process keeps compiled, so that every switch builds a task and lets go of another."""
SWITCH_GROWTH = 8 * MIB
"""Of 5 task switches: 1.6 MB each, where the renderer that each of them builds and lets go of takes 150 MB or more."""


def test_resets_do_not_grow_the_process():
    """500 of them to the 50 prompts of a task, nothing drawn."""
    assert in_fresh_process(growth_of_resets) < RESET_GROWTH


def test_resets_to_new_initial_states_do_not_grow_the_process():
    """514 of them, each to a state that was never there before, whose objects settle for one control step."""
    assert in_fresh_process(growth_of_new_starts) < RESET_GROWTH


def test_kept_simulations_would_be_noticed():
    """A leak of MuJoCo's data by every ninth reset exceeds the bound."""
    assert in_fresh_process(growth_of_kept_simulations) > RESET_GROWTH


def test_task_switches_do_not_grow_the_process():
    """10 of them, each drawn by a renderer of its own."""
    assert in_fresh_process(growth_of_task_switches) < SWITCH_GROWTH


def growth_of_resets() -> int:
    """Bytes by which nine rounds of the initial states, after a first one, leave the process larger."""
    env = LiberoEnv("libero_spatial", 0, cameras=())
    before = 0
    for reset in range(10 * INIT_STATES):
        env.reset(options={"init_state_id": reset % INIT_STATES})
        if reset + 1 == INIT_STATES:
            before = resident_bytes()
    return resident_bytes() - before


def growth_of_new_starts() -> int:
    """Bytes by which 450 new initial states leave the process larger than as many as it keeps do."""
    simulator = LiberoEnv("libero_spatial", 0).simulator
    init_states = read_init_states(SUITES["libero_spatial"].tasks[0].init_file)
    before = 0
    for reset in range(MAX_STARTS + 450):
        time = [float(reset)]
        simulator.reset(np.concatenate([time, init_states[reset % INIT_STATES, 1:]]), 1)
        if reset + 1 == MAX_STARTS:
            before = resident_bytes()
    return resident_bytes() - before


def growth_of_kept_simulations() -> int:
    """Bytes that the data of every ninth of these resets would take."""
    env = LiberoEnv("libero_spatial", 0, cameras=())
    env.reset(options={"init_state_id": 0})
    before = resident_bytes()
    kept = [copy.copy(env.simulator.data) for _ in range(INIT_STATES)]
    return resident_bytes() - before if kept else 0


def growth_of_task_switches() -> int:
    """Bytes by which a second round of tasks leaves the process larger."""
    keep_decoded_files()
    env = LiberoEnv("libero_spatial", range(TASKS), cameras=("agentview",), image_size=32)
    before = 0
    for switch in range(2 * TASKS):
        env.reset(options={"task_id": switch % TASKS, "init_state_id": 0})
        if switch + 1 == TASKS:
            before = resident_bytes()
    return resident_bytes() - before


def resident_bytes() -> int:
    """Resident memory of this process without garbage and without what the allocator holds back for later."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
