"""Open-loop action chunks: one step of the policy is several control steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit
from numpy.typing import ArrayLike, NDArray

from vla_envs.arguments import check_flag, check_integer, check_numbers
from vla_envs.errors import InvalidActionError, InvalidArgumentError

MAX_CHUNK_SIZE = 1000
"""Longer than an episode of any task, and a space that fits into memory."""

_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker)
"""Wrappers that change nothing in a step, so that ``step_chunk`` may be called behind them."""
_BLIND = (*_TRANSPARENT, TimeLimit, RecordEpisodeStatistics, gym.RewardWrapper, gym.ActionWrapper)
"""Wrappers that need every step of a chunk but pass observations on unseen, so that only the last has to be made."""


class ActionChunk(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Executes ``chunk_size`` actions per step and returns one observation, the last.

    The chunk stops where the episode ends, so that a success in its middle keeps its reward, and
    ``info["executed_actions"]`` says how many actions ran. Rewards are summed without a discount: a chunk
    is one step, and a learner that discounts control steps takes ``gamma ** info["executed_actions"]``.

    An environment of this package draws nothing in between. Under Gymnasium's TimeLimit, RecordEpisodeStatistics,
    RewardWrapper or ActionWrapper it is stepped action by action, and still drawn once; under any other wrapper every
    step is drawn, so wrappers of observations belong outside. Any other environment is stepped in a loop.

    ``metadata["render_fps"]`` is that of steps, so that films of one frame a step play at the true speed. A wrapper
    that measures time against ``spec.max_episode_steps``, which counts control steps, such as Gymnasium's
    TimeAwareObservation, belongs inside.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: an environment with a one-dimensional Box action space (A,).
        chunk_size: K, from 1 to 1000. The action space becomes ``Box(low, high, (K, A))``.
        flat: makes it ``Box(low, high, (K * A,))``, one action after the other, for learners that only know vectors of
            actions: RLlib's own PPO and SAC, Tianshou, CleanRL, PufferLib.

    Raises:
        InvalidArgumentError: a ``chunk_size`` that is no integer of this range, or another kind of action space, such
            as that of another ActionChunk.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import ActionChunk
        >>> env = ActionChunk(gym.make("VLA-Tabletop-v0", task_id=0), 8)
        >>> env.action_space.shape
        (8, 7)
        >>> _ = env.reset(seed=0)
        >>> *_, info = env.step(env.action_space.sample())
        >>> int(info["elapsed_steps"]), int(info["executed_actions"])
        (8, 8)
    """

    def __init__(self, env: gym.Env, chunk_size: int, *, flat: bool = False) -> None:
        space = env.action_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise InvalidArgumentError(f"Expect a one-dimensional Box action space to chunk, actually: {space}.")
        chunk_size = check_integer("chunk_size", chunk_size, 1, MAX_CHUNK_SIZE)
        flat = check_flag("flat", flat)
        gym.utils.RecordConstructorArgs.__init__(self, chunk_size=chunk_size, flat=flat)
        gym.Wrapper.__init__(self, env)
        self.chunk_size = chunk_size
        self.chunk_shape = (chunk_size, *space.shape)
        """(K, A)"""
        tiles = chunk_size if flat else (chunk_size, 1)
        self.action_space = spaces.Box(
            np.tile(space.low, tiles),
            np.tile(space.high, tiles),
            dtype=space.dtype,  # type: ignore[arg-type]
        )
        if fps := env.metadata.get("render_fps"):
            self.metadata = {**env.metadata, "render_fps": fps / chunk_size}  # a step is drawn once
        self._chunked = _behind(_TRANSPARENT, env, "step_chunk")
        self._drawn_once = _behind(_BLIND, env, "unobserved")

    @property
    def _max_episode_steps(self) -> int:
        """The most chunks of an episode, where the environment knows its control steps."""
        return -(-self.env.get_wrapper_attr("_max_episode_steps") // self.chunk_size)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; no action has run."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, "executed_actions": np.int64(0)}

    def step(self, action: ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Execute the chunk ``action``, (K, A) or flat, until the episode ends.

        Raises:
            InvalidActionError: another shape, or something else than finite numbers.
        """
        check_numbers("action chunk", action, InvalidActionError)
        chunk = np.asarray(action)  # in its own dtype, for environments of other code
        if chunk.shape != self.action_space.shape:
            raise InvalidActionError(
                f"Expect the action chunk to have shape {self.action_space.shape}, actually: {chunk.shape}."
            )
        chunk = chunk.reshape(self.chunk_shape)
        if self._chunked is not None:
            return self._chunked.step_chunk(chunk)
        if self._drawn_once is None:
            return self._loop(chunk)
        with self._drawn_once.unobserved():
            _, *result = self._loop(chunk)
        return self._drawn_once.observe(), *result

    def _loop(self, chunk: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        total, executed = 0.0, 0
        for each in chunk:
            observation, reward, terminated, truncated, info = self.env.step(each)
            total += float(reward)
            executed += 1
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, {**info, "executed_actions": np.int64(executed)}


def executed_actions(space: spaces.Box, action: ArrayLike, info: Mapping[str, Any]) -> NDArray[Any]:
    """The control actions (n, A) of an action (A,) or chunk (K, A) that ran, clipped to the space.

    Args:
        space: the action space, of shape (A,) or (K, A); chunks may come flat.
        action: what ``step`` got.
        info: what ``step`` gave; its ``executed_actions`` says how many of a chunk ran, without it all did.

    >>> chunks = spaces.Box(-1, 1, (3, 2))
    >>> executed_actions(chunks, [[0.5, 2.0], [0.0, 0.0], [1.0, 1.0]], {"executed_actions": 1}).tolist()
    [[0.5, 1.0]]
    """
    return np.atleast_2d(clipped(space, action))[: info.get("executed_actions")]


def clipped(space: spaces.Box, action: ArrayLike) -> NDArray:
    """What ``step`` got, in the shape and type of the action space and within its bounds."""
    return np.clip(np.reshape(np.asarray(action, space.dtype), space.shape), space.low, space.high)


def _behind(wrappers: tuple[type[gym.Wrapper], ...], env: gym.Env, method: str) -> Any | None:
    """What these wrappers are around, where it has the method."""
    while isinstance(env, wrappers):
        env = env.env
    return env if hasattr(env, method) else None
