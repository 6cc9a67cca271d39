"""A running episode is saved as plain data, and goes on from it bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from tests.conformance import assert_same
from vla_envs.errors import InvalidArgumentError, UnknownInitStateError, UnknownTaskError, UnsupportedError
from vla_envs.tabletop.env import TabletopEnv
from vla_envs.tabletop.expert import Expert

OFFSETS = {"camera_offset": [0.1, 0.05, 1.1, 1.0], "gripper_offset": [0.02, 0.0, -0.02]}


def episode(env, actions):
    """What the steps return, and the prompt that the generator then draws."""
    steps = [env.step(action) for action in actions]
    return steps, env.reset()[1]


def assert_same_episode(one, other):
    for (observation, *outcome, info), (observation_2, *outcome_2, info_2) in zip(one[0], other[0], strict=True):
        assert_same(observation, observation_2)
        assert outcome == outcome_2
        assert str(info) == str(info_2)
    assert str(one[1]) == str(other[1])


@pytest.fixture
def env():
    return TabletopEnv(image_size=48, cameras=("agentview", "wrist"))


@pytest.fixture
def state(env):
    env.reset(seed=3, options={"task_id": 0, "init_state_id": 4})
    env.step(np.full(7, 0.3))
    return env.save_state()


@pytest.mark.parametrize("options", [{}, OFFSETS])
@pytest.mark.parametrize("saved_after", [0, 9])
def test_an_episode_goes_on_bit_for_bit(env, options, saved_after):
    """A search that returns to a moment finds the rest of the episode as it was, in this environment and another."""
    actions = np.random.default_rng(0).uniform(-1, 1, (18, 7)).astype(np.float32)
    env.reset(seed=5, options={"task_id": 6, "init_state_id": 2, **options})
    for action in actions[:saved_after]:
        env.step(action)
    state = pickle.loads(pickle.dumps(env.save_state()))
    rest = episode(env, actions[saved_after:])
    another = TabletopEnv(image_size=48, cameras=("agentview", "wrist"))
    another.reset(seed=9, options={"task_id": 13, "init_state_id": 60})
    for other in (env, another, TabletopEnv(image_size=48, cameras=("agentview", "wrist"))):
        other.restore_state(state)
        assert_same_episode(episode(other, actions[saved_after:]), rest)


@pytest.mark.parametrize("task_id", [9, 11])
def test_a_held_thing_stays_held(task_id):
    """In the middle of a demonstration, with a drawer or an object in the fingers: the rest still solves the task."""
    env, other = TabletopEnv(image_size=32), TabletopEnv(image_size=32)
    env.reset(options={"task_id": task_id, "init_state_id": 1})
    expert, states, actions, ended = Expert(env), [], [], False
    while not ended:
        states.append(env.save_state())
        actions.append(expert.action())
        last, _, success, truncated, info = env.step(actions[-1])
        ended = success or truncated
    held = [moment for moment, state in enumerate(states) if state.simulation["held"] >= 0]
    other.restore_state(states[held[len(held) // 2]])
    *_, again = (other.step(action) for action in actions[held[len(held) // 2] :])
    assert_same(again[0], last)
    assert again[2] == success is True
    assert str(again[4]) == str(info)


def test_a_state_is_plain_data_of_its_own(env, state):
    """Neither going on nor writing into what was restored changes the state."""
    before = pickle.dumps(state)
    env.restore_state(state)
    env.episode_options["init_state_id"] = 7
    env.step(np.full(7, -0.5))
    assert pickle.dumps(state) == before
    plain = (str, bool, int, float, dict, tuple, np.ndarray, type(None))
    assert all(isinstance(value, plain) for value in dataclasses.asdict(state).values())


def test_the_observation_of_the_restored_state(env, state):
    """Also in steps that draw nothing, which would else show the episode before."""
    env.restore_state(state)
    expected = env.observe()
    env.reset(options={"task_id": 9, "init_state_id": 0})
    env.restore_state(state)
    assert_same(env.observe(), expected)
    with env.unobserved():
        shown, *_ = env.step(np.zeros(7))
    assert_same(shown, env.observe())


DAMAGED = {
    "suite": ({"suite": "libero_goal"}, "suite 'tabletop', actually of 'libero_goal'"),
    "versions": ({"versions": {"mujoco": "2"}}, "versions"),
    "prompt": ({"prompt": 7}, "two integers, actually: 7"),
    "task": ({"prompt": (99, 0)}, "`task_id`"),
    "init state": ({"prompt": (0, 100)}, "`init_state_id`"),
    "steps": ({"elapsed_steps": 80}, "`elapsed_steps` to be an integer from 0 to 79, actually: 80"),
    "negative steps": ({"elapsed_steps": -1}, "actually: -1"),
    "no steps": ({"elapsed_steps": 1.5}, "actually: 1.5"),
    "ended": ({"ended": "no"}, "`ended`"),
    "options": ({"options": {"speed": 1}}, "speed"),
    "generator": ({"generator": {"bit_generator": "MT19937"}}, "`generator`"),
    "generator of nothing": ({"generator": None}, "`generator`"),
    "no simulation": ({"simulation": {}}, "'gripper'"),
    "simulation of nothing": ({"simulation": None}, "actually: None"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_state_changes_nothing(env, state, name):
    """What is wrong is named, and the running episode goes on."""
    fields, message = DAMAGED[name]
    env.reset(options={"task_id": 9, "init_state_id": 0})
    before = env.save_state()
    with pytest.raises((InvalidArgumentError, UnknownTaskError, UnknownInitStateError), match=message):
        env.restore_state(dataclasses.replace(state, **fields))
    assert pickle.dumps(env.save_state()) == pickle.dumps(before)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("gripper", np.full(8, np.nan)),
        ("movables", np.zeros((3, 4))),
        ("movables", [[0.0] * 4] * 2),
        ("held", np.array(99)),
        ("opening", np.array(0.0, np.float32)),
    ],
)
def test_a_damaged_array_changes_nothing(env, state, name, array):
    env.reset(options={"task_id": 9, "init_state_id": 0})
    before = env.save_state()
    with pytest.raises(InvalidArgumentError, match=f"saved `{name}`"):
        env.restore_state(dataclasses.replace(state, simulation={**state.simulation, name: array}))
    assert pickle.dumps(env.save_state()) == pickle.dumps(before)


@pytest.mark.parametrize("foreign", [None, {}, np.zeros(9), "state"])
def test_something_else_is_refused(env, foreign):
    with pytest.raises(InvalidArgumentError, match=r"what `save_state\(\)` returned"):
        env.restore_state(foreign)


def test_before_the_first_episode_there_is_nothing_to_save(env):
    with pytest.raises(ResetNeeded):
        env.save_state()


def test_an_ended_episode_stays_ended():
    env = TabletopEnv(task_id=0, image_size=16, max_episode_steps=1)
    env.reset()
    env.step(np.zeros(7))
    state = env.save_state()
    env.reset()
    env.restore_state(state)
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(7))


def test_a_simulator_that_gives_no_state_says_so():
    """In a sentence that names the environments that can, and what to do instead."""
    from tests.coin_env import CoinEnv

    env = CoinEnv()
    env.reset()
    with pytest.raises(UnsupportedError, match=r"VLA-Tabletop-v0 and VLA-Libero-v0 are. Reset to the same"):
        env.save_state()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_are_new_environments_of_the_same_arguments(duplicate):
    """As for Gymnasium's MuJoCo environments, with the limit that `gymnasium.make` hands over; nothing is shared."""
    env = gym.make("VLA-Tabletop-v0", task_id=[3, 4], image_size=32, max_episode_steps=7, disable_env_checker=True)
    first, info = env.reset(seed=2)
    copied = duplicate(env.unwrapped)
    assert copied.spec == env.unwrapped.spec
    with pytest.raises(ResetNeeded):
        copied.step(np.zeros(7))
    again, info_again = copied.reset(seed=2)
    assert_same(again, first)
    assert str(info_again) == str(info)
    assert copied.max_steps == 7
    copied.step(np.ones(7))
    assert env.unwrapped.save_state().elapsed_steps == 0


def test_a_copied_stack_has_to_be_reset(env):
    """What the wrappers remember is of an episode that the copy's environment does not run."""
    from vla_envs.wrappers import ActionHistory

    env = ActionHistory(gym.make("VLA-Tabletop-v0", task_id=0, image_size=16, disable_env_checker=True), 2)
    env.reset(seed=1)
    copied = copy.deepcopy(env)
    with pytest.raises(ResetNeeded):
        copied.step(np.zeros(7))
    copied.reset(seed=1)
