from __future__ import annotations

import dataclasses
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled, ResetNeeded

import vla_envs  # noqa: F401  (registers the id)
from tests.conformance import RobotConformance
from vla_envs.errors import (
    DamagedAssetsError,
    InvalidArgumentError,
    MissingAssetsError,
    RendererUnavailableError,
    UnknownCameraError,
    UnknownSuiteError,
)
from vla_envs.libero import env as module
from vla_envs.libero.assets import stand_ins
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.suites import SUITES


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
class TestLiberoConformance(RobotConformance):
    env_id = "VLA-Libero-v0"
    kwargs: ClassVar = {"suite": "libero_spatial", "task_id": 0, "image_size": 32}


class TestErrorsWithoutASimulator:
    """What is refused before any package is looked for."""

    def test_unknown_suite(self):
        with pytest.raises(UnknownSuiteError, match=r"'libero_spatial', .*'libero_90', actually: 'libero_100'"):
            LiberoEnv("libero_100")

    def test_unknown_camera(self):
        with pytest.raises(UnknownCameraError, match="'agentview', 'wrist', 'robot0_eye_in_hand', actually: 'front'"):
            LiberoEnv(cameras=("agentview", "front"))

    @pytest.mark.parametrize("image_size", [0, 256.0, "256"])
    def test_image_size(self, image_size):
        with pytest.raises(InvalidArgumentError, match=rf"integer from 16 to 1024, actually: {image_size!r}"):
            LiberoEnv(image_size=image_size)

    def test_unknown_quality(self):
        with pytest.raises(InvalidArgumentError, match=r"`render_quality` .* 'fast', 'fastest', actually: 'best'"):
            LiberoEnv(render_quality="best")

    def test_no_gl_library(self, monkeypatch):
        monkeypatch.setenv("MUJOCO_GL", "osmesa")
        monkeypatch.setattr(module.gl, "_has_library", lambda name: False)
        with pytest.raises(RendererUnavailableError, match=r"libOSMesa .*: apt-get install -y libosmesa6"):
            LiberoEnv()

    def test_package_is_missing(self, monkeypatch):
        monkeypatch.setattr(module.gl, "select_backend", lambda: "osmesa")
        monkeypatch.setattr("vla_envs.libero.suites.importlib.util.find_spec", lambda name: None)
        with pytest.raises(DependencyNotInstalled, match=r"pip install 'vla-envs\[libero\]' && pip install"):
            LiberoEnv()


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
class TestLiberoEnv:
    def test_make(self):
        """The id, with the contract's defaults."""
        env = gym.make("VLA-Libero-v0")
        observation, info = env.reset(options={"task_id": 0, "init_state_id": 0})
        assert observation["image"].shape == (256, 256, 3)
        assert set(observation) == {"image", "state", "instruction"}
        assert (info["suite"], info["max_steps"]) == ("libero_spatial", 220)
        env.close()

    @pytest.mark.parametrize(
        ("cameras", "keys"),
        [
            (("agentview",), {"image"}),
            (("agentview", "wrist"), {"image", "wrist_image"}),
            ("robot0_eye_in_hand", {"wrist_image"}),
        ],
    )
    def test_cameras(self, cameras, keys):
        env = LiberoEnv(cameras=cameras, image_size=32)
        observation, _ = env.reset(options={"init_state_id": 0})
        assert set(observation) == keys | {"state", "instruction"}
        assert set(env.observation_space.spaces) == set(observation)

    @pytest.mark.parametrize(
        ("suite", "task_id"),
        [("libero_spatial", 5), ("libero_object", 0), ("libero_goal", 7), ("libero_10", 3), ("libero_90", 39)],
    )
    def test_every_suite_runs(self, suite, task_id):
        """With its own instruction; the last initial state settles without solving the task."""
        env = LiberoEnv(suite, task_id, cameras=())
        observation, info = env.reset(options={"init_state_id": 49})
        assert observation["instruction"] == info["task"] == SUITES[suite].tasks[task_id].language
        assert not env.step(np.zeros(7))[4]["success"]

    def test_all_tasks_by_default_draws_them(self):
        env = LiberoEnv("libero_90", None, image_size=32)
        assert env.task_ids == tuple(range(90))
        assert len(env.prompts()) == 90 * 50
        assert len(LiberoEnv("libero_90", None, split="eval").prompts()) == 90 * 25

    def test_switching_tasks(self):
        """A prompt looks the same before and after an episode of another task."""
        env = LiberoEnv("libero_spatial", (0, 5), image_size=32)
        first, _ = env.reset(options={"task_id": 0, "init_state_id": 5})
        env.simulator.compiled.starts.clear()
        other, info = env.reset(options={"task_id": 5, "init_state_id": 5})
        assert info["task_id"] == 5
        assert other["instruction"] != first["instruction"]
        again, _ = env.reset(options={"task_id": 0, "init_state_id": 5})
        np.testing.assert_array_equal(again["image"], first["image"])
        np.testing.assert_array_equal(again["state"], first["state"])

    def test_what_is_in_use_is_made_once(self, monkeypatch, libero_assets):
        """However many other tasks the process has compiled and drawn meanwhile; those cost nothing here."""
        from vla_envs.libero.compile import builder
        from vla_envs.libero.render import renderer as drawing
        from vla_envs.libero.sim.memory import KEPT_TASKS

        class Other:
            def __init__(self, *_):
                pass

        env = LiberoEnv(image_size=32)
        env.reset(options={"init_state_id": 0})
        env.step(np.zeros(7))
        compiled = env.simulator.compiled
        with monkeypatch.context() as patch:
            patch.setattr(builder, "load_or_build", Other)
            patch.setattr(drawing, "Renderer", Other)
            for number in range(KEPT_TASKS):
                task = dataclasses.replace(SUITES["libero_spatial"].tasks[0], name=f"other {number}")
                drawing.renderer_of(builder.compile_task(task, libero_assets), 32, "exact")
        monkeypatch.setattr(builder, "load_or_build", lambda *_: pytest.fail("compiled again"))
        monkeypatch.setattr(drawing.Renderer, "__init__", lambda *_: pytest.fail("uploaded again"))
        env.reset(options={"init_state_id": 1})
        env.step(np.zeros(7))
        assert LiberoEnv(cameras=()).simulator.compiled is compiled

    def test_a_closed_environment_has_no_episode(self):
        env = LiberoEnv(image_size=32)
        env.reset(options={"init_state_id": 0})
        env.close()
        with pytest.raises(ResetNeeded):
            env.step(np.zeros(7))
        env.reset(options={"init_state_id": 0})
        env.step(np.zeros(7))

    def test_two_tasks_in_turns_do_not_disturb_each_other(self):
        """Also where one environment's stove is lit, which only its own image shows."""
        stove = [task.name for task in SUITES["libero_goal"].tasks].index("turn_on_the_stove")
        one, two = (LiberoEnv("libero_goal", stove, image_size=64) for _ in range(2))
        two.reset(options={"init_state_id": 0})
        one.reset(options={"init_state_id": 0})
        dark = one.step(np.zeros(7))[0]
        two.simulator.data.joint("flat_stove_1_button").qpos = 1.0
        for _ in range(2):
            two.simulator.step(np.zeros(7))
        assert (two.render() != one.render()).any()
        np.testing.assert_array_equal(one.render(), dark["image"])

    def test_metadata_says_what_results_rest_on(self, libero_assets):
        metadata = LiberoEnv().metadata
        assert metadata["versions"]["mujoco"] == "3.3.7"
        assert metadata["stand_ins"] == stand_ins(libero_assets)
        assert metadata["render_modes"] == ["rgb_array"]

    def test_render_is_the_agentview(self):
        env = LiberoEnv(image_size=32, render_mode="rgb_array")
        with pytest.raises(ResetNeeded):
            env.render()
        observation, _ = env.reset(options={"init_state_id": 0})
        np.testing.assert_array_equal(env.render(), observation["image"])

    def test_first_images_are_drawn_once_for_all_that_start_there(self, monkeypatch):
        """The environments of a group share them; what one does with its copy does not reach the others."""
        first, _ = LiberoEnv(image_size=32).reset(options={"init_state_id": 8})
        expected = first["image"].copy()
        first["image"][:] = 0
        monkeypatch.setattr("vla_envs.libero.render.renderer.Renderer.draw", lambda *_: pytest.fail("drawn again"))
        again, _ = LiberoEnv(image_size=32).reset(options={"init_state_id": 8})
        np.testing.assert_array_equal(again["image"], expected)

    def test_a_chunk_is_drawn_once(self, monkeypatch):
        """Nothing is drawn that is not returned."""
        from vla_envs.libero.render.renderer import Renderer

        env = LiberoEnv(cameras=("agentview", "wrist"), image_size=32)
        env.reset(options={"init_state_id": 0})
        drawn = []
        draw = Renderer.draw
        monkeypatch.setattr(Renderer, "draw", lambda self, *args: drawn.append(args[1]) or draw(self, *args))
        env.step_chunk(np.zeros((8, 7)))
        assert drawn == ["agentview", "robot0_eye_in_hand"]

    def test_success_terminates(self):
        """The soup put into the basket by hand."""
        env = LiberoEnv("libero_object", 0, cameras=())
        env.reset(options={"init_state_id": 0})
        data = env.simulator.data
        basket = data.body("basket_1_main").xpos
        data.joint("alphabet_soup_1_joint0").qpos[:3] = basket + np.array([0, 0, 0.05])
        _, reward, terminated, truncated, info = env.step_chunk(np.zeros((20, 7)))
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
        assert info["executed_actions"] <= 20
        assert np.isfinite(info["final_state"]).all()

    def test_named_assets(self, tmp_path):
        with pytest.raises(MissingAssetsError, match=r"absent.*vla assets libero --from"):
            LiberoEnv(assets=tmp_path / "absent")
        with pytest.raises(DamagedAssetsError, match="vla assets libero --from"):
            LiberoEnv(assets=tmp_path)

    def test_solved_tasks_are_what_the_state_says(self, libero_assets):
        """A drawer that was pulled open solves the task that asks for it, whichever was asked for."""
        import mujoco

        env = LiberoEnv("libero_goal", task_id=[0, 1], cameras=(), assets=libero_assets)
        env.reset(options={"task_id": 1, "init_state_id": 0})
        assert env.solved_tasks() == ()
        drawer = module._goal_of(SUITES["libero_goal"].tasks[0], libero_assets).predicates[0].bounds[0]
        env.simulator.data.qpos[drawer.address] = drawer.threshold + (0.01 if drawer.above else -0.01)
        mujoco.mj_forward(env.simulator.model, env.simulator.data)
        assert env.solved_tasks() == (0,)
        env.close()


