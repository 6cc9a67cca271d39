"""Runs a recorded episode again and checks that it comes out as it was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs.errors import InvalidArgumentError, VLAEnvsError
from vla_envs.wrappers.record.episode import Episode, is_image, read_episode
from vla_envs.wrappers.record.record_trajectory import installed_versions, physics_state


class ReplayError(VLAEnvsError, RuntimeError):
    """A recorded episode does not come out again as it was recorded."""


def replay(path: str | Path, episode: int = 0, **env_kwargs: Any) -> Episode:
    """Make the environment of a recorded episode, reset it as it was, run the actions and compare bit for bit.

    Compared are, before every row's actions, each observation that is no image and, where recorded, MuJoCo's state;
    at the end success and the final state. Images depend on the machine that draws them and are not.

    Args:
        path: the folder that was recorded to, or one of the HDF5 files in it.
        episode: the index of the episode.
        **env_kwargs: replace recorded arguments of the environment, such as LIBERO's ``assets`` or ``image_size``.

    Returns:
        the episode as it was recorded.

    Raises:
        ReplayError: something differs; the message names the row, the amount and changed versions.
        InvalidArgumentError: no such episode, or an environment id that is not registered in this process.
    """
    recorded = read_episode(path, episode)
    env = _make(recorded, env_kwargs)
    try:
        _run(recorded, env)
    except ReplayError as error:
        raise ReplayError(
            f"Episode {episode} of {path} does not come out again: {error} {_advice(recorded, env)}"
        ) from None
    finally:
        env.close()
    return recorded


def _make(recorded: Episode, env_kwargs: dict[str, Any]) -> gym.Env:
    """The bare environment. Only an id that is registered already: a file must not choose what is imported."""
    env_id = recorded.origin.env_id
    if env_id not in gym.registry:
        raise InvalidArgumentError(f"Expect an id that is registered: import the package of {env_id!r} first.")
    return gym.make(env_id, disable_env_checker=True, **{**recorded.origin.env_kwargs, **env_kwargs}).unwrapped


def _run(recorded: Episode, env: Any) -> None:
    origin = recorded.origin
    options = {**origin.reset_options, "task_id": origin.task_id, "init_state_id": origin.init_state_id}
    observation, info = env.reset(seed=origin.seed, options=options)
    ended = False
    for row in range(len(recorded)):
        if ended:
            raise ReplayError(f"it ends before row {row} of {len(recorded)}.")
        _compare_row(recorded, row, observation, physics_state(env))
        observation, _, terminated, truncated, info = env.step_chunk(recorded.executed_actions(row))
        ended = terminated or truncated
    _compare("success", "at the end", origin.success, info["success"])
    if origin.final_state is not None:
        recorded_state = np.array(origin.final_state, np.float32)
        # Recordings of earlier versions have it without the zeros at its end.
        _compare("final_state", "at the end", recorded_state, info["final_state"][: len(recorded_state)])


def _compare_row(recorded: Episode, row: int, observation: dict[str, Any], state: NDArray | None) -> None:
    for key, values in recorded.observations.items():
        if key in observation and not is_image(values):
            _compare(key, f"at row {row}", values[row], observation[key])
    if recorded.states is not None:
        _compare("states", f"at row {row}", recorded.states[row], np.nan if state is None else state)


def _compare(name: str, where: str, recorded: ArrayLike, now: ArrayLike) -> None:
    recorded, now = np.asarray(recorded), np.asarray(now)
    if recorded.shape != now.shape:
        raise ReplayError(f"`{name}` {where} had shape {recorded.shape}, now {now.shape}.")
    if not np.array_equal(recorded, now):
        difference = np.abs(recorded.astype(np.float64) - now).max()
        raise ReplayError(f"`{name}` differs {where}, by up to {difference:.3g}.")


def _advice(recorded: Episode, env: gym.Env) -> str:
    then, now = recorded.origin.metadata["versions"], installed_versions(env)
    changed = [f"{name} {version} (now {now.get(name)})" for name, version in then.items() if now.get(name) != version]
    if changed:
        return f"It was recorded with {', '.join(changed)}: install these versions."
    return (
        "The versions are the same: put wrappers that change `state` or actions outside RecordTrajectory, "
        "and change how an episode starts by the options of `reset`."
    )
