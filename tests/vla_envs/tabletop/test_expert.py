"""The expert solves every task from every initial state, and what it shows can be learned from."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vla_envs  # noqa: F401  (registers the ids)
from vla_envs import spec
from vla_envs.errors import InvalidArgumentError
from vla_envs.tabletop import Expert, TabletopEnv, goals
from vla_envs.tabletop.scenes import NUM_INIT_STATES, initial_world
from vla_envs.tabletop.tasks import DOUBLE, SINGLE, TASKS

ALL_TASKS = range(len(TASKS))


class Unseen(TabletopEnv):
    """The environment without its images, which the expert does not look at."""

    def _observe(self) -> dict[str, np.ndarray]:
        return {spec.STATE: self.world.gripper.proprioception()}


@pytest.mark.parametrize("task_id", ALL_TASKS)
def test_solves_every_initial_state(task_id: int) -> None:
    """All 100 initial states, within half of the step limit."""
    env = Unseen(task_id=task_id)
    for init_state_id in range(NUM_INIT_STATES):
        assert steps_to_success(env, task_id, init_state_id) <= (SINGLE if task_id < 15 else DOUBLE) // 2


@pytest.mark.parametrize("task_id", ALL_TASKS)
def test_solves_under_noise(task_id: int) -> None:
    """Noise on every number of the action delays the expert, and does not defeat it."""
    env = Unseen(task_id=task_id)
    rng = np.random.default_rng(task_id)
    for init_state_id in range(0, NUM_INIT_STATES, 10):
        steps_to_success(env, task_id, init_state_id, 0.2, rng)


@settings(max_examples=60)
@given(st.sampled_from(ALL_TASKS), st.integers(0, NUM_INIT_STATES - 1), st.integers(0, 2**32 - 1))
def test_carries_on_from_random_states(task_id: int, init_state_id: int, seed: int) -> None:
    """After 30 random actions, objects moved about among them, the expert still solves the task."""
    env = Unseen(task_id=task_id, max_episode_steps=400)
    env.reset(options={"task_id": task_id, "init_state_id": init_state_id})
    rng = np.random.default_rng(seed)
    expert = Expert(env)
    for step in range(30):
        random = rng.uniform(-1, 1, 7)
        action = expert.action() if step % 15 < 9 else random
        _, _, ended, _, _ = env.step(action)
        if ended:
            return
    for _ in range(300):
        _, _, ended, _, _ = env.step(expert.action())
        if ended:
            return
    pytest.fail(f"not solved: {env.prompt}, seed {seed}")


def test_puts_the_wrong_object_aside() -> None:
    """With the other cube in its fingers, the expert puts it on the table first."""
    env = Unseen(task_id=0)
    env.reset(options={"task_id": 0, "init_state_id": 0})
    world = env.world
    wrong = world.movable("green cube")
    world.gripper.x, world.gripper.y, world.gripper.z = wrong.x, wrong.y, wrong.middle
    world.held, world.gripper.finger = wrong, wrong.radius
    expert = Expert(env)
    success = False
    while not success:
        _, _, success, truncated, _ = env.step(expert.action())
        assert not truncated
    assert wrong.z == 0.0


def test_function_of_the_state_alone() -> None:
    """Asked twice, or by a new expert, the action is the same, and the world is left alone."""
    env = Unseen(task_id=0)
    env.reset(seed=0)
    expert = Expert(env)
    for _ in range(10):
        before = env.world.gripper.proprioception()
        action = expert.action()
        np.testing.assert_array_equal(action, expert.action())
        np.testing.assert_array_equal(action, Expert(env).action())
        np.testing.assert_array_equal(before, env.world.gripper.proprioception())
        env.step(action)


def test_follows_the_instruction() -> None:
    """From the same start, each instruction leads to its own goal."""
    for scene_tasks in ([0, 1, 2, 3], [4, 5, 6], [9, 10]):
        env = Unseen()
        for task_id in scene_tasks:
            steps_to_success(env, task_id, 7)
            others = [TASKS[other].goals for other in scene_tasks if other != task_id]
            assert not any(goals.met(each, env.world) for each in others)


def test_a_plan_is_what_the_expert_then_does() -> None:
    """Step by step until the task is solved, and the episode stays where it was while planning."""
    env = gym.make("VLA-Tabletop-v0", image_size=16)
    env.reset(options={"task_id": 4, "init_state_id": 7})
    expert = Expert(env)
    plan = expert.plan(100)
    for planned in plan:
        np.testing.assert_array_equal(expert.action(), planned)
        _, _, terminated, _, _ = env.step(planned)
    assert terminated


@pytest.mark.parametrize("speed", [0.3, 0.5])
def test_a_slow_expert_arrives_later(speed: float) -> None:
    """It moves no faster than asked along any axis, in its plans too, and solves the task all the same."""
    env = Unseen(task_id=0)
    full = steps_to_success(env, 0, 3)
    env.reset(options={"task_id": 0, "init_state_id": 3})
    plan = Expert(env, speed).plan(100)
    assert np.abs(plan[:, :3]).max() == np.float32(speed)
    for action in plan:
        np.testing.assert_array_equal(Expert(env, speed).action(), action)
        _, _, success, _, _ = env.step(action)
    assert success
    assert len(plan) > 1.3 * full


@pytest.mark.parametrize("speed", [0.0, -0.5, 1.1, float("nan")])
def test_speed_out_of_range(speed: float) -> None:
    """A share of the farthest that an action moves."""
    with pytest.raises(InvalidArgumentError, match=f"`speed` to be .* above 0 and at most 1, actually: {speed}"):
        Expert(Unseen(), speed)


def test_a_plan_is_cut_to_its_length() -> None:
    """A chunk of a policy has room for so many actions."""
    env = Unseen()
    env.reset(options={"task_id": 0, "init_state_id": 0})
    plan = Expert(env).plan(8)
    assert plan.shape == (8, 7)
    assert plan.dtype == np.float32


def test_objects_cannot_be_read_from_the_state() -> None:
    """Two starts whose objects stand elsewhere may have the same state: it shows the hand alone."""
    env = TabletopEnv(image_size=32)
    env.reset(options={"task_id": 0, "init_state_id": 0})
    before = env._observe()
    other = initial_world("plates", 1)
    for mine, theirs in zip(env.world.movables, other.movables, strict=True):
        mine.x, mine.y = theirs.x, theirs.y
    env.world.version += 1
    after = env._observe()
    np.testing.assert_array_equal(before["state"], after["state"])
    assert not np.array_equal(before["image"], after["image"])


def steps_to_success(
    env: TabletopEnv, task_id: int, init_state_id: int, noise: float = 0.0, rng: np.random.Generator | None = None
) -> int:
    """Let the expert solve the task, with noise on what is executed; its number of control steps."""
    env.reset(options={"task_id": task_id, "init_state_id": init_state_id})
    expert = Expert(env)
    while True:
        action = expert.action()
        if rng is not None:
            action = action + noise * rng.standard_normal(7)
        _, _, success, truncated, info = env.step(action)
        if success:
            return int(info["elapsed_steps"])
        assert not truncated, f"task {task_id}, initial state {init_state_id}"
