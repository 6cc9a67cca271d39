"""Instructions as bytes."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reach_env import ReachEnv
from vla_envs.errors import InvalidArgumentError
from vla_envs.wrappers import EncodeInstruction
from vla_envs.wrappers.encode_instruction import decode_instructions, encode_instruction


def test_the_instruction_becomes_bytes():
    """The rest of the observation stays, and lies in the space."""
    bare, env = ReachEnv(task_id=0), EncodeInstruction(ReachEnv(task_id=0))
    (expected, _), (observation, _) = bare.reset(seed=0), env.reset(seed=0)
    assert decode_instructions(observation["instruction_bytes"][None]) == [expected.pop("instruction")]
    assert set(observation) == {*expected, "instruction_bytes"}
    assert env.observation_space.contains(observation)


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60), min_size=1))
def test_nothing_of_an_instruction_is_lost(instructions):
    """Whatever its letters, and beside others in a batch."""
    encoded = np.stack([encode_instruction(each) for each in instructions])
    assert encoded.shape == (len(instructions), 256)
    assert decode_instructions(encoded) == instructions


def test_an_instruction_that_does_not_fit_is_refused():
    """Cut, it would say something else."""
    assert decode_instructions([encode_instruction("x" * 256)]) == ["x" * 256]
    with pytest.raises(InvalidArgumentError, match="at most 256 bytes, actually: 258"):
        encode_instruction("é" * 129)


def test_an_environment_without_instruction_is_refused():
    """There is nothing to encode."""
    with pytest.raises(InvalidArgumentError, match="to have `instruction`"):
        EncodeInstruction(gym.make("CartPole-v1"))
