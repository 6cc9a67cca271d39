from __future__ import annotations

import gc

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.vla_envs.libero.conftest import keep_decoded_files
from vla_envs.errors import RendererUnavailableError
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.render import QUALITIES, gl
from vla_envs.libero.verify.doctor import in_fresh_process

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (4, 7))
ASIDE = np.array([0.0, 1.0, -0.5, 0.0, 0.0, 0.0, -1.0])
"""An action that moves the hand from above the stove of libero_spatial to the other side of the table."""


@pytest.fixture(scope="module")
def env():
    env = LiberoEnv("libero_object", 0, cameras=("agentview", "wrist"), image_size=64)
    env.reset(options={"init_state_id": 0})
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
    from vla_envs.libero.render.renderer import Renderer

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


def test_the_drawn_model_agrees_with_the_physics(env):
    """Bodies, joints, sites and cameras have the same numbers, names and places in both."""
    from vla_envs.libero.render.renderer import drawn_model

    physics, drawn = env.simulator.model, drawn_model(env.simulator.compiled)
    assert physics.ngeom < drawn.ngeom
    for kind, count in (("body", "nbody"), ("jnt", "njnt"), ("site", "nsite"), ("cam", "ncam")):
        assert getattr(physics, count) == getattr(drawn, count)
        names = [
            [getattr(model, {"jnt": "joint"}.get(kind, kind))(i).name for i in range(getattr(model, count))]
            for model in (physics, drawn)
        ]
        assert names[0] == names[1]
        np.testing.assert_array_equal(getattr(physics, f"{kind}_pos"), getattr(drawn, f"{kind}_pos"))
    np.testing.assert_array_equal(physics.body_mass, drawn.body_mass)
    np.testing.assert_array_equal(physics.body_inertia, drawn.body_inertia)


@pytest.mark.slow
def test_egl_draws_what_osmesa_draws(monkeypatch):
    """Where both are Mesa's software, in processes of their own: a process has one of them."""
    drawn = {}
    for backend in gl.BACKENDS:
        monkeypatch.setenv("MUJOCO_GL", backend)
        monkeypatch.setenv("PYOPENGL_PLATFORM", backend)
        try:
            drawn[backend] = in_fresh_process(draw_and_name_the_device)
        except RendererUnavailableError as error:
            pytest.skip(str(error))
    if any("llvmpipe" not in device for device, _ in drawn.values()):
        pytest.skip("a device draws here")
    for one, other in zip(drawn["egl"][1], drawn["osmesa"][1], strict=True):
        np.testing.assert_array_equal(one, other)


def draw_and_name_the_device() -> tuple[str, list[NDArray[np.uint8]]]:
    """The images of both cameras in the quality that asks most of OpenGL and in the one that asks least."""
    keep_decoded_files()
    images = []
    for quality in ("exact", "fastest"):
        env = LiberoEnv("libero_goal", 0, cameras=("agentview", "wrist"), image_size=128, render_quality=quality)
        observation, _ = env.reset(options={"init_state_id": 0})
        images += [observation["image"], observation["wrist_image"]]
    from OpenGL import GL

    with gl.drawing():
        return GL.glGetString(GL.GL_RENDERER).decode(), images