_ACTIONS = np.random.default_rng(5).uniform(-1, 1, (4, 7))


@pytest.fixture(scope="module")
def goal_env(libero_assets):
    return LiberoEnv("libero_goal", 7, cameras=(), image_size=64, assets=libero_assets)


@pytest.fixture(scope="module")
def midway(goal_env):
    """A state in the middle of an episode."""
    goal_env.reset(options={"init_state_id": 2})
    goal_env.step_chunk(_ACTIONS)
    data = goal_env.simulator.data
    return np.concatenate([[data.time], data.qpos, data.qvel])


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
class TestInitState:
    """``reset(options={"init_state": ...})``: any state of a task, as LIBERO's demonstrations have them."""

    def test_the_episode_starts_there(self, goal_env, midway):
        """Nothing settles, and the observation shows it; whatever ran before changes nothing."""
        for _ in range(2):
            observation, info = goal_env.reset(options={"init_state": midway.tolist()})
            np.testing.assert_array_equal(goal_env.simulator.data.qpos, midway[1 : 1 + goal_env.simulator.model.nq])
            np.testing.assert_array_equal(goal_env.simulator.data.time, midway[0])
            assert observation["state"][:3] == pytest.approx(goal_env.simulator.data.site("gripper0_grip_site").xpos)
            goal_env.step_chunk(_ACTIONS)
        assert (info["init_state_id"], info["split"], info["elapsed_steps"]) == (-1, "train", 0)

    def test_it_is_saved_before_its_first_step_and_after(self, goal_env, midway):
        """The first step is another one than those that follow."""
        goal_env.reset(options={"init_state": midway})
        saved = goal_env.save_state()
        goal_env.step_chunk(_ACTIONS)
        expected = goal_env.simulator.data.qpos.copy()
        goal_env.reset(options={"init_state_id": 1})
        goal_env.restore_state(saved)
        goal_env.step_chunk(_ACTIONS)
        np.testing.assert_array_equal(goal_env.simulator.data.qpos, expected)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"init_state": [0.0] * 4}, r"to be \d+ numbers, MuJoCo's time.*shape \(4,\)"),
            ({"init_state": [float("nan")]}, "finite numbers"),
            ({"init_state": [0.0], "init_state_id": 1}, "one start"),
        ],
    )
    def test_what_is_none_is_refused(self, goal_env, options, message):
        with pytest.raises(InvalidArgumentError, match=message):
            goal_env.reset(options=options)
