"""Turns the language instruction into bytes that fit a tensor, for policies with a tokenizer of their own."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import INSTRUCTION, MAX_INSTRUCTION_LENGTH
from vla_envs.wrappers.instruction_space import replaced_instruction, without_instruction
from vla_envs.wrappers.order import check_order

INSTRUCTION_BYTES = "instruction_bytes"
"""Observation key: uint8 (256,), UTF-8 padded with 0."""


def encode_instruction(instruction: str) -> NDArray[np.uint8]:
    """An instruction as UTF-8, uint8 (256,), padded with 0.

    Raises:
        InvalidArgumentError: more than 256 bytes.

    >>> encode_instruction("open the drawer")[:6]
    array([111, 112, 101, 110,  32, 116], dtype=uint8)
    """
    encoded = np.frombuffer(instruction.encode(), np.uint8)
    if len(encoded) > MAX_INSTRUCTION_LENGTH:
        raise InvalidArgumentError(
            f"Expect an instruction of at most {MAX_INSTRUCTION_LENGTH} bytes, actually: {len(encoded)}."
        )
    return np.pad(encoded, (0, MAX_INSTRUCTION_LENGTH - len(encoded)))


def decode_instructions(encoded: ArrayLike) -> list[str]:
    """What :func:`encode_instruction` made of each instruction, uint8 (B, 256).

    >>> decode_instructions([encode_instruction("open the drawer")])
    ['open the drawer']
    """
    return [row.tobytes().rstrip(b"\0").decode() for row in np.asarray(encoded, np.uint8)]


class EncodeInstruction(gym.ObservationWrapper, gym.utils.RecordConstructorArgs):
    """Replaces the observation's ``instruction`` by ``instruction_bytes``, uint8 (256,).

    RLlib and most tensor code cannot carry strings; bytes survive everywhere, and nothing of the text is lost.

    Args:
        env: an environment that observes a dictionary with ``instruction``.

    Raises:
        InvalidArgumentError: no ``instruction`` in the observation space, or applied twice.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import EncodeInstruction
        >>> env = EncodeInstruction(gym.make("VLA-Tabletop-v0", task_id=0))
        >>> observation, info = env.reset(seed=0)
        >>> decode_instructions(observation["instruction_bytes"][None])
        ['put the red cube on the blue plate']
    """

    def __init__(self, env: gym.Env) -> None:
        check_order(self, env)
        encoded = spaces.Box(0, 255, (MAX_INSTRUCTION_LENGTH,), np.uint8)
        space = replaced_instruction(env, INSTRUCTION_BYTES, encoded)
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = space

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with bytes in place of the instruction."""
        encoded = encode_instruction(observation[INSTRUCTION])
        return {**without_instruction(observation), INSTRUCTION_BYTES: encoded}
