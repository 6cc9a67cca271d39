"""Shows a policy the actions it took last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from vla_envs.arguments import check_integer
from vla_envs.wrappers.action_chunk import executed_actions
from vla_envs.wrappers.checks import actions_of, dictionary_of

ACTION_HISTORY = "action_history"
"""Observation key: (length, A), the executed actions, the latest in the last row; 0 before the first one."""


MAX_LENGTH = 1000


class ActionHistory(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Adds the last ``length`` executed actions (A,) to the observation, as ``action_history`` (length, A).

    Rows before the episode's first action are 0, and the numbers are those that ran: clipped to the
    action space. Inside or outside of :class:`ActionChunk` the history is the same, that of control
    steps; outside nothing is drawn between the actions of a chunk, and what of a chunk did not run
    (``info["executed_actions"]``) is no part of the history.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment that observes a dictionary, with a Box action space (A,), or (K, A) of an ActionChunk.
        length: number of actions, from 1 to 1000.

    Raises:
        InvalidArgumentError: another kind of space, or a ``length`` outside its range.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import ActionHistory
        >>> env = ActionHistory(gym.make("VLA-Tabletop-v0", task_id=0), length=2)
        >>> observation, info = env.reset(seed=0)
        >>> observation, *_ = env.step([0.5, 0, 0, 0, 0, 0, -1])
        >>> observation["action_history"].tolist()
        [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]]
    """

    def __init__(self, env: gym.Env, length: int = 5) -> None:
        observations = dictionary_of(env)
        space = actions_of(env)
        length = check_integer("length", length, 1, MAX_LENGTH)
        gym.utils.RecordConstructorArgs.__init__(self, length=length)
        gym.Wrapper.__init__(self, env)
        self.length = length
        self._actions = space
        low, high = (np.atleast_2d(bound)[0] for bound in (space.low, space.high))
        history = spaces.Box(
            np.tile(np.minimum(low, 0), (length, 1)),
            np.tile(np.maximum(high, 0), (length, 1)),
            dtype=space.dtype,  # type: ignore[arg-type]
        )
        self.observation_space = spaces.Dict({**observations, ACTION_HISTORY: history})
        self._history = np.zeros(history.shape, history.dtype)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reset the environment and forget all actions."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._history = np.zeros_like(self._history)
        return self._with_history(observation), info

    def step(self, action: ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Step the environment and remember what ran of ``action``, (A,) or (K, A)."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        taken = executed_actions(self._actions, action, info)
        self._history = np.concatenate([self._history, taken])[-self.length :]
        return self._with_history(observation), float(reward), terminated, truncated, info

    def _with_history(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        return {**observation, ACTION_HISTORY: self._history.copy()}
