from __future__ import annotations

import numpy as np
import pytest

from vla_envs.errors import InvalidArgumentError
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.quality import QUALITIES

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (4, 7))


def test_unknown_quality():
    with pytest.raises(InvalidArgumentError, match=r"`render_quality` .* 'exact', 'fast', 'fastest', actually: 'best'"):
        LiberoEnv(render_quality="best")


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
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
        assert (difference.max(axis=-1) == 0).mean() > 0.75

    def test_fastest_differs_from_fast(self, episodes):
        assert (episodes["fast"][1]["image"] != episodes["fastest"][1]["image"]).any()

    def test_exact_stays_exact_beside_the_others(self, episodes):
        """A renderer made after those of other qualities draws what the first one drew."""
        from vla_envs.libero.renderer import Renderer

        env, observation, _ = episodes["exact"]
        renderer = Renderer(env.simulator.compiled, 128, "exact")
        np.testing.assert_array_equal(renderer.draw(env.simulator, "agentview"), observation["image"])
