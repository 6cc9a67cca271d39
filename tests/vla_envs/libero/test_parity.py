"""Our simulation against the official ``OffScreenRenderEnv``, on the same actions."""

from __future__ import annotations

import numpy as np
import pytest

from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.init_states import read_init_states
from vla_envs.libero.suites import SUITES

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]

SIZE = 64
KNOB = "flat_stove_1_button"


class Official:
    """The official environment at an initial state, as the OpenVLA evaluation prepares it."""

    def __init__(self, suite: str, task_id: int, init_state_id: int) -> None:
        from libero.libero.envs.env_wrapper import OffScreenRenderEnv

        from vla_envs.libero.builder import with_linear_textures

        task = SUITES[suite].tasks[task_id]
        self.env = OffScreenRenderEnv(bddl_file_name=str(task.bddl_file), camera_heights=SIZE, camera_widths=SIZE)
        self.env.env.set_xml_processor(with_linear_textures)
        self.env.seed(0)
        self.env.reset()
        self._make_current()
        self.env.set_init_state(read_init_states(task.init_file)[init_state_id])
        for _ in range(10):
            self.observation, self.done = self.step(np.array([0, 0, 0, 0, 0, 0, -1]))

    def step(self, action):
        """Its render context does not make itself current beside another."""
        self._make_current()
        self.observation, _, self.done, _ = self.env.step(action)
        return self.observation, self.done

    def _make_current(self):
        self.env.env.sim._render_context_offscreen.gl_ctx.make_current()

    @property
    def data(self):
        return self.env.env.sim.data._data


def assert_equal(env: LiberoEnv, observation: dict, official: Official) -> None:
    from robosuite.utils.transform_utils import quat2axisangle

    theirs = official.observation
    np.testing.assert_array_equal(env.simulator.data.qpos, official.data.qpos)
    np.testing.assert_array_equal(env.simulator.data.qvel, official.data.qvel)
    rotation = quat2axisangle(theirs["robot0_eef_quat"].copy())
    state = np.concatenate([theirs["robot0_eef_pos"], rotation, theirs["robot0_gripper_qpos"]])
    np.testing.assert_array_equal(observation["state"], state.astype(np.float32))
    np.testing.assert_array_equal(observation["image"], theirs["agentview_image"][::-1, ::-1])
    np.testing.assert_array_equal(observation["wrist_image"], theirs["robot0_eye_in_hand_image"][::-1, ::-1])


def start(suite: str, task_id: int, init_state_id: int) -> tuple[LiberoEnv, dict, Official]:
    env = LiberoEnv(suite, task_id, cameras=("agentview", "wrist"), image_size=SIZE)
    observation, _ = env.reset(options={"init_state_id": init_state_id})
    return env, observation, Official(suite, task_id, init_state_id)


def test_trajectory_equals_the_official_one():
    """Physics, proprioception and pixels, bit for bit, over random actions that reach the table."""
    env, observation, official = start("libero_goal", 7, 30)
    assert_equal(env, observation, official)
    actions = np.random.default_rng(1).uniform(-1, 1, (20, 7))
    actions[::4, 3:6] = 0.0
    actions[8:14, :3] = 0.2, 0.1, -1.0
    for action in actions:
        observation, _, terminated, _, _ = env.step(action)
        official.step(action)
        assert terminated == official.done
        assert_equal(env, observation, official)


def test_success_and_the_stoves_glow_equal_the_official_ones():
    """Turned by hand: the goal ends the episode at once, the burner glows from the next image on."""
    task_id = [task.name for task in SUITES["libero_goal"].tasks].index("turn_on_the_stove")
    env, _, official = start("libero_goal", task_id, 0)
    still = np.zeros(7)
    for data in (env.simulator.data, official.data):
        data.joint(KNOB).qpos = 1.0
    observation, reward, terminated, truncated, info = env.step(still)
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    official.step(still)
    assert official.done
    assert_equal(env, observation, official)
    assert red_pixels(observation["wrist_image"]) == 0

    env.simulator.step(still)
    official.step(still)
    observation = env._observe()
    assert_equal(env, observation, official)
    assert red_pixels(observation["wrist_image"]) > 10


def red_pixels(image) -> int:
    red, green, blue = np.moveaxis(image.astype(int), -1, 0)
    return int((red - np.maximum(green, blue) > 60).sum())
