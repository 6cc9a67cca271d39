"""The environment contract: observation keys, action layout, prompts, splits and info keys.

Every id of this package obeys it, and ``tests/conformance.py`` checks it on all of them.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import read_from_shared_memory

from vla_envs.arguments import check_integer

# Observation keys.
IMAGE = "image"
"""uint8 (H, W, 3): the main camera, upright."""
WRIST_IMAGE = "wrist_image"
"""uint8 (H, W, 3): the wrist camera; of two arms the left one's."""
WRIST_IMAGE_2 = "wrist_image_2"
"""uint8 (H, W, 3): the wrist camera of a second arm, the right one."""
STATE = "state"
"""float32 (S,): proprioception. Single-arm: eef position 3 (m), axis-angle 3 (rad), gripper joints 2 (m). Two arms:
drive targets, then measured positions, of joints (rad) and grippers (0 closed, 1 open)."""
INSTRUCTION = "instruction"
"""str: the language instruction."""

TEMPERATURE = "temperature"
"""float32 (1,): the sampling temperature of a trajectory of a group; only groups observe it."""

CAMERA_KEYS = {
    "agentview": IMAGE,
    "wrist": WRIST_IMAGE,
    "head": IMAGE,
    "left_wrist": WRIST_IMAGE,
    "right_wrist": WRIST_IMAGE_2,
}
"""Camera name -> observation key: two cameras of one arm, three of a robot with two."""

STATE_DIM = 8
"""Length of the single-arm proprioception vector."""
MAX_INSTRUCTION_LENGTH = 256
"""Longest instruction of a robot in characters."""
MAX_STEPS = 2**31 - 1
"""Highest step limit in control steps: it fits every integer that a data set or a tensor may have."""
MAX_ENVS = 2**16
"""Most environments of a vector environment, and most trajectories of a group."""

# Action layout of the single-arm environments: dx dy dz, droll dpitch dyaw, gripper.
ACTION_DIM = 7
METERS_PER_UNIT = 0.05
"""Translation of an action of 1 in one control step (robosuite's OSC_POSE, as LIBERO configures it)."""
RADIANS_PER_UNIT = 0.5
"""Rotation of an action of 1 in one control step (robosuite's OSC_POSE, as LIBERO configures it)."""
GRIPPER_OPEN = -1.0
GRIPPER_CLOSE = 1.0

SPLITS = ("train", "eval", "all")
NO_INIT_STATE = -1
"""``init_state_id`` of an episode that starts at none of the recorded initial states."""

INFO_KEYS = (
    "success",
    "is_success",
    "task_reward",
    "elapsed_steps",
    "max_steps",
    "suite",
    "task_id",
    "task",
    "init_state_id",
    "split",
)
"""What every info says of its trajectory, also while its environment idles in a group. ``is_success`` is ``success``
under the name that Stable-Baselines3, LeRobot and Gymnasium-Robotics read. Every info of an environment also has
``executed_actions``, the control steps of the last step (0 after a reset), and ``final_state``."""

ANSWER = "answer"
"""Info key: str, what a trajectory of questions has answered so far, in a form in which equal answers are equal texts;
empty where there is none."""
FINAL_STATE = "final_state"
"""Info key: float32 (S,), where the things of the task are; in the last info, where they ended. S is the same for all
tasks of a suite. The infos of a group have it for ended trajectories only."""


class InstructionSpace(spaces.Text):
    """The space of instructions, which names what makes numbers of them.

    Its texts also arrive through the shared memory of Gymnasium's AsyncVectorEnv, which reads those of any other Text
    space once, before there are any.

    Code that knows no texts refuses them with an error that quotes the space, such as "No default encoder config for
    obs space" of RLlib.

    Args:
        max_length: length of the longest instruction in characters.
        characters: what instructions are written with beside the printable characters of ASCII.

    >>> InstructionSpace()
    Text(1, 256; as numbers: vla_envs.wrappers.TokenizeInstruction)
    """

    def __init__(self, max_length: int = MAX_INSTRUCTION_LENGTH, characters: str = "") -> None:
        # In an order that is the same in every process: shared memory holds the places of characters in it.
        charset = "".join(sorted({*string.printable, *characters}))
        super().__init__(max_length, min_length=1, charset=charset)
        self.num_bytes = max_length * max(len(each.encode()) for each in charset)
        """Length of the longest instruction in bytes of UTF-8."""

    def __repr__(self) -> str:
        return f"Text({self.min_length}, {self.max_length}; as numbers: vla_envs.wrappers.TokenizeInstruction)"


