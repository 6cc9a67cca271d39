"""What wrappers ask of the environment that they are put around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import action_shape


def layers_of(env: gym.Env) -> Iterator[gym.Wrapper]:
    """The wrappers around an environment, from the outermost to the innermost.

    >>> [type(layer).__name__ for layer in layers_of(gym.make("vla_envs:VLA-Tabletop-v0", task_id=0))]
    ['OrderEnforcing', 'PassiveEnvChecker']
    """
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env


def refuse_outside(
    outer: gym.Wrapper, env: gym.Env, inner: type | tuple[type, ...], *, because: str, instead: str
) -> None:
    """Raise where ``outer`` would stand outside a wrapper of one of these classes, wherever that is in the stack.

    Raises:
        InvalidArgumentError: naming both wrappers, the reason and what to do instead.
    """
    for layer in layers_of(env):
        if isinstance(layer, inner):
            raise InvalidArgumentError(
                f"Expect {type(outer).__name__} not to be outside {type(layer).__name__}: {because}. "
                f"Instead, {instead}."
            )


def dictionary_of(env: gym.Env) -> dict[str, spaces.Space]:
    """Observation key -> space.

    Raises:
        InvalidArgumentError: the environment does not observe a dictionary.
    """
    if not isinstance(env.observation_space, spaces.Dict):
        raise InvalidArgumentError(f"Expect the observation space to be a Dict, actually: {env.observation_space}.")
    return dict(env.observation_space.spaces)


def image_keys(observations: Mapping[str, spaces.Space]) -> tuple[str, ...]:
    """The keys whose values are images: uint8 (H, W, 3).

    Raises:
        InvalidArgumentError: some are stacks of images, which would be passed over.

    >>> image_keys({"image": spaces.Box(0, 255, (4, 4, 3), np.uint8), "state": spaces.Box(-1, 1, (8,))})
    ('image',)
    """
    keys = tuple(key for key, space in observations.items() if _shows(space))
    for key in keys:
        if len(observations[key].shape or ()) > 3:
            raise InvalidArgumentError(
                f"Expect images (H, W, 3), actually: `{key}` with shape {observations[key].shape}. "
                "Put StackObservations outside."
            )
    return keys


def actions_of(env: gym.Env) -> spaces.Box:
    """The action space, of actions (A,) or chunks of them (K, A), which the environment may take flat.

    Raises:
        InvalidArgumentError: another kind of space.
    """
    space = env.action_space
    if not isinstance(space, spaces.Box) or len(space.shape) not in (1, 2):
        raise InvalidArgumentError(f"Expect a Box action space (A,) or (K, A), actually: {space}.")
    shape = action_shape(env)
    return spaces.Box(space.low.reshape(shape), space.high.reshape(shape), dtype=space.dtype)  # type: ignore[arg-type]


def _shows(space: spaces.Space) -> bool:
    """Whether these are images, or stacks of them."""
    return space.dtype == np.uint8 and len(space.shape or ()) >= 3 and space.shape[-1] == 3  # type: ignore[index]
