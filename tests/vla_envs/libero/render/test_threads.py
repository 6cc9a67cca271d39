"""Threads that draw, each its own environment: OpenGL's context is one per process and one thread's at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vla_envs.libero.render import gl

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]

ROOT = Path(__file__).resolve().parents[4]

THREADS = """
import gc, os, threading
import numpy as np
from vla_envs.libero.env import LiberoEnv

def episode(size, sink):
    env = LiberoEnv("libero_goal", 7, cameras=("wrist",), image_size=size, render_quality="fastest")
    observations = [env.reset(options={"init_state_id": 2})[0]]
    observations += [env.step(np.full(7, 0.3 * sign))[0] for sign in (1, -1, 1)]
    sink[size] = [(each["wrist_image"].copy(), each["state"]) for each in observations]
    env.close()
    gc.collect()

alone, together = {}, {}
for size in (32, 48):
    episode(size, alone)
threads = [threading.Thread(target=episode, args=(size, together)) for size in (32, 48)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for size, frames in alone.items():
    for one, other in zip(frames, together[size], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])

kept = LiberoEnv("libero_goal", 7, cameras=("wrist",), image_size=32, render_quality="fastest")
image = kept.reset(options={"init_state_id": 2})[0]["wrist_image"]
closer = threading.Thread(target=kept.close)
closer.start()
closer.join()
np.testing.assert_array_equal(image, kept.reset(options={"init_state_id": 2})[0]["wrist_image"])
if os.environ["MUJOCO_GL"] == "osmesa":  # the only one that survives a fork
    child = os.fork()
    if child == 0:
        episode(32, together)
        same = all(np.array_equal(a[0], b[0]) for a, b in zip(alone[32], together[32], strict=True))
        os._exit(0 if same else 9)
    assert os.waitpid(child, 0)[1] == 0
print("equal")
"""


@pytest.mark.parametrize("backend", gl.BACKENDS)
def test_threads_draw_what_one_draws(backend):
    """Two threads step and draw at once, another closes, a child forks: the pixels and states are those of one
    thread. It was a segmentation fault with OSMesa, an error of EGL with EGL."""
    if not gl._has_library(gl.BACKENDS[backend][0]):
        pytest.skip("the library is not installed")
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["equal"], run.stderr
