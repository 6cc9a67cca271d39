"""What the environments share: prompts, the step limit, action chunks and the info dictionary."""

from __future__ import annotations

import copy
import difflib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from vla_envs import spec
from vla_envs.arguments import (
    check_choice,
    check_integer,
    check_mapping,
    check_numbers,
    check_seed,
    check_sequence,
    shown,
)
from vla_envs.camera import CameraOffset, check_camera_offset
from vla_envs.errors import (
    InvalidActionError,
    InvalidArgumentError,
    UnknownInitStateError,
    UnknownTaskError,
    UnsupportedError,
    warn_once,
)
from vla_envs.expert import Expert
from vla_envs.saved_state import Arrays, SavedState, generator_of
from vla_envs.spec import Prompt

RESET_OPTIONS = (
    *("task_id", "init_state_id", "init_state", "camera_offset", "gripper_offset"),
    *("perturbation_seed", "reset_mask"),
)
"""What the options of any environment of the package, of its wrappers or of its groups may name."""

Observation = dict[str, Any]
Info = dict[str, Any]

DISPLACEMENT_STEPS = 30
"""Control steps in which a gripper is displaced. LIBERO's arm swings around the goal: after 20 steps it is still
three times as fast as at the start of an episode, after 30 six times slower and within 1.2 mm."""


_CANNOT_SAVE = (
    "The episodes of suite {!r} are neither saved nor restored, because its simulator gives no complete state away; "
    "those of VLA-Tabletop-v0 and VLA-Libero-v0 are. Reset to the same `task_id` and `init_state_id` and execute the "
    "same actions again."
)


_NO_EXPERT = (
    "Suite {!r} has no scripted expert that answers in any state; VLA-Tabletop-v0 and VLA-Libero-v0 have one. "
    "VLA-RoboTwin-v0 plans whole episodes from their start: env.unwrapped.demonstrate()."
)


