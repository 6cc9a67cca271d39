"""Actions as OpenVLA's tokens."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ReachEnv
from tests.vla_envs.wrappers.stacks import WRAPPERS, tabletop
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.tabletop import Expert
from vla_envs.wrappers import ActionChunk, DiscretizeActions
from vla_envs.wrappers.discretize_actions import bin_centers, nearest_tokens

TOKENS = np.arange(256)
Q01 = [-0.75, -0.5, -0.25, -0.1, -0.2, -0.3, 0.0]
Q99 = [0.8, 0.6, 0.4, 0.2, 0.1, 0.3, 1.0]
MASK = [True] * 6 + [False]


def official_actions(ids):
    """What OpenVLA makes of vocabulary ids: its vocabulary ends at 32000, and -1 to 1 is cut by 256 edges."""
    edges = np.linspace(-1, 1, 256)
    centers = (edges[:-1] + edges[1:]) / 2
    return centers[np.clip(32000 - ids - 1, 0, 254)]


def test_centers_are_openvlas():
    """Bit for bit, for every action token of the vocabulary."""
    np.testing.assert_array_equal(bin_centers(TOKENS), official_actions(31744 + TOKENS))


def test_centers_lie_in_closed_form():
    """``-1 + (2k + 1) / 255`` of bin k, where k counts down with the token."""
    expected = -1 + (2 * np.clip(255 - TOKENS, 0, 254) + 1) / 255
    np.testing.assert_allclose(bin_centers(TOKENS), expected, atol=1e-15)


def test_tokens_are_openvlas():
    """``32000 - digitize`` as the original encodes, edges and their neighbors included."""
    edges = np.linspace(-1, 1, 256)
    values = np.concatenate([edges, np.nextafter(edges, -2), np.nextafter(edges, 2), np.linspace(-1.5, 1.5, 1001)])
    ids = 32000 - np.digitize(np.clip(values, -1, 1), edges)
    np.testing.assert_array_equal(nearest_tokens(values) + 31744, ids)


def test_a_token_is_the_nearest_of_its_own_center():
    """But for token 0, whose bin is that of token 1."""
    np.testing.assert_array_equal(nearest_tokens(bin_centers(TOKENS)), np.maximum(TOKENS, 1))


def test_without_quantiles_the_centers_are_the_action():
    """What the environment gets is what the tokens mean."""
    env = DiscretizeActions(ReachEnv())
    tokens = np.array([0, 1, 50, 128, 200, 254, 255])
    np.testing.assert_array_equal(env.action(tokens), bin_centers(tokens).astype(np.float32))
    env.reset(seed=0)
    env.step(tokens)
    np.testing.assert_allclose(env.unwrapped.position, 0.25 * bin_centers(tokens[:2]), atol=1e-7)


def test_quantiles_scale_what_the_mask_says():
    """``0.5 (n + 1) (q99 - q01) + q01``; the gripper keeps its center."""
    env = DiscretizeActions(ReachEnv(), Q01, Q99, MASK)
    tokens = np.array([0, 10, 100, 128, 200, 255, 255])
    low, high, n = np.array(Q01), np.array(Q99), bin_centers(tokens)
    expected = np.where(MASK, 0.5 * (n + 1) * (high - low) + low, n)
    np.testing.assert_allclose(env.action(tokens), expected, atol=1e-7)
    assert env.action(tokens)[0] == pytest.approx(0.8 - 1.55 / 510)


@pytest.mark.parametrize("quantiles", [(), (Q01, Q99, MASK), (Q01, Q99)])
def test_tokens_of_an_action_give_it_back(quantiles):
    """To half a bin, within the quantiles."""
    env = DiscretizeActions(ReachEnv(), *quantiles)
    low, high = (np.array(each) for each in (Q01, Q99))
    actions = np.random.default_rng(0).uniform(low, high, (100, 7))
    again = np.stack([env.action(env.tokens(action)) for action in actions])
    assert np.abs(again - actions).max() <= 1 / 255 + 1e-7


def test_an_expert_still_solves_the_task():
    """256 bins are fine enough to act."""
    env = DiscretizeActions(tabletop(max_episode_steps=None, task_id=0))
    env.reset(options={"init_state_id": 3})
    expert, terminated, truncated = Expert(env), False, False
    while not (terminated or truncated):
        _, _, terminated, truncated, info = env.step(env.tokens(expert.action()))
    assert info["success"]


def test_chunks_of_tokens():
    """(K, 256 bins): the same as the chunk of their actions."""
    env, plain = DiscretizeActions(ActionChunk(tabletop(), 3)), ActionChunk(tabletop(), 3)
    tokens = env.action_space.sample()
    assert tokens.shape == (3, 7)
    for each in (env, plain):
        each.reset(seed=0)
    state, expected = env.step(tokens)[0]["state"], plain.step(bin_centers(tokens))[0]["state"]
    np.testing.assert_allclose(state, expected, atol=1e-6)


def test_one_number_is_one_discrete_token():
    """What algorithms for discrete actions ask for."""
    env = DiscretizeActions(gym.make("MountainCarContinuous-v0"))
    assert env.action_space == gym.spaces.Discrete(256)
    env.reset(seed=0)
    assert env.action(255).shape == (1,)
    env.step(env.action_space.sample())


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros(6, int), r"shape \(7,\), actually: \(6,\)"),
        (np.zeros(7), "integers from 0 to 255"),
        (np.full(7, 256), "integers from 0 to 255"),
        (np.full(7, -1), "integers from 0 to 255"),
    ],
)
def test_bad_tokens_are_refused(tokens, message):
    """Another shape, numbers that are no integers, integers that are no tokens."""
    with pytest.raises(InvalidActionError, match=message):
        DiscretizeActions(ReachEnv()).action(tokens)


@pytest.mark.parametrize(
    "quantiles",
    [
        (Q01, None),
        (None, Q99),
        (Q01[:6], Q99[:6]),
        (Q99, Q01),
        (Q01, Q99, [True]),
        (None, None, MASK),
        (Q01, [np.inf] * 7),
    ],
)
def test_bad_quantiles_are_refused(quantiles):
    """One without the other, another length, the wrong way round, infinite."""
    with pytest.raises(InvalidArgumentError, match=r"7 finite numbers|`q\d\d` to be finite numbers, actually"):
        DiscretizeActions(ReachEnv(), *quantiles)


def test_an_action_space_without_units_is_refused():
    """Tokens mean -1 to 1; other bounds need quantiles, other kinds of space are none."""
    with pytest.raises(InvalidArgumentError, match=r"`q01` and `q99` for an action space beyond \[-1, 1\]"):
        DiscretizeActions(gym.make("Pendulum-v1"))
    with pytest.raises(InvalidArgumentError, match="Discrete"):
        DiscretizeActions(gym.make("CartPole-v1"))


@pytest.mark.parametrize("name", ["ActionChunk", "ActionHistory", "DiscretizeActions", "ShapedReward"])
def test_a_wrapper_that_needs_numbers_is_refused_outside(name):
    """It would get tokens."""
    with pytest.raises(InvalidArgumentError, match=r"Box action space.*MultiDiscrete"):
        WRAPPERS[name](DiscretizeActions(tabletop()))


def test_arrays_of_a_checkpoint_survive_the_json_of_a_spec():
    """Quantiles come as NumPy's, from a checkpoint's statistics."""
    env = DiscretizeActions(tabletop(), np.array(Q01), np.array(Q99), np.array(MASK))
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    np.testing.assert_array_equal(again.action(TOKENS[:7]), env.action(TOKENS[:7]))
