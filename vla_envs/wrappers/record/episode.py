"""A recorded episode, whatever the format that keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Origin:
    """What makes an episode again, and how it ended. Every value is plain JSON.

    Attributes:
        env_id: the environment's registered id.
        env_kwargs: its keyword arguments.
        metadata: the environment's own, with ``"versions"``: distribution -> version of everything that simulated.
        suite, task_id, init_state_id: the prompt.
        seed: what ``reset`` was given, or None.
        instruction: the language instruction.
        success, terminated, truncated: how the last step ended the episode.
        final_state: the info's ``final_state``, or None where a limit from outside ended the episode.
        reset_options: those that the environment was reset with, by the user and by wrappers, such as offsets.
    """

    env_id: str
    env_kwargs: dict[str, Any]
    metadata: dict[str, Any]
    suite: str
    task_id: int
    init_state_id: int
    seed: int | None
    instruction: str
    success: bool
    terminated: bool
    truncated: bool
    final_state: list[float] | None
    reset_options: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON; paths become strings and NumPy's values plain ones.

        Raises:
            TypeError: a keyword argument of the environment that JSON cannot hold.
        """
        return json.dumps(asdict(self), default=plain)

    @classmethod
    def from_json(cls, text: str) -> Origin:
        """The origin that :meth:`to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Episode:
    """One row per observation that was answered by an action, or by a chunk of them.

    Attributes:
        observations: key -> (T, ...), what was observed before each row's actions.
        actions: (T, A), or (T, K, A) of chunks; in the last chunk the last executed action is repeated.
        executed: int64 (T,), how many actions of the row were executed.
        rewards: float32 (T,), what the step returned; wrappers inside the recorder may have shaped it.
        states: float64 (T, 1 + nq + nv), MuJoCo's time, positions and velocities before each row's actions, or None.
        origin: where the episode came from and how it ended.
    """

    observations: dict[str, NDArray]
    actions: NDArray
    executed: NDArray[np.int64]
    rewards: NDArray[np.float32]
    states: NDArray[np.float64] | None
    origin: Origin

    def __len__(self) -> int:
        return len(self.actions)

    def executed_actions(self, row: int) -> NDArray:
        """The actions (n, A) that followed the row's observation."""
        return self.actions[row].reshape(-1, self.actions.shape[-1])[: self.executed[row]]

    def ends(self, value: bool) -> NDArray[np.bool_]:
        """bool (T,): ``value`` in the last row, False before."""
        return (np.arange(len(self)) == len(self) - 1) & value


def is_image(values: NDArray) -> bool:
    """Whether a column is one of images: uint8 (T, H, W, 3)."""
    return values.dtype == np.uint8 and values.ndim == 4 and values.shape[-1] == 3


def plain(value: Any) -> Any:
    """The plain form of a value that :func:`json.dumps` does not know.

    >>> json.dumps({"assets": Path("pack"), "task_id": np.int64(3)}, default=plain)
    '{"assets": "pack", "task_id": 3}'
    """
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):  # such as the mode that a vector environment writes into metadata
        return value.value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"Expect what can be written as JSON, actually: {value!r}.")
