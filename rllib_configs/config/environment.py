"""Which environment a run trains on, and the wrappers around it."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator
from pydantic import NonNegativeInt, PositiveInt

from policies.options import Options
from vla_envs import wrappers
from vla_envs.arguments import check_choice
from vla_envs.errors import InvalidArgumentError, UnknownCameraError
from vla_envs.files import expanded
from vla_envs.registration import find_spec
from vla_envs.spec import CAMERA_KEYS, STATE, STATE_DIM
from vla_envs.text import TextEnv
from vla_envs.wrappers import ActionChunk, ActionHistory, EncodeInstruction, TokenizeInstruction

Wrap = Callable[[gym.Env], gym.Env]

OPTIONS = ("task_id", "image_size", "cameras", "max_episode_steps", "num_workers")
"""Keywords that have an option of their own."""
DECIDED = (
    *("split", "render_mode", "wrap", "mode", "num_envs", "group_size", "vectorization_mode"),
    *("prompts", "vote", "temperatures"),
)
"""Keywords that a run decides: a second value for one of them, such as the split, would win in silence."""
REWARD_WRAPPERS = (wrappers.EfficiencyReward, wrappers.NoisySuccess, wrappers.ShapedReward, gym.RewardWrapper)
"""Wrappers that are there for their rewards."""


@dataclass(frozen=True)
class EnvironmentConfig(Options):
    """Which environment a run trains on, and what the policy observes of it."""

    section: ClassVar[str] = "environment."

    id: str = "VLA-Tabletop-v0"
    """Id of the environment: one of this package, or ``module:id`` of one that keeps to the same contract."""
    task_id: int | tuple[int, ...] | None = None
    """Indices of the tasks; None takes every task of the suite."""
    image_size: PositiveInt = 64
    """Height and width of the images in pixels."""
    cameras: tuple[str, ...] = ("agentview",)
    """Cameras that are observed; none makes the policy blind."""
    max_episode_steps: PositiveInt | None = None
    """Step limit of an episode in control steps; None takes the task's own."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Further keywords of ``gymnasium.make`` for this environment, such as a suite or the quality of its images. A text
    that begins with ``/``, ``./``, ``../`` or ``~`` is a path, as in ``root=./checkout``."""
    wrappers: tuple[str, ...] = ()
    """Wrappers around the environment, the innermost first, each written as a call, such as ``EfficiencyReward()`` or
    ``NoisySuccess(p=0.25)``: names of ``vla_envs.wrappers``, or ``module:Class(...)``."""
    chunk_size: PositiveInt | None = None
    """Actions that a policy chooses at once and that are executed open loop; None takes the policy's own number."""
    instruction: Literal["words", "text"] | None = None
    """Whether the instruction is observed as ids of its words or as the bytes of its text; None takes what the policy
    reads."""
    token_length: PositiveInt = 24
    """Number of word ids per instruction; longer instructions are cut."""
    history: NonNegativeInt | None = None
    """Number of past actions that the policy observes; None takes the policy's own number."""
    num_workers: NonNegativeInt = 0
    """Number of processes in which the environments of a sampling process, or of an evaluation, run; 0 keeps them
    inside that process. A simulator that can hang or crash then costs a trajectory and not the run. For speed alone,
    ``resources.num_env_runners`` is the better choice, because it spreads the policy's work as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            object.__setattr__(self, "env_kwargs", json.loads(json.dumps(self.env_kwargs, allow_nan=False)))
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                "Expect the `environment.env_kwargs` to be numbers, texts, lists and the like, which JSON has as well, "
                f"actually: {self.env_kwargs} ({error})."
            ) from None
        for camera in self.cameras:
            check_choice("environment.cameras", camera, CAMERA_KEYS, UnknownCameraError)
        for call in self.wrappers:
            parse_wrapper(call)
        if self.instruction == "text":
            self.check_left(("token_length",), "environment.instruction=words")
        if taken := sorted(self.env_kwargs.keys() & {*OPTIONS, *DECIDED}):
            raise InvalidArgumentError(
                "Expect `environment.env_kwargs` without what the run decides or an option of its own says "
                f"({', '.join(f'--environment.{each}'.replace('_', '-') for each in OPTIONS)}), "
                f"actually: {', '.join(taken)}."
            )

    @property
    def image_keys(self) -> tuple[str, ...]:
        """The images of the observation, in the order of the cameras."""
        return tuple(CAMERA_KEYS[camera] for camera in self.cameras)

    @property
    def pays(self) -> bool:
        """Whether one of the wrappers is there for its rewards."""
        return any(issubclass(parse_wrapper(call)[0], REWARD_WRAPPERS) for call in self.wrappers)

    @property
    def qualified_id(self) -> str:
        """The id with the module that registers it, which is what a fresh process imports to know the id."""
        return self.id if ":" in self.id else f"vla_envs:{self.id}"

    def kwargs(self, split: str) -> dict[str, Any]:
        """Keywords of ``gymnasium.make`` for the initial states of ``split``."""
        given = {
            "task_id": self.task_id,
            **{name: getattr(self, name) for name in ("image_size", "cameras") if self._sees(name)},
            "max_episode_steps": self.max_episode_steps,
            **{key: absolute(value) if _is_path(value) else value for key, value in self.env_kwargs.items()},
        }
        # An environment whose own default is a single task takes all of them by None.
        every_task = {"task_id": None} if self._takes("task_id") else {}
        return {"split": split, **every_task, **{key: value for key, value in given.items() if value is not None}}

    def make(self, split: str, render_mode: str | None = None) -> gym.Env:
        """The environment without wrappers, over the initial states of ``split``."""
        return gym.make(self.qualified_id, render_mode=render_mode, **self.kwargs(split))

    def wrap(self, env: gym.Env) -> gym.Env:
        """Put the wrappers of training, evaluation and videos around an environment."""
        if self.chunk_size is not None:
            env = ActionChunk(env, self.chunk_size)
        for call in self.wrappers:
            wrapper, kwargs = parse_wrapper(call)
            env = wrapper(env, **kwargs)
        if not isinstance(env.action_space, spaces.Box):
            raise InvalidArgumentError(
                "Expect `environment.wrappers` that leave the action space a Box, because policies give the "
                f"environment actions and not tokens, actually: {type(env.action_space).__name__} with "
                f"{', '.join(self.wrappers)}."
            )
        if self.history:
            env = ActionHistory(env, self.history)
        if self.instruction == "text":
            return EncodeInstruction(env)
        return TokenizeInstruction(env, self.token_length)

    def make_vec(self, split: str, num_envs: int, wrap: Wrap | None = None, **kwargs: Any) -> Any:
        """A :class:`~vla_envs.group.GroupVectorEnv` in mode ``"hold"`` over the initial states of ``split``.

        Args:
            split: ``"train"``, ``"eval"`` or ``"all"``.
            num_envs: number of environments.
            wrap: puts wrappers around each environment; None takes :meth:`wrap`.
            **kwargs: further keywords of ``gymnasium.make_vec``.
        """
        return gym.make_vec(
            self.qualified_id,
            num_envs,
            vectorization_mode="vector_entry_point",
            mode="hold",
            wrap=wrap or self.wrap,
            num_workers=self.num_workers,
            **{**self.kwargs(split), **kwargs},
        )

    def check_registered(self) -> None:
        """Check, without making the environment, that its id is registered and that it takes the keywords.

        Raises:
            InvalidArgumentError: the environment has no such keyword, or the id names no module.
            gymnasium.error.Error: no such id is registered.
        """
        try:
            unknown = [f"`{key}`" for key in self.kwargs("train") if not self._takes(key)]
        except ModuleNotFoundError as error:
            raise InvalidArgumentError(
                f"Expect the `environment.id` to be an id, or module:id, actually: {self.id!r} ({error})."
            ) from error
        if unknown:
            raise InvalidArgumentError(
                f"Expect an environment with the option {', '.join(unknown)}, actually: {self.id!r}, which has none."
            )

    def _sees(self, name: str) -> bool:
        """Whether the environment is told of its images: one of texts is not, unless something else is said of them."""
        return self._takes(name) or getattr(self, name) not in ((), getattr(EnvironmentConfig, name))

    def _takes(self, keyword: str) -> bool:
        """Whether the environment has the keyword, as far as can be seen without making it."""
        creator: Any = find_spec(self.qualified_id).entry_point
        if isinstance(creator, str):
            creator = load_env_creator(creator)
        parameters = inspect.signature(creator).parameters
        return keyword in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())

    def policy_config(self) -> dict[str, Any]:
        """What the environment determines of a fresh policy's configuration; one is made to see its spaces.

        Actions between -1 and 1 have no bounds of their own, and a state of another length than the single arm's is
        taken as it is: joint angles and grippers are of order one. Of questions it is the length of the responses and
        what tells their tokens apart.
        """
        with closing(self.wrap(self.make("train"))) as env:
            task = env.unwrapped
        if isinstance(task, TextEnv):
            return {"chunk_size": self.chunk_size, "vocabulary": task.tokens.fingerprint}
        actions, state = task.action_space, task.observation_space[STATE]  # type: ignore[index]
        has_bounds = not (np.all(actions.low == -1.0) and np.all(actions.high == 1.0))  # type: ignore[attr-defined]
        (state_dim,) = state.shape
        return {
            "chunk_size": self.chunk_size,
            "token_length": self.token_length,
            "history": self.history or 0,
            "image_keys": self.image_keys,
            "action_dim": len(actions.low),  # type: ignore[attr-defined]
            "action_low": tuple(actions.low.tolist()) if has_bounds else None,  # type: ignore[attr-defined]
            "action_high": tuple(actions.high.tolist()) if has_bounds else None,  # type: ignore[attr-defined]
            **({} if state_dim == STATE_DIM else {"state_scale": (1.0,) * state_dim}),
        }


def parse_wrapper(call: str) -> tuple[type[gym.Wrapper], dict[str, Any]]:
    """The class and the keywords of a wrapper that is written as a call.

    The keywords are literals, and nothing is called.

    Raises:
        InvalidArgumentError: the text is not such a call, or there is no such wrapper with these keywords.

    >>> wrapper, kwargs = parse_wrapper("NoisySuccess(p=0.25)")
    >>> wrapper.__name__, kwargs
    ('NoisySuccess', {'p': 0.25})
    """
    location, parenthesis, arguments = call.partition("(")
    module, _, name = location.strip().rpartition(":")
    if not module:
        check_choice("environment.wrappers", name, wrappers.__all__)
    try:
        kwargs = _literal_keywords(f"{name}{parenthesis}{arguments}")
        wrapper = getattr(import_module(module) if module else wrappers, name)
        if not (isinstance(wrapper, type) and issubclass(wrapper, gym.Wrapper)):
            raise TypeError(f"{wrapper} is no gymnasium.Wrapper")
        inspect.signature(wrapper).bind(None, **kwargs)
    except (SyntaxError, ValueError, TypeError, ImportError, AttributeError, RecursionError, MemoryError) as error:
        raise InvalidArgumentError(
            "Expect each of the `environment.wrappers` to be a call such as NoisySuccess(p=0.25), with literals as "
            f"keywords, actually: {call!r} ({error})."
        ) from error
    return wrapper, kwargs


def _literal_keywords(call: str) -> dict[str, Any]:
    """The keywords of a call, or none of a mere name."""
    node = ast.parse(call, mode="eval").body
    if isinstance(node, ast.Name):
        return {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ValueError("it is no call with keywords")
    kwargs = {each.arg: ast.literal_eval(each.value) for each in node.keywords if each.arg}
    if len(kwargs) < len(node.keywords):
        raise ValueError("a keyword is missing or there twice")
    return kwargs


def absolute(path: str) -> str:
    """The path from the root: Tune gives its workers other working directories."""
    return str(expanded(path).resolve())


def _is_path(value: Any) -> bool:
    """Whether a keyword is a path beyond doubt; names may have slashes too."""
    return isinstance(value, str) and value.startswith(("./", "../", "/", "~"))
