"""Turns the language instruction into integers that fit a tensor."""

from __future__ import annotations

import re
import zlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import INSTRUCTION
from vla_envs.wrappers.instruction_space import replaced_instruction, without_instruction
from vla_envs.wrappers.order import check_order

INSTRUCTION_TOKENS = "instruction_tokens"
"""Observation key: int64 (length,), word ids padded with 0."""

VOCABULARY_SIZE = 4096
"""Word ids lie in 1..4095; 0 pads."""


def hash_words(instruction: str, length: int) -> NDArray[np.int64]:
    """Word ids of an instruction: a checksum of each lower-case word, the same in every process.

    Needs no vocabulary file. Words beyond ``length`` are cut; unused places are 0.

    >>> hash_words("Open the drawer", 5).tolist()
    [2897, 634, 4058, 0, 0]
    """
    words = re.findall(r"[a-z0-9]+", instruction.lower())[:length]
    ids = [zlib.crc32(word.encode()) % (VOCABULARY_SIZE - 1) + 1 for word in words]
    return np.array(ids + [0] * (length - len(ids)), np.int64)


class TokenizeInstruction(gym.ObservationWrapper, gym.utils.RecordConstructorArgs):
    """Replaces the observation's ``instruction`` by ``instruction_tokens``, int64 (length,).

    RLlib and most tensor code cannot carry strings; fixed-length word ids survive everywhere.

    Args:
        env: an environment that observes a dictionary with ``instruction``.
        length: number of word ids, at least 1; longer instructions are cut.

    Raises:
        InvalidArgumentError: no ``instruction`` in the observation space, ``length`` below 1, or applied twice.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import TokenizeInstruction
        >>> env = TokenizeInstruction(gym.make("VLA-Tabletop-v0", task_id=0), length=16)
        >>> observation, info = env.reset(seed=0)
        >>> observation["instruction_tokens"].shape
        (16,)
    """

    def __init__(self, env: gym.Env, length: int = 24) -> None:
        check_order(self, env)
        if length < 1:
            raise InvalidArgumentError(f"Expect the `length` to be at least 1, actually: {length!r}.")
        tokens = spaces.Box(0, VOCABULARY_SIZE - 1, (length,), np.int64)
        space = replaced_instruction(env, INSTRUCTION_TOKENS, tokens)
        gym.utils.RecordConstructorArgs.__init__(self, length=length)
        gym.ObservationWrapper.__init__(self, env)
        self.length = length
        self.observation_space = space

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with word ids in place of the instruction."""
        tokens = hash_words(observation[INSTRUCTION], self.length)
        return {**without_instruction(observation), INSTRUCTION_TOKENS: tokens}
