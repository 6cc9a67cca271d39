"""Keeps whole episodes, in a format that others read and with all that replays them."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike, NDArray

import vla_envs
from vla_envs.arguments import check_numbers, check_path
from vla_envs.errors import InvalidActionError, InvalidArgumentError
from vla_envs.files import check_writable
from vla_envs.spec import FINAL_STATE, action_shape
from vla_envs.wrappers.action_chunk import clipped
from vla_envs.wrappers.checks import actions_of
from vla_envs.wrappers.record.episode import Episode, Origin, load_format, plain


class RecordTrajectory(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Writes every episode that ends to a folder, as a LeRobot dataset or as LIBERO's HDF5 files.

    Each row is an observation with the actions that answered it. Inside
    :class:`~vla_envs.wrappers.ActionChunk` that is one action, and every control step is drawn; around it
    a row has the whole chunk (K, A) and says how many actions ran, and nothing more is drawn than without recording.
    Actions are cast to the action space's dtype before they run, so that what is recorded is what ran.

    An episode is written when it ends, beside those already there; one that is left before its end
    is dropped. Several recorders, also of several processes, can share a folder. ``docs/recording.md``
    describes the files, :func:`~vla_envs.wrappers.record.replay` runs an episode again.

    Wrappers that change what an action does, or ``state``, belong outside: a replay runs the bare environment,
    reset with the options that reached it.
    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: a registered environment of this package's contract, made by ``gymnasium.make``.
        folder: where to write; made if absent, added to if it has episodes.
        format: ``"lerobot"`` (dataset v3.0, images as lossless PNG) or ``"hdf5"`` (one file per task).

    Raises:
        InvalidArgumentError: an unknown format, a folder that cannot be written, or an environment that cannot be made
            again or has other spaces.
        DependencyNotInstalled: the format needs ``pip install 'vla-envs[record]'``.

    Example:
        >>> import tempfile, gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import RecordTrajectory
        >>> from vla_envs.wrappers.record import replay
        >>> folder = tempfile.mkdtemp()
        >>> env = RecordTrajectory(gym.make("VLA-Tabletop-v0", image_size=16, max_episode_steps=3), folder)
        >>> _ = env.reset(options={"task_id": 2, "init_state_id": 7})
        >>> truncated = False
        >>> while not truncated:
        ...     *_, truncated, info = env.step(env.action_space.sample())
        >>> replay(folder).origin.instruction == info["task"]
        True
    """

    def __init__(self, env: gym.Env, folder: str | Path, format: str = "lerobot") -> None:
        _check(env)
        folder = check_path("folder", folder)
        check_writable(folder, "recordings", "Name another `folder`.")
        self._format = load_format(format)
        gym.utils.RecordConstructorArgs.__init__(self, folder=str(folder), format=format)
        gym.Wrapper.__init__(self, env)
        self.folder = folder
        self._actions = actions_of(env)
        self._seed: int | None = None
        self._before: _Before | None = None
        self._rows: list[_Row] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; one that has not ended is dropped."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._seed = seed
        self._rows = []
        self._before = self._look(observation)
        return observation, info

    def step(self, action: ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment; the step that ends the episode writes it."""
        action = check_numbers("action", action, InvalidActionError).astype(self.action_space.dtype)
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._before is not None:
            executed = int(info["executed_actions"]) if len(self._actions.shape) == 2 else 1
            self._rows.append(_Row(self._before, self._executed(action, executed), executed, float(reward)))
            ended = terminated or truncated
            self._before = None if ended else self._look(observation)
            if ended:
                self._format.add_episode(self.folder, self._episode(terminated, truncated, info))
        return observation, float(reward), terminated, truncated, info

    def _look(self, observation: dict[str, Any]) -> _Before:
        arrays = {key: np.array(value) for key, value in observation.items() if not isinstance(value, str)}
        return _Before(arrays, physics_state(self.env))

    def _executed(self, action: ArrayLike, executed: int) -> NDArray:
        """The actions as the environment took them: within the bounds, and none that did not run."""
        taken = clipped(self._actions, action)
        if taken.ndim == 2:
            taken[executed:] = taken[executed - 1]
        return taken

    def _episode(self, terminated: bool, truncated: bool, info: dict[str, Any]) -> Episode:
        befores, actions, executed, rewards = zip(*self._rows, strict=True)
        states = [before.state for before in befores]
        return Episode(
            observations={key: np.stack([each.observation[key] for each in befores]) for key in befores[0].observation},
            actions=np.stack(actions),
            executed=np.array(executed, np.int64),
            rewards=np.array(rewards, np.float32),
            states=None if states[0] is None else np.stack(states),
            origin=self._origin(terminated, truncated, info),
        )

    def _origin(self, terminated: bool, truncated: bool, info: dict[str, Any]) -> Origin:
        spec = self.env.unwrapped.spec
        assert spec is not None
        final_state = info.get(FINAL_STATE)
        return Origin(
            env_id=spec.id,
            env_kwargs=_arguments(spec),
            metadata={**self.env.unwrapped.metadata, "versions": installed_versions(self.env)},
            suite=str(info["suite"]),
            task_id=int(info["task_id"]),
            init_state_id=int(info["init_state_id"]),
            seed=self._seed,
            instruction=str(info["task"]),
            success=bool(info["success"]),
            terminated=bool(terminated),
            truncated=bool(truncated),
            final_state=None if final_state is None else np.asarray(final_state).tolist(),
            reset_options=getattr(self.env.unwrapped, "episode_options", {}),
        )


class _Before(NamedTuple):
    """What stood before an action: the arrays of the observation, and MuJoCo's state where there is one."""

    observation: dict[str, NDArray]
    state: NDArray[np.float64] | None


class _Row(NamedTuple):
    before: _Before
    actions: NDArray
    executed: int
    reward: float


def installed_versions(env: gym.Env) -> dict[str, str]:
    """Distribution -> version of what simulates ``env``: this package, NumPy and what its metadata names."""
    own = {"vla-envs": vla_envs.__version__, "numpy": metadata.version("numpy")}
    return {**own, **env.unwrapped.metadata.get("versions", {})}


def _arguments(spec: EnvSpec) -> dict[str, Any]:
    """What ``gymnasium.make`` takes beside the id to make the environment again."""
    limit = spec.max_episode_steps
    return {**spec.kwargs, **({} if limit is None else {"max_episode_steps": limit})}


def _check(env: gym.Env) -> None:
    """Raise where a replay, which runs the bare environment, could not repeat the episodes of ``env``."""
    base = env.unwrapped
    if base.spec is None:
        raise InvalidArgumentError(f"Expect an environment made by gymnasium.make, which replays repeat, not: {base}.")
    try:
        json.dumps(_arguments(base.spec), default=plain)
    except TypeError as error:
        raise InvalidArgumentError(f"Expect arguments of {base.spec.id} that a file can hold. {error}") from error
    _check_actions(env, base.action_space)
    _check_observations(env.observation_space, base.observation_space)


def _check_actions(env: gym.Env, bare: spaces.Space) -> None:
    shape = action_shape(env) or ()
    if not isinstance(env.action_space, spaces.Box) or shape[-1:] != bare.shape or len(shape) > 2:
        raise InvalidArgumentError(
            f"Expect the actions of the bare environment, {bare}, or chunks of them, actually: {env.action_space}. "
            "Wrappers that change actions belong outside RecordTrajectory."
        )


def _check_observations(space: spaces.Space, bare: spaces.Space) -> None:
    if not isinstance(space, spaces.Dict) or not isinstance(bare, spaces.Dict):
        raise InvalidArgumentError(f"Expect observations of a Dict space, actually: {space}.")
    for key in space.spaces.keys() & bare.spaces.keys():
        if len(space[key].shape or ()) != len(bare[key].shape or ()):
            raise InvalidArgumentError(
                f"Expect `{key}` to be like the bare environment's, {bare[key]}, actually: {space[key]}. "
                "Wrappers that stack observations belong outside RecordTrajectory."
            )


def physics_state(env: gym.Env) -> NDArray[np.float64] | None:
    """(1 + nq + nv,): time, positions and velocities of an environment with MuJoCo's data as ``simulator.data``."""
    data = getattr(getattr(env.unwrapped, "simulator", None), "data", None)
    return None if data is None else np.concatenate([[data.time], data.qpos, data.qvel])
