"""What ``VLA-Tabletop-v0`` adds to the contract."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import vla_envs  # noqa: F401  (registers the ids)
from vla_envs import spec
from vla_envs.errors import InvalidArgumentError, UnknownCameraError, UnknownInitStateError
from vla_envs.tabletop import Expert, TabletopEnv
from vla_envs.tabletop.scenes import NUM_INIT_STATES
from vla_envs.tabletop.tasks import TASKS


def solve(env: TabletopEnv, task_id: int, init_state_id: int = 0) -> tuple[dict[str, object], list[float]]:
    """Let the expert act until the end; the last info and all rewards."""
    env.reset(options={"task_id": task_id, "init_state_id": init_state_id})
    rewards, ended = [], False
    while not ended:
        _, reward, terminated, truncated, info = env.step(Expert(env).action())
        rewards.append(reward)
        ended = terminated or truncated
    return info, rewards


def test_default_observation() -> None:
    """By default one 128 x 128 image of the main camera, the state and the instruction."""
    env = gym.make("VLA-Tabletop-v0")
    observation, info = env.reset(seed=0)
    assert set(observation) == {"image", "state", "instruction"}
    assert observation["image"].shape == (128, 128, 3)
    assert observation["instruction"] == info["task"]
    assert info["suite"] == "tabletop"


@pytest.mark.parametrize(
    ("cameras", "keys"),
    [
        (("agentview",), {"image"}),
        (("wrist",), {"wrist_image"}),
        (["agentview", "wrist"], {"image", "wrist_image"}),
        ((), set()),
        ("wrist", {"wrist_image"}),
    ],
)
def test_cameras(cameras: str | tuple[str, ...], keys: set[str]) -> None:
    """Each camera asked for is in the observation, and no other."""
    env = TabletopEnv(cameras=cameras, image_size=32)
    observation, _ = env.reset(seed=0)
    assert set(observation) == keys | {"state", "instruction"} == set(env.observation_space)


def test_unknown_camera_names_the_valid_ones() -> None:
    """The message lists both cameras."""
    with pytest.raises(UnknownCameraError, match="'agentview', 'wrist', actually: 'front'"):
        TabletopEnv(cameras=("front",))


def test_same_image_for_several_instructions() -> None:
    """Tasks of one scene start from the same image, so that the instruction alone tells them apart."""
    env = TabletopEnv(image_size=64)
    starts = [env.reset(options={"task_id": each, "init_state_id": 3})[0] for each in range(4)]
    for start in starts[1:]:
        np.testing.assert_array_equal(start["image"], starts[0]["image"])
        assert start["instruction"] != starts[0]["instruction"]


def test_splits_have_fifty_states_each() -> None:
    """50 initial states train, 50 evaluate, per task."""
    assert len(TabletopEnv(task_id=0, split="train").prompts()) == 50
    assert len(TabletopEnv(task_id=[0, 3], split="eval").prompts()) == 100
    assert len(TabletopEnv().prompts()) == NUM_INIT_STATES * len(TASKS)


def test_more_initial_states_train() -> None:
    """Those beyond the first hundred train, and the same fifty evaluate as without them."""
    few, many = TabletopEnv(task_id=4), TabletopEnv(task_id=4, num_init_states=130)
    assert set(many.init_states(4, "train")) == set(few.init_states(4, "train")) | set(range(100, 130))
    assert list(many.init_states(4, "eval")) == list(few.init_states(4, "eval")) == list(range(50, 100))
    assert list(many.init_states(4, "all")) == list(range(130))
    start = {"options": {"init_state_id": 77}}
    np.testing.assert_array_equal(few.reset(**start)[0]["image"], many.reset(**start)[0]["image"])
    for init_state_id, split in ((49, "train"), (50, "eval"), (99, "eval"), (100, "train"), (129, "train")):
        assert many.reset(options={"init_state_id": init_state_id})[1]["split"] == split
    with pytest.raises(UnknownInitStateError, match="0 to 129"):
        many.reset(options={"init_state_id": 130})


@pytest.mark.parametrize("number", [99, 2**20 + 1, 100.5, True, "100"])
def test_number_of_initial_states_is_checked(number: Any) -> None:
    """The states that evaluate are always there."""
    with pytest.raises(InvalidArgumentError, match=r"`num_init_states` .* 100 to 1048576"):
        TabletopEnv(num_init_states=number)


@pytest.mark.parametrize("task_id", range(len(TASKS)))
def test_success_terminates_with_one_reward(task_id: int) -> None:
    """The reward is 1 on the step that succeeds and 0 before."""
    info, rewards = solve(TabletopEnv(image_size=16, cameras=()), task_id)
    assert info["success"]
    assert rewards == [0.0] * (len(rewards) - 1) + [1.0]


def test_success_on_the_last_step_is_both() -> None:
    """Success on the very last step terminates and truncates."""
    info, rewards = solve(TabletopEnv(cameras=()), 0)
    env = TabletopEnv(cameras=(), max_episode_steps=len(rewards))
    env.reset(options={"task_id": 0, "init_state_id": 0})
    while True:
        _, _, terminated, truncated, info = env.step(Expert(env).action())
        if terminated or truncated:
            break
    assert (terminated, truncated, info["success"]) == (True, True, True)


@pytest.mark.parametrize("task_id", [0, 11])
def test_final_state(task_id: int) -> None:
    """Every object's position, the drawer's opening and whether something is held; the same length for all tasks."""
    env = TabletopEnv(cameras=())
    info, _ = solve(env, task_id, 5)
    final = info["final_state"]
    assert isinstance(final, np.ndarray)
    assert final.shape == (11,)
    assert len(env.world.movables) == (2 if task_id == 0 else 3) or not final[6:9].any()
    thing = env.world.movables[0]
    np.testing.assert_allclose(final[:3], (thing.x, thing.y, thing.z), rtol=1e-6)
    assert final[-2] == pytest.approx(0.0 if task_id == 0 else 0.1)
    assert final[-1] == 0.0


def test_final_state_says_what_is_held() -> None:
    """An episode cut off while an object is held says so."""
    env = TabletopEnv(cameras=(), max_episode_steps=9)
    info, _ = solve(env, 0)
    assert info["final_state"][-1] == 1.0  # type: ignore[index]


def test_chunk_draws_once() -> None:
    """A chunk of K actions costs one image."""
    env = TabletopEnv(image_size=32)
    env.reset(seed=0)
    drawn = []
    renderer = env._renderers[spec.IMAGE]
    draw = renderer.draw
    renderer.draw = lambda world: drawn.append(1) or draw(world)  # type: ignore[method-assign,func-returns-value]
    env.step_chunk(np.zeros((8, 7)))
    assert len(drawn) == 1


@pytest.mark.parametrize(("image_size", "shown"), [(64, 256), (300, 300)])
def test_render(image_size: int, shown: int) -> None:
    """``render()`` gives the main camera at 256 pixels or more."""
    env = gym.make("VLA-Tabletop-v0", image_size=image_size, render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert isinstance(image, np.ndarray)
    assert image.shape == (shown, shown, 3)


def test_needs_gymnasium_and_numpy_alone() -> None:
    """Making, stepping and solving the environment imports no simulator and no deep learning library."""
    code = """
import sys, gymnasium, vla_envs
env = gymnasium.make("VLA-Tabletop-v0"); env.reset(seed=0); env.step(env.action_space.sample())
heavy = {"torch", "ray", "mujoco", "robosuite", "libero", "scipy", "PIL", "cv2", "matplotlib"} & set(sys.modules)
sys.exit(", ".join(heavy) or None)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
