"""Turn the language instruction into numbers that fit a tensor: word ids, or bytes of which nothing is lost."""

from __future__ import annotations

import re
import zlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_instance, check_integer, check_integers
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import INSTRUCTION, MAX_INSTRUCTION_LENGTH

INSTRUCTION_TOKENS = "instruction_tokens"
"""Observation key: int64 (length,), word ids padded with 0."""

VOCABULARY_SIZE = 4096
"""Word ids lie in 1..4095; 0 pads."""
INSTRUCTION_BYTES = "instruction_bytes"
"""Observation key: uint8 (B,), UTF-8 padded with 0; B is 256 for the instructions of robots."""


def hash_words(instruction: str, length: int) -> NDArray[np.int64]:
    """Word ids of an instruction: a checksum of each lower-case word of any script, the same in every process.

    Needs no vocabulary file. Words beyond ``length`` are cut; unused places are 0.

    Raises:
        InvalidArgumentError: an instruction that is no text, or a length that is no integer from 0 to 256.

    >>> hash_words("Open the drawer", 5).tolist()
    [2897, 634, 4058, 0, 0]
    """
    check_instance("instruction", instruction, str)
    length = check_integer("length", length, 0, MAX_INSTRUCTION_LENGTH)
    words = re.findall(r"[^\W_]+", instruction.lower())[:length]
    ids = [zlib.crc32(word.encode()) % (VOCABULARY_SIZE - 1) + 1 for word in words]
    return np.array(ids + [0] * (length - len(ids)), np.int64)


def encode_instruction(instruction: str, length: int = MAX_INSTRUCTION_LENGTH) -> NDArray[np.uint8]:
    """An instruction as UTF-8, uint8 (length,), padded with 0.

    Raises:
        InvalidArgumentError: no text, or more than ``length`` bytes.

    >>> encode_instruction("open the drawer")[:6]
    array([111, 112, 101, 110,  32, 116], dtype=uint8)
    """
    check_instance("instruction", instruction, str)
    encoded = instruction.encode()
    if len(encoded) > length:
        raise InvalidArgumentError(f"Expect an instruction of at most {length} bytes, actually: {len(encoded)}.")
    return np.frombuffer(encoded.ljust(length, b"\0"), np.uint8).copy()


def decode_instructions(encoded: ArrayLike) -> list[str]:
    """What :func:`encode_instruction` made of each instruction, uint8 (B, length).

    Raises:
        InvalidArgumentError: something else than bytes of UTF-8.

    >>> decode_instructions([encode_instruction("open the drawer")])
    ['open the drawer']
    """
    rows = np.atleast_2d(check_integers("encoded", encoded, 0, 255)).astype(np.uint8)
    try:
        return [row.tobytes().rstrip(b"\0").decode() for row in rows]
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"Expect what `encode_instruction` returned, actually other bytes: {error}."
        ) from None


class TokenizeInstruction(gym.ObservationWrapper, gym.utils.RecordConstructorArgs):
    """Replaces the observation's ``instruction`` by ``instruction_tokens``, int64 (length,).

    RLlib and most tensor code cannot carry strings; fixed-length word ids survive everywhere.

    Args:
        env: an environment that observes a dictionary with ``instruction``.
        length: number of word ids in 1..256, the bytes of the longest instruction; longer ones are cut.

    Raises:
        InvalidArgumentError: no ``instruction`` in the observation space, or ``length`` out of range.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import TokenizeInstruction
        >>> env = TokenizeInstruction(gym.make("VLA-Tabletop-v0", task_id=0), length=16)
        >>> observation, info = env.reset(seed=0)
        >>> observation["instruction_tokens"].shape
        (16,)
    """

    def __init__(self, env: gym.Env, length: int = 24) -> None:
        length = check_integer("length", length, 1, MAX_INSTRUCTION_LENGTH)  # more would be padding alone
        tokens = spaces.Box(0, VOCABULARY_SIZE - 1, (length,), np.int64)
        space = _replaced(env, INSTRUCTION_TOKENS, tokens)
        gym.utils.RecordConstructorArgs.__init__(self, length=length)
        gym.ObservationWrapper.__init__(self, env)
        self.length = length
        self.observation_space = space

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with word ids in place of the instruction."""
        tokens = hash_words(observation[INSTRUCTION], self.length)
        return {**_without_instruction(observation), INSTRUCTION_TOKENS: tokens}


class EncodeInstruction(gym.ObservationWrapper, gym.utils.RecordConstructorArgs):
    """Replaces the observation's ``instruction`` by ``instruction_bytes``, uint8 (256,), or as long as its space asks.

    RLlib and most tensor code cannot carry strings; bytes survive everywhere, and nothing of the text is lost.

    Args:
        env: an environment that observes a dictionary with ``instruction``.

    Raises:
        InvalidArgumentError: no ``instruction`` in the observation space.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import EncodeInstruction
        >>> env = EncodeInstruction(gym.make("VLA-Tabletop-v0", task_id=0))
        >>> observation, info = env.reset(seed=0)
        >>> decode_instructions(observation["instruction_bytes"][None])
        ['put the red cube on the blue plate']
    """

    def __init__(self, env: gym.Env) -> None:
        self.length: int = getattr(_observed(env)[INSTRUCTION], "num_bytes", MAX_INSTRUCTION_LENGTH)
        space = _replaced(env, INSTRUCTION_BYTES, spaces.Box(0, 255, (self.length,), np.uint8))
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = space

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with bytes in place of the instruction."""
        encoded = encode_instruction(observation[INSTRUCTION], self.length)
        return {**_without_instruction(observation), INSTRUCTION_BYTES: encoded}


def _observed(env: gym.Env) -> spaces.Dict:
    """The observation space of ``env``.

    Raises:
        InvalidArgumentError: it has no instruction.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Dict) or INSTRUCTION not in space.spaces:
        raise InvalidArgumentError(f"Expect the observation space to have `{INSTRUCTION}`, actually: {space}.")
    return space


def _replaced(env: gym.Env, key: str, numbers: spaces.Box) -> spaces.Dict:
    """The observation space of ``env`` with ``numbers`` under ``key`` in place of the instruction."""
    return spaces.Dict({**_without_instruction(_observed(env).spaces), key: numbers})


def _without_instruction(parts: dict[str, Any]) -> dict[str, Any]:
    """An observation, or the parts of its space, without the instruction."""
    return {key: each for key, each in parts.items() if key != INSTRUCTION}