@read_from_shared_memory.register(InstructionSpace)
class SharedTexts(Sequence[str]):
    """The texts (n,) that lie in shared memory now; a copy is the tuple of them, which stays as it is.

    Args:
        space: whose texts they are.
        memory: as Gymnasium makes it for n texts of the space.
        n: number of texts.
    """

    def __init__(self, space: spaces.Text, memory: Any, n: int) -> None:
        self._space, self._memory, self._n = space, memory, n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        return self._texts()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._texts() == tuple(other)

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return self._texts()

    def __reduce__(self) -> tuple[type[tuple[str, ...]], tuple[tuple[str, ...]]]:
        return tuple, (self._texts(),)

    def __repr__(self) -> str:
        return repr(self._texts())

    def _texts(self) -> tuple[str, ...]:
        read_now: Any = read_from_shared_memory.dispatch(spaces.Text)
        return read_now(self._space, self._memory, self._n)


class Prompt(NamedTuple):
    """What a trajectory starts from: a task and one of its initial states."""

    task_id: int
    init_state_id: int


def to_numpy(info: Mapping[str, Any]) -> dict[str, Any]:
    """An info whose values have a ``dtype``, as TorchRL's reader of infos asks for.

    A bool becomes an array (), because Gymnasium's vector environments put NumPy's own bool into arrays of objects,
    whose mean is wrong.

    >>> to_numpy({"success": True, "task_id": 3, "task": "open the drawer"})
    {'success': array(True), 'task_id': np.int64(3), 'task': np.str_('open the drawer')}
    """
    arrays = {key: np.asarray(value) for key, value in info.items()}
    return {key: array if array.dtype == bool else array[()] for key, array in arrays.items()}


def check_image_size(image_size: int) -> int:
    """Return ``image_size`` as an int, or raise when it is not an integer of 16..1024 pixels."""
    return check_integer("image_size", image_size, 16, 1024)


def action_space(dim: int = ACTION_DIM) -> spaces.Box:
    """``Box(-1, 1, (dim,), float32)``."""
    return spaces.Box(-1.0, 1.0, (dim,), np.float32)


def action_shape(env: gym.Env) -> tuple[int, ...] | None:
    """(A,) of an action, or (K, A) of a chunk, also where it is given flat; None where actions have no shape.

    An :class:`~vla_envs.wrappers.ActionChunk` says K and A in its attribute ``chunk_shape``.
    """
    shape = env.action_space.shape
    chunk = env.get_wrapper_attr("chunk_shape") if env.has_wrapper_attr("chunk_shape") else None
    return chunk if chunk and shape == (math.prod(chunk),) else shape


def image_space(height: int, width: int) -> spaces.Box:
    """uint8 (height, width, 3)."""
    return spaces.Box(0, 255, (height, width, 3), np.uint8)


def observation_space(image_keys: Sequence[str], image_size: int, state_dim: int = STATE_DIM) -> spaces.Dict:
    """The observation space: one uint8 (size, size, 3) image per key, ``state`` and ``instruction``."""
    return observation_space_of(dict.fromkeys(image_keys, image_space(image_size, image_size)), state_dim)


def observation_space_of(images: Mapping[str, spaces.Box], state_dim: int) -> spaces.Dict:
    """The same with images of other sizes."""
    state = spaces.Box(-np.inf, np.inf, (state_dim,), np.float32)
    return spaces.Dict({**images, STATE: state, INSTRUCTION: InstructionSpace()})
