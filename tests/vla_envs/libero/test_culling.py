from __future__ import annotations

import numpy as np
import pytest

from vla_envs.libero.env import LiberoEnv

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]

ASIDE = np.array([0.0, 1.0, -0.5, 0.0, 0.0, 0.0, -1.0])
"""An action that moves the hand from above the stove of libero_spatial to the other side of the table."""


def draw(env, camera: str):
    from vla_envs.libero.renderer import renderer_of

    renderer = renderer_of(env.simulator.compiled, 64, env.render_quality)
    image = renderer.draw(env.simulator, camera)
    scene = renderer._scene
    return image, [geom.type for geom in scene.geoms[: scene.ngeom]]


def assert_draws_as_without_hiding(monkeypatch, env, camera: str) -> int:
    """How many geoms are hidden."""
    from vla_envs.libero import culling, renderer

    image, types = draw(env, camera)
    with monkeypatch.context() as patch:
        patch.setattr(renderer, "hide_unseen", lambda *args: None)
        whole, all_types = draw(env, camera)
    np.testing.assert_array_equal(image, whole)
    assert culling.NOTHING not in all_types
    return types.count(culling.NOTHING)


@pytest.fixture
def episode():
    def start(suite: str, quality: str) -> LiberoEnv:
        env = LiberoEnv(suite, 0, image_size=64, render_quality=quality)
        env.reset(options={"init_state_id": 0})
        return env

    return start


@pytest.mark.parametrize("camera", ["agentview", "robot0_eye_in_hand"])
@pytest.mark.parametrize("quality", ["exact", "fastest"])
def test_pixels_stay_the_same(monkeypatch, episode, quality, camera):
    """In a scene without a mirror, along a motion of the arm."""
    env = episode("libero_object", quality)
    hidden = 0
    for action in np.random.default_rng(0).uniform(-1, 1, (5, 7)):
        for _ in range(5):
            env.simulator.step(action)
        hidden += assert_draws_as_without_hiding(monkeypatch, env, camera)
    assert hidden > 0


def test_a_mirror_shows_what_is_not_in_the_image(monkeypatch, episode):
    """The wrist camera looks at the stove, then away from it."""
    env = episode("libero_spatial", "exact")
    assert assert_draws_as_without_hiding(monkeypatch, env, "robot0_eye_in_hand") == 0
    for _ in range(40):
        env.simulator.step(ASIDE)
    assert assert_draws_as_without_hiding(monkeypatch, env, "robot0_eye_in_hand") > 0


def test_without_reflections_a_mirror_is_a_box(monkeypatch, episode):
    env = episode("libero_spatial", "fast")
    assert assert_draws_as_without_hiding(monkeypatch, env, "robot0_eye_in_hand") > 0
