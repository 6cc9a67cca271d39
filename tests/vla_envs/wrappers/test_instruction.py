"""Instructions as word ids and as bytes."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reach_env import ReachEnv
from vla_envs.errors import InvalidArgumentError
from vla_envs.tabletop.tasks import TASKS
from vla_envs.wrappers import ActionChunk, EncodeInstruction, TokenizeInstruction
from vla_envs.wrappers.instruction import decode_instructions, encode_instruction, hash_words


class TestTokenizeInstruction:
    """Word ids."""

    def test_the_instruction_becomes_padded_word_ids(self):
        """Same words, same ids; order is kept; the rest is zero."""
        env = TokenizeInstruction(ReachEnv(task_id=0), 6)
        observation, _ = env.reset(seed=0)
        tokens = observation["instruction_tokens"]
        assert "instruction" not in observation
        assert env.observation_space.contains(observation)
        assert (tokens[:4] > 0).all()
        assert not tokens[4:].any()

    def test_no_two_words_of_the_tabletop_share_an_id(self):
        """The hash is wide enough for the suite."""
        words = {word for task in TASKS for word in task.instruction.split()}
        assert len({int(hash_words(word, 1)[0]) for word in words}) == len(words)

    @pytest.mark.parametrize("instruction", ["Öffne die Schublade", "открой ящик стола", "打开 抽屉 请"])
    def test_words_have_the_letters_of_their_language(self, instruction):
        """An instruction in other letters than a to z would be one of no words, or of pieces."""
        words = instruction.lower().split()
        expected = [int(hash_words(word, 1)[0]) for word in words]
        assert hash_words(instruction, len(words) + 1).tolist() == [*expected, 0]
        assert len({*expected, 0}) == len(words) + 1

    def test_long_instructions_are_cut(self):
        """To the length of the space."""
        assert hash_words("one two three", 2).shape == (2,)

    def test_bad_constructions_are_refused(self):
        """No instruction to replace, or no room for it."""
        with pytest.raises(InvalidArgumentError, match="to have `instruction`"):
            TokenizeInstruction(gym.make("CartPole-v1"))
        with pytest.raises(InvalidArgumentError, match="from 1 to 256"):
            TokenizeInstruction(ReachEnv(), 0)

    def test_it_composes_with_chunks_in_either_order(self):
        """The observation is the same."""
        inside = ActionChunk(TokenizeInstruction(ReachEnv(), 8), 2)
        outside = TokenizeInstruction(ActionChunk(ReachEnv(), 2), 8)
        for env in (inside, outside):
            env.reset(seed=4)
        first, second = (env.step(np.ones((2, 7)))[0] for env in (inside, outside))
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])


class TestEncodeInstruction:
    """Bytes."""

    def test_the_instruction_becomes_bytes(self):
        """The rest of the observation stays, and lies in the space."""
        bare, env = ReachEnv(task_id=0), EncodeInstruction(ReachEnv(task_id=0))
        (expected, _), (observation, _) = bare.reset(seed=0), env.reset(seed=0)
        assert decode_instructions(observation["instruction_bytes"][None]) == [expected.pop("instruction")]
        assert set(observation) == {*expected, "instruction_bytes"}
        assert env.observation_space.contains(observation)

    @given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60), min_size=1))
    def test_nothing_of_an_instruction_is_lost(self, instructions):
        """Whatever its letters, and beside others in a batch."""
        encoded = np.stack([encode_instruction(each) for each in instructions])
        assert encoded.shape == (len(instructions), 256)
        assert decode_instructions(encoded) == instructions

    def test_an_instruction_that_does_not_fit_is_refused(self):
        """Cut, it would say something else."""
        assert decode_instructions([encode_instruction("x" * 256)]) == ["x" * 256]
        with pytest.raises(InvalidArgumentError, match="at most 256 bytes, actually: 258"):
            encode_instruction("é" * 129)

    def test_an_environment_without_instruction_is_refused(self):
        """There is nothing to encode."""
        with pytest.raises(InvalidArgumentError, match="to have `instruction`"):
            EncodeInstruction(gym.make("CartPole-v1"))


@pytest.mark.parametrize("length", [0, 257, 2**31])
def test_a_length_beyond_any_instruction_is_refused(length):
    """It would be padding alone, up to all memory."""
    with pytest.raises(InvalidArgumentError, match=f"from 1 to 256, actually: {length}"):
        TokenizeInstruction(gym.make("VLA-Tabletop-v0"), length)
