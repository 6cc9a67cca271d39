"""Stacks of images and states."""

import numpy as np
import pytest

from tests.vla_envs.wrappers.stacks import tabletop
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import ActionChunk, StackObservations

ACTION = np.array([0.5, 0.5, -0.5, 0, 0, 0, 1], np.float32)


def test_the_latest_value_is_last():
    """The first one fills the stack; what was seen before moves up."""
    env, plain = StackObservations(tabletop(), 3), tabletop()
    stacked, _ = env.reset(seed=0)
    first, _ = plain.reset(seed=0)
    np.testing.assert_array_equal(stacked["image"], np.stack([first["image"]] * 3))
    seen = [first, first, first]
    for _ in range(4):
        stacked, *_ = env.step(ACTION)
        seen.append(plain.step(ACTION)[0])
        for key in ("image", "state"):
            np.testing.assert_array_equal(stacked[key], np.stack([each[key] for each in seen[-3:]]))


def test_a_reset_forgets():
    """The next episode's stack has its first value only."""
    env = StackObservations(tabletop(), 2)
    env.reset(seed=0)
    env.step(ACTION)
    stacked, _ = env.reset(seed=0)
    np.testing.assert_array_equal(stacked["state"][0], stacked["state"][1])


def test_states_alone_can_be_stacked():
    """The keys are chosen; the others stay as they are."""
    env = StackObservations(tabletop(), 2, keys=["state"])
    observation, _ = env.reset(seed=0)
    assert observation["state"].shape == (2, 8)
    assert observation["image"].shape == (16, 16, 3)
    assert env.observation_space.contains(observation)


def test_every_image_is_stacked_unless_told_otherwise():
    """Those of all cameras, and the state."""
    env = StackObservations(tabletop(cameras=("agentview", "wrist")), 2)
    assert set(env.keys) == {"image", "wrist_image", "state"}


def test_observations_are_copies():
    """Writing into one changes no later one."""
    env = StackObservations(tabletop(), 2)
    observation, _ = env.reset(seed=0)
    before = observation["state"][1].copy()
    observation["state"][:] = 7
    observation, *_ = env.step(ACTION)
    np.testing.assert_array_equal(observation["state"][0], before)


def test_the_order_with_chunks_decides_what_is_stacked():
    """Outside the ends of chunks, inside every control step."""
    outside, inside = StackObservations(ActionChunk(tabletop(), 2)), ActionChunk(StackObservations(tabletop()), 2)
    plain = tabletop()
    states = [plain.reset(seed=0)[0]["state"], *(plain.step(ACTION)[0]["state"] for _ in range(4))]
    for env in (outside, inside):
        env.reset(seed=0)
        env.step(np.stack([ACTION] * 2))
    chunks, steps = (env.step(np.stack([ACTION] * 2))[0]["state"] for env in (outside, inside))
    np.testing.assert_array_equal(chunks, np.stack([states[0], states[0], states[2], states[4]]))
    np.testing.assert_array_equal(steps, np.stack(states[1:]))


def test_images_are_stacked_once():
    """A stack of stacks would show every frame several times; other keys may have another length."""
    env = StackObservations(tabletop(), 2)
    with pytest.raises(InvalidArgumentError, match=r"`image` with shape \(2, 16, 16, 3\)"):
        StackObservations(env, 2)
    env = StackObservations(StackObservations(tabletop(), 2, keys=["image"]), 3, keys=["state"])
    assert env.observation_space["image"].shape == (2, 16, 16, 3)
    assert env.observation_space["state"].shape == (3, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "`length` to be an integer from 1 to 100, actually: 0"),
        ({"keys": ["instruction"]}, "`keys` to be one of 'image', 'state', actually: 'instruction'"),
        ({"keys": ["depth"]}, "`keys` to be one of 'image', 'state', actually: 'depth'"),
    ],
)
def test_bad_constructions_are_refused(arguments, message):
    """No values, a text, or a key that is not there."""
    with pytest.raises(InvalidArgumentError, match=message):
        StackObservations(tabletop(), **arguments)
