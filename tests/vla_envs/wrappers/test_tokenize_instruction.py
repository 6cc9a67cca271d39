"""Instructions as word ids."""

import gymnasium as gym
import numpy as np
import pytest

from tests.reach_env import ReachEnv
from vla_envs.errors import InvalidArgumentError
from vla_envs.tabletop.tasks import TASKS
from vla_envs.wrappers import ActionChunk, TokenizeInstruction
from vla_envs.wrappers.tokenize_instruction import hash_words


def test_the_instruction_becomes_padded_word_ids():
    """Same words, same ids; order is kept; the rest is zero."""
    env = TokenizeInstruction(ReachEnv(task_id=0), 6)
    observation, _ = env.reset(seed=0)
    tokens = observation["instruction_tokens"]
    assert "instruction" not in observation
    assert env.observation_space.contains(observation)
    assert (tokens[:4] > 0).all()
    assert not tokens[4:].any()


def test_no_two_words_of_the_tabletop_share_an_id():
    """The hash is wide enough for the suite."""
    words = {word for task in TASKS for word in task.instruction.split()}
    assert len({int(hash_words(word, 1)[0]) for word in words}) == len(words)


def test_long_instructions_are_cut():
    """To the length of the space."""
    assert hash_words("one two three", 2).shape == (2,)


def test_bad_constructions_are_refused():
    """No instruction to replace, or no room for it."""
    with pytest.raises(InvalidArgumentError, match="to have `instruction`"):
        TokenizeInstruction(gym.make("CartPole-v1"))
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        TokenizeInstruction(ReachEnv(), 0)


def test_it_composes_with_chunks_in_either_order():
    """The observation is the same."""
    inside = ActionChunk(TokenizeInstruction(ReachEnv(), 8), 2)
    outside = TokenizeInstruction(ActionChunk(ReachEnv(), 2), 8)
    for env in (inside, outside):
        env.reset(seed=4)
    first, second = (env.step(np.ones((2, 7)))[0] for env in (inside, outside))
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
