from __future__ import annotations

import numpy as np
import pytest

from vla_envs.libero.env import LiberoEnv

pytestmark = [pytest.mark.libero, pytest.mark.usefixtures("libero_assets")]


@pytest.fixture(scope="module")
def env():
    env = LiberoEnv("libero_goal", 7, cameras=(), image_size=64)
    env.reset(options={"init_state_id": 0})
    return env


def test_a_reset_undoes_everything(env):
    """Physics after a reset are the same to the last bit, whatever the episode before did."""

    def episode() -> np.ndarray:
        env.reset(options={"init_state_id": 4})
        for action in np.random.default_rng(0).uniform(-1, 1, (4, 7)):
            env.step(action)
        return np.concatenate([env.simulator.data.qpos, env.simulator.data.qvel])

    first = episode()
    env.simulator.data.xfrc_applied[:] = 1e-4
    env.simulator.step(np.ones(7))
    np.testing.assert_array_equal(episode(), first)


def test_objects_have_settled(env):
    """Ten control steps after the initial state was set, nothing moves fast; they are not counted."""
    _, info = env.reset(options={"init_state_id": 3})
    assert np.abs(env.simulator.data.qvel).max() < 0.5
    assert info["elapsed_steps"] == 0
    assert env.simulator.data.time == pytest.approx(10 / 20, abs=1e-6)


def test_an_action_moves_the_hand_as_it_says(env):
    """Five steps of +x, then of closing: the hand goes that way, the fingers meet."""
    before = env.reset(options={"init_state_id": 0})[0]["state"]
    moved = env.step_chunk(np.tile([0.5, 0, 0, 0, 0, 0, -1.0], (5, 1)))[0]["state"]
    assert moved[0] - before[0] > 0.015
    assert np.abs(moved[1:3] - before[1:3]).max() < 0.02
    closed = env.step_chunk(np.tile([0, 0, 0, 0, 0, 0, 1.0], (20, 1)))[0]["state"]
    assert before[6] > 0.035
    assert closed[6] < 0.01


def test_task_state_names_every_thing_and_joint(env):
    """Three numbers for each thing that is free, one for each drawer, door or knob; the robot is left out."""
    from mujoco import mjtJoint

    model = env.simulator.model
    free = int((model.jnt_type == mjtJoint.mjJNT_FREE).sum())
    state = env.simulator.task_state()
    assert state.shape == (3 * free + model.njnt - free - 9,)
    bowl = env.simulator.data.body("akita_black_bowl_1_main").xpos
    assert np.abs(state[: 3 * free].reshape(-1, 3) - bowl).max(axis=1).min() < 1e-3


def test_axis_angle_of_a_turn_about_z():
    from vla_envs.libero.sim.simulator import axis_angle

    half = np.pi / 8
    np.testing.assert_allclose(axis_angle(np.array([0, 0, np.sin(half)]), np.cos(half)), [0, 0, np.pi / 4])
    np.testing.assert_array_equal(axis_angle(np.zeros(3), 1.0 + 1e-12), np.zeros(3))


def test_the_model_is_shared_and_the_data_is_not(env):
    other = LiberoEnv("libero_goal", 7, cameras=())
    other.reset(options={"init_state_id": 1})
    assert other.simulator.model is env.simulator.model
    assert other.simulator.data is not env.simulator.data


def test_a_simulation_is_not_copied(env):
    """A copy would step the memory of this one, and in another process nothing that exists."""
    import copy
    import pickle

    for duplicate in (copy.deepcopy, copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="make another environment and reset it"):
            duplicate(env.simulator)


def test_a_saved_episode_goes_on_bit_for_bit(env):
    """Also the poses and contacts by which a goal is decided at once, which MuJoCo's state gives only roughly, and in
    another environment that ran another task."""
    actions = np.random.default_rng(3).uniform(-1, 1, (10, 7))

    def rest(one: LiberoEnv):
        steps = [one.step(action) for action in actions[4:]]
        data = one.simulator.data
        return [(*step[1:], *step[0].values()) for step in steps], data.qpos.copy(), data.qvel.copy()

    env.reset(options={"init_state_id": 2})
    for action in actions[:4]:
        env.step(action)
    state, poses = env.save_state(), env.simulator.data.xpos.copy()
    expected = rest(env)
    other = LiberoEnv("libero_goal", [7, 3], cameras=(), image_size=64)
    other.reset(options={"task_id": 3, "init_state_id": 1})
    for each in (env, other):
        each.restore_state(state)
        np.testing.assert_array_equal(each.simulator.data.xpos, poses)
        again = rest(each)
        assert str(again[0]) == str(expected[0])
        np.testing.assert_array_equal(again[1], expected[1])
        np.testing.assert_array_equal(again[2], expected[2])


def test_a_damaged_state_changes_nothing(env):
    import dataclasses

    from vla_envs.errors import InvalidArgumentError

    env.reset(options={"init_state_id": 2})
    state = env.save_state()
    env.step(np.ones(7))
    before = env.simulator.data.qpos.copy()
    damaged = {**state.simulation, "physics": state.simulation["physics"][:-1]}
    with pytest.raises(InvalidArgumentError, match="saved `physics`"):
        env.restore_state(dataclasses.replace(state, simulation=damaged))
    np.testing.assert_array_equal(env.simulator.data.qpos, before)


def test_data_that_are_set_from_outside_warn(env, recwarn):
    """MuJoCo's own state lacks the controller's goal: a step after it says so, once the arm or the time has jumped."""
    import mujoco

    env.reset(options={"init_state_id": 2})
    kind, data = mujoco.mjtState.mjSTATE_INTEGRATION, env.simulator.data
    kept = np.empty(mujoco.mj_stateSize(env.simulator.model, kind))
    mujoco.mj_getState(env.simulator.model, data, kept, kind)
    env.step(np.ones(7))
    assert not recwarn
    mujoco.mj_setState(env.simulator.model, data, kept, kind)
    with pytest.warns(UserWarning, match="save_state"):
        env.step(np.ones(7))
    recwarn.clear()
    env.step(np.ones(7))
    assert not recwarn
