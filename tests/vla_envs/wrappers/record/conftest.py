"""Recordings of real episodes."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import tests.reach_env  # noqa: F401  (registers the id)
from tests.vla_envs.libero.conftest import libero_assets  # noqa: F401
from vla_envs.tabletop import Expert
from vla_envs.wrappers import ActionChunk
from vla_envs.wrappers.record import RecordTrajectory


@pytest.fixture(params=["lerobot", "hdf5"])
def format(request):
    """Each format."""
    return request.param


def tabletop(chunk_size=None):
    """The tabletop with both cameras; ``chunk_size`` applies an ActionChunk."""
    env = gym.make("VLA-Tabletop-v0", image_size=16, cameras=("agentview", "wrist"))
    return env if chunk_size is None else ActionChunk(env, chunk_size)


def solve(env, task_id=0, init_state_id=7, seed=None, **options):
    """Let the expert solve a task; the rows it went through as (observation, actions)."""
    observation, _ = env.reset(seed=seed, options={"task_id": task_id, "init_state_id": init_state_id, **options})
    expert, ended, rows = Expert(env), False, []
    while not ended:
        size = env.action_space.shape[0] if env.action_space.shape[1:] else None
        plan = expert.plan(size or 1)
        action = np.pad(plan, ((0, (size or 1) - len(plan)), (0, 0))) if size else plan[0]
        rows.append((observation, plan))
        observation, _, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
    return rows


def record_reach(folder, format="lerobot", episodes=1):
    """Short episodes that fail, one after the other from initial state 0 on."""
    env = RecordTrajectory(gym.make("VLA-Reach-v0", task_id=0), folder, format)
    for init_state_id in range(episodes):
        env.reset(options={"task_id": 0, "init_state_id": init_state_id})
        truncated = False
        while not truncated:
            *_, truncated, _ = env.step(np.zeros(7, np.float32))