class TestQualities:
    """On a task with a stove, whose box mirrors the scene."""

    @pytest.fixture(scope="class")
    @classmethod
    def episodes(cls):
        """Quality -> environment, last observation and info of one episode; all use the same model."""
        episodes = {}
        for quality in QUALITIES:
            env = LiberoEnv("libero_spatial", 0, ("agentview", "wrist"), image_size=128, render_quality=quality)
            env.reset(options={"init_state_id": 0})
            observation, *_, info = env.step_chunk(ACTIONS)
            episodes[quality] = env, observation, info
        return episodes

    @pytest.mark.parametrize("quality", QUALITIES)
    def test_is_recorded(self, episodes, quality):
        env, _, info = episodes[quality]
        assert info["render_quality"] == env.metadata["render_quality"] == quality

    @pytest.mark.parametrize("quality", ["fast", "fastest"])
    def test_physics_is_the_same_bit_for_bit(self, episodes, quality):
        exact, approximate = episodes["exact"], episodes[quality]
        for name in ("qpos", "qvel"):
            values, others = (getattr(env.simulator.data, name) for env, *_ in (exact, approximate))
            np.testing.assert_array_equal(values, others)
        np.testing.assert_array_equal(exact[1]["state"], approximate[1]["state"])

    @pytest.mark.parametrize("camera", ["image", "wrist_image"])
    @pytest.mark.parametrize("quality", ["fast", "fastest"])
    def test_images_differ_a_little(self, episodes, quality, camera):
        """A mean of at most 4 of 255: where edges, reflections and fine detail are, and nowhere else."""
        image, other = (episodes[name][1][camera].astype(int) for name in ("exact", quality))
        difference = np.abs(image - other)
        assert 0 < difference.mean() < 4
        assert (difference.max(axis=-1) <= 2).mean() > 0.75

    def test_fastest_differs_from_fast(self, episodes):
        assert (episodes["fast"][1]["image"] != episodes["fastest"][1]["image"]).any()

    def test_exact_stays_exact_beside_the_others(self, episodes):
        """A renderer made after those of other qualities draws what the first one drew."""
        from vla_envs.libero.render.renderer import Renderer

        env, observation, _ = episodes["exact"]
        renderer = Renderer(env.simulator.compiled, 128, "exact")
        np.testing.assert_array_equal(renderer.draw(env.simulator, "agentview"), observation["image"])


def draw(env, camera: str):
    from vla_envs.libero.render.renderer import renderer_of

    renderer = renderer_of(env.simulator.compiled, 64, env.render_quality)
    image = renderer.draw(env.simulator, camera)
    scene = renderer._scene
    return image, [geom.type for geom in scene.geoms[: scene.ngeom]]


def assert_draws_as_without_hiding(monkeypatch, env, camera: str) -> int:
    """How many geoms are hidden."""
    from vla_envs.libero.render import renderer

    image, types = draw(env, camera)
    with monkeypatch.context() as patch:
        patch.setattr(renderer, "hide_unseen", lambda *args: None)
        whole, all_types = draw(env, camera)
    np.testing.assert_array_equal(image, whole)
    assert renderer.NOTHING not in all_types
    return types.count(renderer.NOTHING)


class TestHiding:
    """What the camera cannot see is left out, which changes no pixel."""

    @pytest.fixture
    def episode(self):
        def start(suite: str, quality: str) -> LiberoEnv:
            env = LiberoEnv(suite, 0, image_size=64, render_quality=quality)
            env.reset(options={"init_state_id": 0})
            return env

        return start

    @pytest.mark.parametrize("camera", ["agentview", "robot0_eye_in_hand"])
    @pytest.mark.parametrize("quality", ["exact", "fastest"])
    def test_pixels_stay_the_same(self, monkeypatch, episode, quality, camera):
        """In a scene without a mirror, along a motion of the arm."""
        env = episode("libero_object", quality)
        hidden = 0
        for action in np.random.default_rng(0).uniform(-1, 1, (5, 7)):
            for _ in range(5):
                env.simulator.step(action)
            hidden += assert_draws_as_without_hiding(monkeypatch, env, camera)
        assert hidden > 0

    def test_a_mirror_shows_what_is_not_in_the_image(self, monkeypatch, episode):
        """The wrist camera looks at the stove, then away from it."""
        env = episode("libero_spatial", "exact")
        assert assert_draws_as_without_hiding(monkeypatch, env, "robot0_eye_in_hand") == 0
        for _ in range(40):
            env.simulator.step(ASIDE)
        assert assert_draws_as_without_hiding(monkeypatch, env, "robot0_eye_in_hand") > 0

    def test_without_reflections_a_mirror_is_a_box(self, monkeypatch, episode):
        env = episode("libero_spatial", "fast")
        assert assert_draws_as_without_hiding(monkeypatch, env, "robot0_eye_in_hand") > 0
