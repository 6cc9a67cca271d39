"""Registers the environment ids with Gymnasium.

Runs on ``import vla_envs``; ``gymnasium.make("vla_envs:VLA-Tabletop-v0")`` imports it by itself,
also in a worker process. ``gymnasium.make_vec`` gives independent environments, or groups of trajectories where their
number is named: see :func:`make_vector_env`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from gymnasium.vector import SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

from vla_envs.arguments import check_callable, check_integer, check_mapping, check_sequence
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import MAX_ENVS, MAX_STEPS

if TYPE_CHECKING:
    from vla_envs.group import GroupVectorEnv

ENVIRONMENTS = {
    "VLA-Tabletop-v0": ("vla_envs.tabletop.env:TabletopEnv", "vla_envs.registration:tabletop_groups"),
    "VLA-Libero-v0": ("vla_envs.libero.env:LiberoEnv", "vla_envs.registration:libero_groups"),
    "VLA-RoboTwin-v0": ("vla_envs.robotwin.env:RoboTwinEnv", "vla_envs.registration:robotwin_groups"),
    "VLA-Text-v0": ("vla_envs.text.env:TextEnv", "vla_envs.registration:text_groups"),
}
"""Environment id -> entry points of one environment and of groups, imported when they are made."""


def register_envs() -> None:
    """Register every id of this package that is not registered yet."""
    for env_id, (entry_point, vector_entry_point) in ENVIRONMENTS.items():
        register(env_id, entry_point, vector_entry_point)


def register(
    env_id: str,
    entry_point: str | Callable[..., gym.Env],
    vector_entry_point: str | Callable[..., VectorEnv] | None = None,
) -> None:
    """Register a subclass of :class:`~vla_envs.base.VLAEnv`, unless its id is registered already.

    ``gymnasium.make`` then gives its ``max_episode_steps`` to the environment, and ``gymnasium.make_vec`` makes groups.

    Args:
        env_id: ``module:Name-v0``, with the module that registers it, which other processes have to import.
        entry_point: the class, or ``module:class``.
        vector_entry_point: makes the groups; None takes :func:`make_vector_env`.
    """
    name = env_id.rpartition(":")[2]
    if name not in gym.registry:
        gym.register(
            name,
            entry_point,
            vector_entry_point=vector_entry_point or partial(make_vector_env, env_id),
            additional_wrappers=_HAND_OVER_STEP_LIMIT,
            kwargs=_SpecKwargs() if vector_entry_point is None or env_id in ENVIRONMENTS else {},
        )


def hand_over_step_limit(env: gym.Env) -> gym.Env:
    """Take the TimeLimit of ``gymnasium.make`` away and give its limit to the environment inside.

    Gymnasium tells an environment nothing of its ``max_episode_steps``. An environment that did not know when its
    episode ends would name another limit in its info and give no final state. Gymnasium calls this function as the
    first of the additional wrappers of a spec, which it applies right outside its TimeLimit.

    >>> env = gym.make("VLA-Tabletop-v0", task_id=0, max_episode_steps=7)
    >>> int(env.reset(seed=0)[1]["max_steps"]), env.spec.max_episode_steps
    (7, 7)
    """
    bare: Any = env.unwrapped
    if isinstance(env, TimeLimit):
        bare.max_episode_steps = env._max_episode_steps
        env = env.env
    bare.spec.kwargs = _plain(bare.spec.kwargs)
    bare.spec.max_episode_steps = bare.max_episode_steps
    bare.spec.additional_wrappers = _HAND_OVER_STEP_LIMIT  # for whoever makes the environment again from its spec
    return env


def _plain(value: Any) -> Any:
    """The value without NumPy's types and paths, for which JSON has no words."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_plain, value))
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return str(value) if isinstance(value, PurePath) else value


class _MakeOnly(tuple[WrapperSpec, ...]):
    """Additional wrappers of a spec that are applied by ``gymnasium.make`` and not counted by ``gymnasium.make_vec``.

    ``make_vec`` refuses additional wrappers beside a vector entry point, because they would be lost. That of
    :func:`make_groups` makes each environment by ``gymnasium.make``, which applies them.
    """

    def __len__(self) -> int:
        return 0


_HAND_OVER_STEP_LIMIT = _MakeOnly(
    [WrapperSpec("HandOverStepLimit", "vla_envs.registration:hand_over_step_limit", kwargs={})]
)


class _SpecKwargs(dict[str, Any]):
    """Keywords of a spec, by which :func:`make_vector_env` hears that ``make_vec`` was called without a mode.

    ``make_vec`` then takes the vector entry point and refuses the ``wrappers`` and ``vector_kwargs`` that Gymnasium's
    own vector environments take. But it looks for all three among the keywords of the spec first, and here these two
    are left among the keywords of the entry point.
    """

    _mode: str | None = None

    def pop(self, key: str, *default: Any) -> Any:
        value = super().pop(key, *default)
        if key == "vectorization_mode":
            self._mode = value
            if value is None:
                self["plain"] = True
        nothing = isinstance(value, (list, tuple, dict, type(None))) and not value
        if key in ("vector_kwargs", "wrappers") and not nothing and self._mode is None:
            self[key] = value  # whatever it is: the entry point checks it
            return []
        return value