class VLAEnv(gym.Env[Observation, NDArray[np.float32]], gym.utils.EzPickle):
    """A suite of language-instructed manipulation tasks as one Gymnasium environment.

    A subclass names its tasks and simulates them: it sets ``action_space`` and
    ``observation_space`` and implements the hooks at the end of this class. The episode ends
    with ``terminated`` on the control step that succeeds and with ``truncated`` at the step limit.

    ``copy.deepcopy`` and pickling give a new environment of the same arguments and step limit, which has to be reset,
    as for Gymnasium's MuJoCo environments. A running episode is saved by :meth:`save_state`.

    Args:
        suite: name of the suite, reported in the info.
        tasks: the instruction of each task of the suite; its index is the ``task_id``.
        task_id: the task, several tasks, or None for every task of the suite. ``reset`` draws
            from these when its options name none.
        split: ``"train"``, ``"eval"`` or ``"all"``: the initial states that ``reset`` draws from. None is ``"all"``,
            with a warning at the first draw, because evaluation starts from these as well.
        max_episode_steps: step limit in executed control steps; None takes the task's own.
        render_mode: None or ``"rgb_array"``.

    Raises:
        UnknownTaskError: a task index outside the suite.
        InvalidArgumentError: an unknown split or render mode, or a step limit that is no integer of at least 1.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (Gymnasium's own shape)

    reset_options: tuple[str, ...] = ("task_id", "init_state_id")
    """What the options of ``reset`` may name. A simulator that can move its main camera adds ``"camera_offset"``,
    one whose actions are displacements of a gripper ``"gripper_offset"``."""

    final_state_dim: int = 0
    """Length of the final states of all tasks of the suite, to which shorter ones are padded with 0; every info has one
    then. 0 leaves them as they are, in the last info alone."""

    def __new__(cls, *args: Any, **kwargs: Any) -> VLAEnv:
        """Remember the arguments, from which copies are made."""
        env = super().__new__(cls)
        gym.utils.EzPickle.__init__(env, *args, **kwargs)
        return env

    def __getstate__(self) -> dict[str, Any]:
        """The arguments, and what ``gymnasium.make`` sets on an environment that it has made."""
        return {**super().__getstate__(), "spec": self.spec, "max_episode_steps": self.max_episode_steps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.spec, self.max_episode_steps = state["spec"], state["max_episode_steps"]

    def __init__(
        self,
        *,
        suite: str,
        tasks: Sequence[str],
        task_id: int | Sequence[int] | None,
        split: str | None,
        max_episode_steps: int | None,
        render_mode: str | None,
    ) -> None:
        self._split_is_open = split is None
        split = "all" if split is None else split
        check_choice("split", split, spec.SPLITS)
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        # Gymnasium's vector environments write into it, which would reach every environment of the class.
        self.metadata = dict(self.metadata)
        self.suite = suite
        self.tasks = tuple(tasks)
        self.task_ids = self._check_task_ids(task_id)
        self.split = split
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self._prompt: Prompt | None = None
        self.episode_options: dict[str, Any] = {}
        """What ``reset`` received as options for the running episode, from wrappers too; offsets are checked copies."""
        self._camera_offset = CameraOffset()
        self._elapsed_steps = 0
        self._ended = True
        self._observing = True
        self._observation: Observation = {}

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observation, Info]:
        """Start an episode at the prompt that ``options`` name, drawing what they leave open.

        Args:
            seed: seeds the generator that draws prompts.
            options: ``{"task_id": int, "init_state_id": int}``, both optional. The same prompt
                gives the same first observation bit for bit. Two more change the episode, where
                :attr:`reset_options` names them: ``"camera_offset"``, the four numbers of a
                :class:`~vla_envs.camera.CameraOffset` of the main camera, and ``"gripper_offset"``, (3,) m by
                which the gripper moves before the first observation, in control steps that are not counted. A
                simulator that can start anywhere adds ``"init_state"``, a state of its own in place of a recorded one
                (:class:`~vla_envs.libero.LiberoEnv`); the info's ``init_state_id`` is then -1, its ``split`` "train".

        Raises:
            UnknownTaskError, UnknownInitStateError: an index outside the suite or the task.
            InvalidArgumentError: a seed that is no integer of at least 0, options that are no dictionary, an option
                whose name is nearly one of these, one of them that this environment lacks, an offset of another form or
                an instruction that is not in its space. Options of any other name belong to other code: they are left
                alone, with a warning.
        """
        chosen = self._check_options(check_mapping("options", options))
        super().reset(seed=check_seed(seed))
        self._prompt = self._choose_prompt(chosen)
        self.episode_options = chosen
        self._camera_offset = chosen.get("camera_offset", CameraOffset())
        gripper_offset = chosen.get("gripper_offset", np.zeros(3))
        self._elapsed_steps = 0
        self._ended = True  # where no scene can be set up, there is no episode to go on with
        self._begin(self._prompt)
        self._check_instruction()
        self._ended = False
        if gripper_offset.any():
            self._displace_gripper(gripper_offset)
        return self._look(), self._full_info(success=False, executed=0)

    def step(self, action: ArrayLike) -> tuple[Observation, float, bool, bool, Info]:
        """Execute one control step. ``action``: (A,), values beyond the space's bounds are clipped.

        Raises:
            InvalidActionError: wrong shape, NaN or infinity, or something else than numbers.
            ResetNeeded: the episode has ended, or none was started.
        """
        return self.step_chunk(check_numbers("action", action, InvalidActionError)[None])

    def step_chunk(self, actions: ArrayLike) -> tuple[Observation, float, bool, bool, Info]:
        """Execute ``actions`` (K, A) open loop, stopping where the episode ends.

        The reward is the sum over the executed steps, the one observation is taken after the
        last of them, and ``info["executed_actions"]`` says how many ran.
        """
        chunk = self._check_actions(actions)
        if self._ended:
            raise ResetNeeded("The episode has ended: call `reset()` before the next `step()`.")
        executed, success = self._execute(chunk[: self.max_steps - self._elapsed_steps])
        self._elapsed_steps += executed
        terminated = success or self._has_failed()
        truncated = self._elapsed_steps >= self.max_steps
        self._ended = terminated or truncated
        return self._look(), float(success), terminated, truncated, self._full_info(success, executed)

    @contextmanager
    def unobserved(self) -> Iterator[None]:
        """Steps in this context draw nothing and return the last observation again.

        It is for wrappers that need every step and only one observation, which they get from :meth:`observe`.
        """
        self._observing = False
        try:
            yield
        finally:
            self._observing = True

    def observe(self) -> Observation:
        """The observation of the present state."""
        return self._observe()

    def save_state(self) -> SavedState:
        """The running episode as plain data that can be pickled; :meth:`restore_state` goes on from it bit for bit.

        It has everything that the next observations, rewards and infos follow from, also what MuJoCo's own state lacks
        (the controller's goal, the observed moment, the step count), and the generator that draws prompts. It has
        neither the environment's arguments, such as cameras and the step limit, nor what wrappers remember.

        Raises:
            ResetNeeded: no episode was started.
            UnsupportedError: the environment's simulator gives no state away.
        """
        prompt = self.prompt
        return SavedState(
            suite=self.suite,
            versions=dict(self.metadata.get("versions", {})),
            prompt=(prompt.task_id, prompt.init_state_id),
            elapsed_steps=self._elapsed_steps,
            ended=self._ended,
            options=copy.deepcopy(self.episode_options),
            generator=copy.deepcopy(dict(self.np_random.bit_generator.state)),
            simulation=self._save_simulation(),
        )

    def restore_state(self, state: SavedState) -> None:
        """Go on with a saved episode, whatever this environment ran before; :meth:`observe` gives its observation.

        The state may come from another environment of the same suite, in another process, that ran another task. An
        environment of ``gymnasium.make`` must have been reset once, or its outermost wrapper refuses to step.
        Wrappers keep what they remember of the episode before: reset them first where they stack or record.

        Raises:
            InvalidArgumentError: something else than a state of this suite and these versions, a damaged one, or one
                beyond this environment's step limit. The running episode then goes on as if nothing was asked.
            UnsupportedError: the environment's simulator takes no state.
        """
        self._check_saved(state)
        prompt, options = Prompt(*state.prompt), self._check_options(copy.deepcopy(state.options))
        generator = generator_of(state.generator)
        camera_offset = options.get("camera_offset", CameraOffset())
        self._restore_simulation(prompt, state.simulation, camera_offset)
        self._prompt, self.episode_options, self._camera_offset = prompt, options, camera_offset
        self._elapsed_steps, self._ended = int(state.elapsed_steps), bool(state.ended)
        self.np_random = generator
        self._observation = {}

    def expert(self, speed: float = 1.0) -> Expert:
        """The scripted expert of the running episode: its ``action()`` and ``plan(length)`` answer in any state.

        Args:
            speed: how far it moves along an axis in one action, as a share of the farthest, in (0, 1].

        Raises:
            InvalidArgumentError: a speed outside (0, 1].
            UnsupportedError: the environment has no expert that answers in any state.
        """
        raise UnsupportedError(_NO_EXPERT.format(self.suite))

    @property
    def max_episode_steps(self) -> int | None:
        """The step limit that was asked for, in executed control steps; None where each task has its own.

        Raises:
            InvalidArgumentError: on setting something else than None or an integer from 1 to 2147483647.
        """
        return self._step_limit

    @max_episode_steps.setter
    def max_episode_steps(self, limit: int | None) -> None:
        self._step_limit = None if limit is None else check_integer("max_episode_steps", limit, 1, spec.MAX_STEPS)

    @property
    def _max_episode_steps(self) -> int:
        """The longest that an episode of these tasks lasts, as LeRobot asks Gymnasium's TimeLimit."""
        return self.max_episode_steps or max(map(self._horizon, self.task_ids))

    @property
    def task_description(self) -> str:
        """The instruction of the running episode, as LeRobot asks its environments."""
        return self._instruction()

    @property
    def prompt(self) -> Prompt:
        """The prompt of the running episode."""
        if self._prompt is None:
            raise ResetNeeded("No episode was started: call `reset()` first.")
        return self._prompt

    @property
    def max_steps(self) -> int:
        """Step limit of the running episode in executed control steps."""
        return self.max_episode_steps or self._horizon(self.prompt.task_id)

    def prompts(self) -> tuple[Prompt, ...]:
        """Every prompt that ``reset`` may draw: the tasks' initial states in this split, in order."""
        return tuple(
            Prompt(task_id, init_state_id)
            for task_id in self.task_ids
            for init_state_id in self.init_states(task_id, self.split)
        )

    def warn_of_open_split(self) -> None:
        """Warn, once, where no ``split`` was named: before initial states are drawn."""
        if self._split_is_open:
            warn_once(
                "Without a `split` the initial states of evaluation are drawn as well: make the environment with "
                "split='train' to train, with split='eval' to evaluate, or with split='all' for both."
            )

    def init_states(self, task_id: int, split: str) -> Sequence[int]:
        """The task's initial states of a split; ``train`` and ``eval`` never overlap, ``all`` is their union."""
        task_id = self._check_task_id(task_id)
        check_choice("split", split, spec.SPLITS)
        every, held_out = range(self.num_init_states(task_id)), self.eval_states(task_id)
        if split == "train":
            return [*every[: held_out.start], *every[held_out.stop :]]
        return held_out if split == "eval" else every

    def eval_states(self, task_id: int) -> range:
        """The task's initial states that evaluate: the second half, unless a suite knows better."""
        return range(self.num_init_states(task_id) // 2, self.num_init_states(task_id))

    def _check_task_ids(self, task_id: int | Sequence[int] | None) -> tuple[int, ...]:
        if task_id is None:
            return tuple(range(len(self.tasks)))
        task_ids = [task_id] if np.isscalar(task_id) else check_sequence("task_id", task_id, UnknownTaskError)
        if not task_ids:
            raise UnknownTaskError("Expect the `task_id` to name at least one task, actually: an empty sequence.")
        return tuple(self._check_task_id(each) for each in task_ids)

    def _check_task_id(self, task_id: Any) -> int:
        return check_integer("task_id", task_id, 0, len(self.tasks) - 1, UnknownTaskError, of=f"suite {self.suite!r}")

    def _check_saved(self, state: Any) -> None:
        if not isinstance(state, SavedState):
            raise InvalidArgumentError(f"Expect what `save_state()` returned, actually: {type(state).__name__}.")
        here = {"suite": self.suite, "versions": self.metadata.get("versions", {})}
        for name, valid in here.items():
            if type(saved := getattr(state, name)) is not type(valid) or saved != valid:
                raise InvalidArgumentError(f"Expect a saved state of the {name} {valid!r}, actually of {shown(saved)}.")
        if not isinstance(state.prompt, tuple) or len(state.prompt) != 2:
            raise InvalidArgumentError(
                f"Expect the saved `prompt` to be two integers, actually: {shown(state.prompt)}."
            )
        if not isinstance(state.ended, (bool, np.bool_)) or not isinstance(state.options, dict):
            raise InvalidArgumentError(
                "Expect the saved `ended` to be a bool and `options` a dict, "
                f"actually: {shown(state.ended)}, {shown(state.options)}."
            )
        task_id = self._check_task_id(state.prompt[0])
        if "init_state" in state.options:
            check_integer("init_state_id", state.prompt[1], spec.NO_INIT_STATE, spec.NO_INIT_STATE)
        else:
            self._check_init_state_id(task_id, state.prompt[1])
        limit = self.max_episode_steps or self._horizon(task_id)
        check_integer("elapsed_steps", state.elapsed_steps, 0, limit if state.ended else limit - 1)
        unknown = sorted(str(name) for name in state.options if name not in self.reset_options)
        if unknown:  # a reset leaves those of other code alone, and out of what is saved
            raise InvalidArgumentError(
                f"Expect the saved `options` to be of {self.reset_options}, actually also: {unknown}."
            )

    def _check_options(self, options: dict[str, Any]) -> dict[str, Any]:
        *others, last = map(repr, self.reset_options)
        valid = f"Expect the reset `options` to be {', '.join(others)} and {last}, actually also:"
        unknown = sorted((name for name in options if name not in self.reset_options), key=str)
        if mistaken := [name for name in unknown if _is_near_miss(name)]:
            raise InvalidArgumentError(f"{valid} {mistaken}.")
        for name in unknown:
            warn_once(f"{valid} {name!r}, which is left alone.")
        checks = {
            "camera_offset": check_camera_offset,
            "gripper_offset": _check_gripper_offset,
            "init_state": lambda value: check_numbers("init_state", value),
        }
        known = {name: value for name, value in options.items() if name not in unknown}
        return {name: checks[name](value) if name in checks else value for name, value in known.items()}

    def _choose_prompt(self, options: Mapping[str, Any]) -> Prompt:
        task_id, init_state_id = options.get("task_id"), options.get("init_state_id")
        task_id = int(self.np_random.choice(self.task_ids)) if task_id is None else self._check_task_id(task_id)
        if "init_state" in options:
            if init_state_id is not None:
                raise InvalidArgumentError(
                    "Expect the reset `options` to name one start, `init_state_id` or `init_state`, actually: both."
                )
            return Prompt(task_id, spec.NO_INIT_STATE)
        if init_state_id is None:
            self.warn_of_open_split()
            init_state_id = self.np_random.choice(self.init_states(task_id, self.split))
        return Prompt(task_id, self._check_init_state_id(task_id, init_state_id))

    def _check_init_state_id(self, task_id: int, init_state_id: Any) -> int:
        last = self.num_init_states(task_id) - 1
        return check_integer("init_state_id", init_state_id, 0, last, UnknownInitStateError, of=f"task {task_id}")

    def _check_instruction(self) -> None:
        """Raise where the instruction is not in its space: memory that processes share could not hold it."""
        text, space = self._instruction(), self.observation_space[spec.INSTRUCTION]  # type: ignore[index]
        if not space.contains(text):
            raise InvalidArgumentError(
                f"Expect the instruction of task {self.prompt.task_id} of suite {self.suite!r} to have "
                f"{space.min_length} to {space.max_length} characters of {space.characters!r}, actually: {shown(text)}."
            )

    def _displace_gripper(self, offset: NDArray[np.float64]) -> None:
        target = self._gripper_position() + offset
        action = np.zeros(spec.ACTION_DIM)
        action[-1] = spec.GRIPPER_OPEN
        for _ in range(DISPLACEMENT_STEPS):
            action[:3] = ((target - self._gripper_position()) / spec.METERS_PER_UNIT).clip(-1.0, 1.0)
            self._apply(action)

    def _check_actions(self, actions: ArrayLike) -> NDArray[np.float64]:
        chunk = check_numbers("action", actions, InvalidActionError)
        (dim,) = self.action_space.shape  # type: ignore[misc]
        if chunk.ndim != 2 or chunk.shape[1] != dim or len(chunk) == 0:
            raise InvalidActionError(
                f"Expect the action to have shape ({dim},), or a chunk (K, {dim}) with K >= 1, "
                f"actually: {chunk.shape[1:] if chunk.shape[:1] == (1,) else chunk.shape}."
            )
        space: gym.spaces.Box = self.action_space  # type: ignore[assignment]
        return np.clip(chunk, space.low, space.high)

    def _execute(self, chunk: NDArray[np.float64]) -> tuple[int, bool]:
        """Execute a chunk (K, A) within the bounds: how many actions ran, and whether the last solved the task."""
        for executed, action in enumerate(chunk, start=1):
            success = self._apply(action)
            if success or self._has_failed():
                return executed, success
        return len(chunk), False

    def _has_failed(self) -> bool:
        """Whether the task is over without success, whatever steps are left."""
        return False

    def _info(self, success: bool) -> Info:
        task_id, init_state_id = self.prompt
        info: Info = {
            "success": success,
            "is_success": success,
            "task_reward": float(success),
            "elapsed_steps": self._elapsed_steps,
            "max_steps": self.max_steps,
            "suite": self.suite,
            "task_id": task_id,
            "task": self._instruction(),
            "init_state_id": init_state_id,
            "split": "eval" if init_state_id in self.eval_states(task_id) else "train",
        }
        return info

    def _full_info(self, success: bool, executed: int) -> Info:
        """The info of a reset or a step; with a :attr:`final_state_dim` its keys and shapes are always the same."""
        info = {**self._info(success), "executed_actions": executed}
        if self._ended or self.final_state_dim:
            state = self._final_state()
            info[spec.FINAL_STATE] = np.zeros(max(len(state), self.final_state_dim), state.dtype)
            info[spec.FINAL_STATE][: len(state)] = state
        return spec.to_numpy(info)

    def _look(self) -> Observation:
        """What a step returns: the observation of the present state, or the last one again where none is made."""
        if self._observing or not self._observation:
            self._observation = self._observe()
        return self._observation

    def _instruction(self) -> str:
        """The instruction of the running episode."""
        return self.tasks[self.prompt.task_id]

    def _gripper_position(self) -> NDArray[np.floating]:
        """Position (3,) of the gripper in m, where ``reset_options`` names ``"gripper_offset"``."""
        raise NotImplementedError

    def _save_simulation(self) -> Arrays:
        """What the simulator goes on from, as new arrays."""
        raise UnsupportedError(_CANNOT_SAVE.format(self.suite))

    def _restore_simulation(self, prompt: Prompt, simulation: Arrays, camera_offset: CameraOffset) -> None:
        """Put the simulator there; where the arrays are damaged, raise and change nothing."""
        raise UnsupportedError(_CANNOT_SAVE.format(self.suite))

    @abstractmethod
    def num_init_states(self, task_id: int) -> int:
        """How many initial states the task has."""

    @abstractmethod
    def _horizon(self, task_id: int) -> int:
        """The task's own step limit."""

    @abstractmethod
    def _begin(self, prompt: Prompt) -> None:
        """Put the simulator at the prompt."""

    @abstractmethod
    def _apply(self, action: NDArray[np.float64]) -> bool:
        """Execute one control step of an action (A,) within the bounds; True when it solves the task."""

    @abstractmethod
    def _observe(self) -> Observation:
        """The observation of the present state; every array is new."""

    @abstractmethod
    def _final_state(self) -> NDArray[np.float32]:
        """The task-relevant part of the present state, for comparing how trajectories ended."""


def _is_near_miss(name: Any) -> bool:
    """Whether a reset option is probably one of ours, misspelt, and not one of other code."""
    return bool(difflib.get_close_matches(str(name).lower(), RESET_OPTIONS, n=1, cutoff=0.7))


def _check_gripper_offset(value: Any) -> NDArray[np.float64]:
    offset = check_numbers("gripper_offset", value)
    if offset.shape != (3,):
        raise InvalidArgumentError(
            f"Expect the `gripper_offset` to be three finite numbers (m), actually: {shown(value)}."
        )
    return offset
