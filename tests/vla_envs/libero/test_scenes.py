"""Which tasks share a scene, and what their goals say of one state."""

from __future__ import annotations

import numpy as np
import pytest

from vla_envs.libero import scenes
from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.suites import SUITES

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]


@pytest.mark.parametrize(
    ("suite", "count"),
    [("libero_spatial", 10), ("libero_object", 10), ("libero_goal", 1), ("libero_10", 9), ("libero_90", 20)],
)
def test_number_of_scenes(suite, count):
    """Each task is in exactly one."""
    found = {scenes.scene_tasks(suite, task_id) for task_id in range(len(SUITES[suite].tasks))}
    assert len(found) == count
    assert sorted(task_id for scene in found for task_id in scene) == list(range(len(SUITES[suite].tasks)))


def test_scenes_of_libero_90_are_those_of_the_names():
    """KITCHEN_SCENE3 and so on."""
    names = [task.name for task in SUITES["libero_90"].tasks]
    for task_id, name in enumerate(names):
        scene = name[: name.index("_", name.index("SCENE"))]
        expected = [other for other, each in enumerate(names) if each.startswith(f"{scene}_")]
        assert list(scenes.scene_tasks("libero_90", task_id)) == expected


def test_tasks_of_a_scene_have_the_same_model(libero_assets):
    """Bit for bit, so that the numbers of one task's goal hold for another's state."""
    from vla_envs.libero.builder import compile_task

    first, second = (compile_task(task, libero_assets) for task in SUITES["libero_goal"].tasks[:2])
    assert first.goal != second.goal
    assert first.scene == second.scene
    arrays = [name for name in dir(first.model) if isinstance(getattr(first.model, name), np.ndarray)]
    assert len(arrays) > 100
    for name in arrays:
        np.testing.assert_array_equal(getattr(first.model, name), getattr(second.model, name), err_msg=name)
    for ours, theirs in ((first.wiring, second.wiring), (first.initial, second.initial)):
        for value, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(value, expected)


@pytest.mark.slow
def test_solved_tasks_are_what_the_state_says(libero_assets):
    """A drawer that was pulled open solves the task that asks for it, whichever was asked for."""
    import mujoco

    env = LiberoEnv("libero_goal", task_id=[0, 1, 2], image_size=16, assets=libero_assets)
    env.reset(options={"task_id": 1, "init_state_id": 0})
    assert env.solved_tasks() == ()
    drawer = scenes.goal_of(SUITES["libero_goal"].tasks[0], libero_assets).predicates[0].bounds[0]
    env.simulator.data.qpos[drawer.address] = drawer.threshold + (0.01 if drawer.above else -0.01)
    mujoco.mj_forward(env.simulator.model, env.simulator.data)
    assert env.solved_tasks() == (0,)
    env.close()
