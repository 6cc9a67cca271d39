from __future__ import annotations

import gc

import numpy as np
import pytest
from numpy.typing import NDArray

from vla_envs.errors import RendererUnavailableError
from vla_envs.libero import gl
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.fresh_process import in_fresh_process
from vla_envs.libero.quality import QUALITIES

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]


@pytest.fixture(scope="module")
def env():
    env = LiberoEnv("libero_object", (0, 1), cameras=("agentview", "wrist"), image_size=64)
    env.reset(options={"init_state_id": 0, "task_id": 0})
    return env


def test_images_are_upright(env):
    """The robot comes in from the top of the agentview; the fingers are at the bottom of the wrist view."""
    observation = env._observe()
    white = (observation["image"].min(axis=-1) > 150) & (np.ptp(observation["image"].astype(int), axis=-1) < 12)
    assert white[:24, 20:44].sum() > 2 * white[40:, 20:44].sum()
    fingers = observation["wrist_image"][-8:].astype(int)
    assert fingers.mean() < 90
    assert observation["image"].mean() > 80


def test_drawing_is_repeatable_and_gives_a_new_array(env):
    one, two = env.render(), env.render()
    np.testing.assert_array_equal(one, two)
    assert not np.shares_memory(one, two)
    assert one.flags.c_contiguous


@pytest.mark.parametrize("size", [32, 128])
def test_sizes(env, size):
    """A small image shows what a large one shows."""
    other = LiberoEnv("libero_object", 0, image_size=size)
    observation, _ = other.reset(options={"init_state_id": 0})
    assert observation["image"].shape == (size, size, 3)
    small, large = sorted((observation["image"], env.render()), key=len)
    factor = len(large) // len(small)
    shrunk = large.reshape(len(small), factor, len(small), factor, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 8


def test_freeing_a_renderer_leaves_the_others(env):
    """Another renderer of the process is drawn with and freed; the images stay what they were."""
    from vla_envs.libero.renderer import Renderer

    before = env.render()
    another = Renderer(env.simulator.compiled, 48, "exact")
    assert another.draw(env.simulator, "agentview").shape == (48, 48, 3)
    np.testing.assert_array_equal(env.render(), before)
    del another
    gc.collect()
    np.testing.assert_array_equal(env.render(), before)


def test_a_forked_child_draws_the_same(env):
    """Software rendering survives a fork, as in ``gymnasium.vector.AsyncVectorEnv``."""
    import multiprocessing

    if gl.select_backend() == "egl":
        pytest.skip("EGL does not survive a fork, and says so")
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(env.render()))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
        pytest.fail("the child hangs")
    np.testing.assert_array_equal(queue.get(), env.render())


@pytest.mark.slow
@pytest.mark.parametrize("quality", QUALITIES)
def test_egl_draws_what_osmesa_draws(monkeypatch, quality):
    """Where both are Mesa's software, in processes of their own: a process has one of them."""
    drawn = {}
    for backend in gl.BACKENDS:
        monkeypatch.setenv("MUJOCO_GL", backend)
        monkeypatch.setenv("PYOPENGL_PLATFORM", backend)
        try:
            drawn[backend] = in_fresh_process(draw_and_name_the_device, quality)
        except RendererUnavailableError as error:
            pytest.skip(str(error))
    if any("llvmpipe" not in device for device, _ in drawn.values()):
        pytest.skip("a device draws here")
    for one, other in zip(drawn["egl"][1], drawn["osmesa"][1], strict=True):
        np.testing.assert_array_equal(one, other)


def draw_and_name_the_device(quality: str) -> tuple[str, list[NDArray[np.uint8]]]:
    env = LiberoEnv("libero_goal", 0, cameras=("agentview", "wrist"), image_size=128, render_quality=quality)
    observation, _ = env.reset(options={"init_state_id": 0})
    from OpenGL import GL

    return GL.glGetString(GL.GL_RENDERER).decode(), [observation["image"], observation["wrist_image"]]