def find_spec(env_id: str) -> EnvSpec:
    """What is registered under ``id`` or ``module:id``, whose module is imported first.

    >>> find_spec("vla_envs:VLA-Tabletop-v0").id
    'VLA-Tabletop-v0'
    """
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    return gym.spec(name)


def make_groups(
    env_id: str,
    num_envs: int,
    group_size: int = 1,
    *,
    wrap: Callable[[gym.Env], gym.Env] | None = None,
    mode: str = "lockstep",
    vote: Any = None,
    prompts: Any = None,
    temperatures: Any = None,
    num_workers: int = 0,
    worker_timeout: float = 300.0,
    worker_env: Any = None,
    **env_kwargs: Any,
) -> GroupVectorEnv:
    """Groups of environments: ``gymnasium.make_vec(id, num_envs=P*N, group_size=N, ...)``.

    Args:
        env_id: a registered id.
        num_envs: P x N.
        group_size: N.
        wrap: puts wrappers around each environment of the groups: it takes the bare environment and returns the
            wrapped one; None wraps nothing. It stands in for Gymnasium's own ``wrappers``, which ``make_vec`` refuses
            in mode ``"vector_entry_point"``. With worker processes it crosses to them by cloudpickle.
        mode: as in :class:`~vla_envs.group.GroupVectorEnv`, and so are the next six.
        vote: what a vote decides.
        prompts: where groups start.
        temperatures: of the trajectories of a group.
        num_workers: worker processes; 0 keeps the sub-environments in this process.
        worker_timeout: seconds that a command of a worker may take.
        worker_env: environment variables of the workers.
        **env_kwargs: go to the environment, ``max_episode_steps`` too.
    """
    from vla_envs.group import GroupVectorEnv

    def make_sub_environment() -> gym.Env:
        env = gym.make(env_id, disable_env_checker=True, **env_kwargs)
        return env if wrap is None else wrap(env)

    return GroupVectorEnv(
        [make_sub_environment] * num_envs,
        group_size,
        mode,
        vote,
        prompts,
        temperatures,
        num_workers=num_workers,
        worker_timeout=worker_timeout,
        worker_env=worker_env,
    )


GROUP_KEYWORDS = inspect.signature(make_groups).parameters.keys() - {"env_id", "num_envs", "env_kwargs"}
"""Keywords of ``make_vec`` by which it makes groups, also without a mode."""


def make_vector_env(
    env_id: str,
    num_envs: int,
    *,
    plain: bool = False,
    wrappers: Sequence[Callable[[gym.Env], gym.Env]] = (),
    vector_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> VectorEnv:
    """The vector entry point of every id: groups, or what ``gymnasium.make_vec(id, n)`` gives for any other id.

    Args:
        env_id: a registered id.
        num_envs: their number.
        plain: ``make_vec`` was called without a mode: where ``kwargs`` name nothing of groups either, a
            :class:`gymnasium.vector.SyncVectorEnv` of environments that draw their prompts each on its own.
        wrappers: go around each environment, from the first, the innermost, to the last.
        vector_kwargs: keywords of the SyncVectorEnv.
        **kwargs: those of :func:`make_groups`.

    Raises:
        InvalidArgumentError: ``vector_kwargs`` for groups, or a number of environments or steps that is no integer
            above 0.

    >>> gym.make_vec("VLA-Tabletop-v0", 2, wrappers=[gym.wrappers.RecordEpisodeStatistics])
    SyncVectorEnv(VLA-Tabletop-v0, num_envs=2)
    """
    num_envs = check_integer("num_envs", num_envs, 1, MAX_ENVS)
    if kwargs.get("max_episode_steps") is not None:  # Gymnasium's own check knows no integers but Python's
        kwargs["max_episode_steps"] = check_integer("max_episode_steps", kwargs["max_episode_steps"], 1, MAX_STEPS)
    inner = kwargs.pop("wrap", None)
    layers = [*([] if inner is None else [inner]), *check_sequence("wrappers", wrappers)]
    for layer in layers:
        check_callable("wrappers", layer)
    vector_kwargs = check_mapping("vector_kwargs", vector_kwargs)

    def wrap(env: gym.Env) -> gym.Env:
        return reduce(lambda wrapped, layer: layer(wrapped), layers, env)

    if plain and inner is None and not kwargs.keys() & GROUP_KEYWORDS:
        return SyncVectorEnv([lambda: wrap(gym.make(env_id, **kwargs))] * num_envs, **vector_kwargs)
    if vector_kwargs:
        raise InvalidArgumentError(
            f"Expect no `vector_kwargs` for groups, which take their options as keywords, actually: {vector_kwargs}."
        )
    return make_groups(env_id, num_envs, wrap=wrap if layers else None, **kwargs)


# By name and not as partials in register(): Gymnasium writes a spec as JSON only when it holds no callable.
tabletop_groups = partial(make_vector_env, "VLA-Tabletop-v0")
libero_groups = partial(make_vector_env, "VLA-Libero-v0")
robotwin_groups = partial(make_vector_env, "VLA-RoboTwin-v0")
text_groups = partial(make_vector_env, "VLA-Text-v0")
