"""Recorded episodes as what a policy is cloned from: what its environment would have shown it, and the next actions."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from policies.behavior_cloning import Demonstrations, Episode
from rllib_configs.config import EnvironmentConfig
from rllib_configs.config.environment import absolute
from vla_envs.base import VLAEnv
from vla_envs.errors import InvalidArgumentError, warn_once
from vla_envs.resampling import lanczos_resize
from vla_envs.wrappers.action_history import ACTION_HISTORY
from vla_envs.wrappers.instruction import INSTRUCTION_BYTES, INSTRUCTION_TOKENS, encode_instruction, hash_words
from vla_envs.wrappers.record import Episode as Recorded
from vla_envs.wrappers.record import find_episodes, read_episode


def read_demonstrations(environment: EnvironmentConfig, path: str) -> list[Episode]:
    """What reads each recorded episode at a path, as rows of a policy of this environment.

    An episode that failed, or that starts at an initial state of evaluation, has no rows.

    Args:
        environment: the policy's.
        path: whatever :func:`vla_envs.wrappers.record.find_episodes` takes.

    Raises:
        InvalidArgumentError: no recordings there. Reading an episode raises it as well, where that lacks what the
            policy observes or has other actions.
        DamagedRecordingError: a recording is damaged.
    """
    fitted = _Fitted(environment)
    return [partial(fitted.rows, *place) for place in find_episodes(absolute(path))]


class _Fitted:
    """Makes rows of recorded episodes that fit an environment."""

    def __init__(self, environment: EnvironmentConfig) -> None:
        assert environment.chunk_size is not None
        self.chunk_size = environment.chunk_size
        with closing(environment.wrap(environment.make("train"))) as env:
            assert isinstance(env.observation_space, spaces.Dict)
            assert isinstance(env.unwrapped, VLAEnv)
            self.observed = dict(env.observation_space.spaces)
            self.task: VLAEnv = env.unwrapped
            self.actions = env.unwrapped.action_space.shape

    def rows(self, path: Path, index: int) -> Demonstrations:
        """A row for each recorded observation."""
        episode = read_episode(path, index)
        where = f"episode {index} of {path}"
        if episode.actions.shape[-1:] != self.actions:
            raise InvalidArgumentError(
                f"Expect demonstrations whose actions are {self.actions}, as the environment's, actually: "
                f"{episode.actions.shape[-1:]} in {where}."
            )
        taken = np.concatenate([episode.executed_actions(row) for row in range(len(episode))]).astype(np.float32)
        starts = np.cumsum(episode.executed) - episode.executed
        following = starts[:, None] + np.arange(self.chunk_size)
        exists = following < len(taken)
        rows = Demonstrations(
            observations={key: self._observation(key, episode, taken, starts, where) for key in self.observed},
            actions=taken[following.clip(max=len(taken) - 1)] * exists[..., None],
            mask=exists.astype(np.float32),
        )
        return rows.take(slice(None if self._is_of_use(episode) else 0))

    def _is_of_use(self, episode: Recorded) -> bool:
        origin = episode.origin
        if not origin.success:
            warn_once("Demonstrations that do not solve their task are left out.")
            return False
        known = origin.is_ours and origin.suite == self.task.suite and "init_state" not in origin.reset_options
        if known and origin.init_state_id in self.task.init_states(origin.task_id, "eval"):
            warn_once(
                "Demonstrations from initial states of evaluation are left out, because success on what was trained on "
                "says little. Record with split='train'."
            )
            return False
        return True

    def _observation(
        self, key: str, episode: Recorded, taken: NDArray[np.float32], starts: NDArray[np.int64], where: str
    ) -> NDArray:
        """(T, ...): what the environment would have shown before each row's actions."""
        space, rows = self.observed[key], len(episode)
        (length, *_) = space.shape or (0,)
        if key == INSTRUCTION_TOKENS:
            return np.tile(hash_words(episode.origin.instruction, length), (rows, 1))
        if key == INSTRUCTION_BYTES:
            return np.tile(encode_instruction(episode.origin.instruction, length), (rows, 1))
        if key == ACTION_HISTORY:
            before = np.concatenate([np.zeros((length, taken.shape[1]), taken.dtype), taken])
            return before[starts[:, None] + np.arange(length)]
        return _like(space, key, episode.observations, where)


def _like(space: spaces.Space[Any], key: str, observations: dict[str, NDArray], where: str) -> NDArray:
    """A recorded observation in the form of a space; images are resized to squares as environments resize theirs.

    Raises:
        InvalidArgumentError: it was not recorded, or has another form.
    """
    if key not in observations:
        raise InvalidArgumentError(
            f"Expect demonstrations with what the policy observes, {key!r}, actually: {', '.join(observations)} in "
            f"{where}. Choose others by --environment.cameras, and leave wrappers out that add to observations."
        )
    values, shape = observations[key], space.shape or ()
    is_image = values.ndim == 4 and values.dtype == np.uint8
    if is_image and values.shape[1:] != shape and shape[:1] == shape[1:2]:
        values = np.stack([lanczos_resize(image, shape[0]) for image in values])
    if values.shape[1:] != shape:
        raise InvalidArgumentError(
            f"Expect demonstrations whose {key!r} is {shape}, as the environment's, actually: {values.shape[1:]} in "
            f"{where}."
        )
    return values.astype(space.dtype, copy=False)
