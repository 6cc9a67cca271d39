"""RoboTwin 2.0 as the environment ``VLA-RoboTwin-v0``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from vla_envs import spec
from vla_envs.arguments import check_choice, check_flag, check_names, check_number
from vla_envs.base import Info, Observation, VLAEnv
from vla_envs.errors import UnknownCameraError, UnknownTaskError, WorkerError
from vla_envs.resampling import lanczos_resize
from vla_envs.robotwin.checkout import Checkout, choose_drawing, find_checkout
from vla_envs.robotwin.configuration import HEAD_CAMERA, Configuration, check_cameras, read_configuration
from vla_envs.robotwin.embodiment import Embodiment
from vla_envs.robotwin.process import RoboTwinProcess, SimulationError, UnstableSceneError
from vla_envs.robotwin.seeds import Seeds, read_seeds, seeds_folder
from vla_envs.robotwin.tasks import TASKS, step_limits, task_ids
from vla_envs.spec import Prompt

CAMERAS = {"head": HEAD_CAMERA, "left_wrist": "left_camera", "right_wrist": "right_camera"}
"""Camera -> RoboTwin's name of it."""
CHUNKS = ("sequential", "spline")
INSTRUCTIONS = ("unseen", "seen")

MAX_FAULTS = 3
"""Episodes in a row that a fault may end before it is taken for one of RoboTwin."""
MAX_REPLACEMENTS = 2
"""How often in a row a process is replaced at a reset before the fault is taken for one of RoboTwin."""
MAX_UNSTABLE = 10
"""Scenes tried for one initial state."""
UNSTABLE_STRIDE = 10_000
"""From the seed of a scene that cannot be set up to the one tried in its place: far from other initial states."""

_log = logging.getLogger(__name__)


class Demonstration(NamedTuple):
    """What RoboTwin's scripted expert did, as actions."""

    prompt: Prompt
    seed: int
    """Of the scene."""
    success: bool
    actions: NDArray[np.float32]
    """(T, A) drive targets, of every 15th physics step (0.06 s) as RoboTwin records its data, without repetitions: the
    first are those of the start. Chunks of them go to ``step_chunk``."""


class RoboTwinEnv(VLAEnv):
    """The tasks of RoboTwin 2.0: two arms at a table, told in a sentence what to do.

    RoboTwin's own unmodified code runs in a process of its own, started by the first reset; scenes, physics, success
    and images are its own. A process that dies or hangs is replaced: its episode ends ``truncated`` with
    ``info["valid"]`` False, which counts neither as success nor as failure.

    **Observation.** ``image`` (head camera), ``wrist_image`` (left) and ``wrist_image_2`` (right), as ``cameras`` say:
    uint8 (240, 320, 3) as configured, or squares of ``image_size``. ``state``: float32 (2 A,), the A drive targets that
    RoboTwin's policies were trained with and then the A measured positions. ``instruction``: str.

    **Action.** (A,), A = 14 with arms of six joints: targets of the left arm's joints (rad), the left gripper
    (0 closed, 1 open), and the same of the right arm. The arms move there and come to rest within the action. Bounds
    are the robot's joint limits, at most pi.

    **Initial states** are seeds of RoboTwin's scenes. A scene that cannot be set up, or does not come to rest, is
    replaced by that of another seed, always the same; ``info["seed"]`` is the one that was used.

    The info says besides the contract's keys ``task_name``, ``seed``, ``seeds`` (where they come from), ``chunk``,
    ``shader``, ``shadows``, ``valid`` and, after a fault, ``fault``.

    Args:
        task: Names a task of :data:`vla_envs.robotwin.tasks.TASKS`, or several.
        root: Names the folder of the checkout; None takes ``$ROBOTWIN_PATH``.
        embodiment: Names one robot with two arms, such as ``"aloha-agilex"``, or two robots and their distance (m),
            such as ``("piper", "piper", 0.6)``; None takes the task configuration's.
        cameras: Selects the images that an observation has: any of ``"head"``, ``"left_wrist"`` and
            ``"right_wrist"``. A plain name is one camera.
        shader: Decides how images are drawn: ``"rt"`` traces rays as RoboTwin does, with which its policies were
            trained; ``"default"`` and ``"minimal"`` rasterize; ``"auto"`` is ``"rt"`` on a GPU and ``"default"``
            without one, where tracing takes a minute an image.
        task_config: Names a file of RoboTwin's task configurations, such as ``"demo_clean"`` or
            ``"demo_randomized"``.
        chunk: Decides how ``step_chunk`` moves: ``"sequential"`` executes one action after another, each coming to
            rest, as RoboTwin evaluates; ``"spline"`` moves through all of them at once, as SimpleVLA-RL and RLinf
            train.
        instructions: Selects the templates of the instructions: ``"unseen"``, or ``"seen"``, those of RoboTwin's
            data.
        seeds: Names a JSON file in RLinf's format or a folder of two (:func:`vla_envs.robotwin.seeds.read_seeds`);
            None takes the seeds that ``vla seeds`` has found, and else seeds that nobody has checked.
        step_limit: Decides whose limits apply: ``"upstream"`` or the shorter ones of ``"simplevla_rl"``.
        shadows: Says whether lights cast shadows; None casts them on a GPU, for on a CPU they take ten times as long.
        image_size: Sets the height and width of the images, in pixels; None keeps the camera's own.
        task_id: Selects the task by its place in ``TASKS``, or several; None takes ``task``.
        split: Restricts the initial states that are drawn: ``"train"``, ``"eval"`` or ``"all"``; None is ``"all"``
            with a warning.
        max_episode_steps: Limits an episode, in actions; None takes the limit that ``step_limit`` selects.
        render_mode: Is None or ``"rgb_array"``, with which ``render`` gives the head camera's picture.
        timeout: Limits the seconds in which RoboTwin's process must answer; until its first episode has begun, for
            which shaders are compiled, three times as many. The ``worker_timeout`` of a group counts all environments
            of a worker together.

    Raises:
        UnknownTaskError, UnknownCameraError, InvalidArgumentError: a bad argument.
        MissingAssetsError, DamagedAssetsError: no checkout, or one that lacks files; all are named.
        DependencyNotInstalled: the interpreter of RoboTwin's processes lacks a package.
        RendererUnavailableError: no Vulkan device.
    """

    def __init__(
        self,
        task: str | Sequence[str] = "stack_blocks_two",
        root: str | Path | None = None,
        embodiment: Embodiment | None = None,
        cameras: str | Sequence[str] = ("head",),
        shader: str = "auto",
        task_config: str = "demo_clean",
        chunk: str = "sequential",
        instructions: str = "unseen",
        seeds: str | Path | None = None,
        step_limit: str = "upstream",
        shadows: bool | None = None,
        image_size: int | None = None,
        task_id: int | Sequence[int] | None = None,
        split: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        cameras = check_names("cameras", cameras, CAMERAS, UnknownCameraError)
        _check_arguments(cameras, chunk, instructions, timeout)
        self._image_size = None if image_size is None else spec.check_image_size(image_size)
        super().__init__(
            suite="robotwin",
            tasks=tuple(TASKS),
            task_id=task_ids(task) if task_id is None else task_id,
            split=split,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )
        # Tasks have from one object of seven numbers to a dozen; with one task none has to fit beside another.
        self.final_state_dim = 128 if len(self.task_ids) > 1 else 1
        names = [self.tasks[each] for each in self.task_ids]
        checkout = find_checkout(root)
        configuration = read_configuration(checkout, task_config, embodiment, names)
        self._cameras = {spec.CAMERA_KEYS[camera]: CAMERAS[camera] for camera in cameras}
        rendered = {HEAD_CAMERA} if render_mode else set()
        self._drawn = sorted({*self._cameras.values(), *rendered})
        check_cameras(configuration, self._drawn)
        self.chunk, self.instructions = chunk, instructions
        shadows = None if shadows is None else check_flag("shadows", shadows)
        self.drawing = choose_drawing(checkout.check_usable().software, shader, shadows)
        self._limits = step_limits(step_limit, names, configuration.step_limits)
        self._seeds = read_seeds(seeds, names, seeds_folder(configuration.embodiment, task_config))
        self.metadata |= self._provenance(checkout, configuration)
        self.action_space = spaces.Box(configuration.low, configuration.high, dtype=np.float32)
        self.observation_space = self._observation_space(configuration)
        settings = {
            "root": str(checkout.root),
            "arguments": configuration.arguments,
            "cameras": self._drawn,
            **self.drawing._asdict(),
            "chunk": chunk,
        }
        self._process = RoboTwinProcess(settings, configuration.images, timeout)
        self._faults = 0
        """Episodes in a row that ended with a fault."""
        self._seed = 0
        self._text = ""
        self._answer: dict[str, Any] = {}
        """What the process last said of the scene."""
        self._pictures: dict[str, NDArray[np.uint8]] = {}

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observation, Info]:
        """As :meth:`VLAEnv.reset`.

        Raises:
            WorkerError: processes died one after another.
            UnstableSceneError: no scene of the initial state could be set up.
        """
        return super().reset(seed=seed, options=options)

    def step_chunk(self, actions: ArrayLike) -> tuple[Observation, float, bool, bool, Info]:
        """As :meth:`VLAEnv.step_chunk`, in the manner of ``chunk``. A spline's actions run together: of one that solves
        the task on its way, ``info["executed_actions"]`` counts those that were begun.

        Raises:
            WorkerError, SimulationError: four episodes in a row ended with a fault.
        """
        try:
            result = super().step_chunk(actions)
        except (WorkerError, SimulationError) as fault:
            return self._end_invalid(fault)
        if self._ended:
            self._faults = 0
        return result

    def demonstrate(self) -> Demonstration:
        """Let RoboTwin's scripted expert solve the running episode from here, which ends it.

        Where curobo is not installed, a planner of ours on the CPU plans its motions
        (:mod:`vla_envs.robotwin.worker.planner`), which finds fewer solutions.

        Raises:
            ResetNeeded: the episode has ended, or none was started.
            WorkerError, SimulationError: the process died, or RoboTwin raised an exception.
        """
        if self._ended:
            raise ResetNeeded("The episode has ended: call `reset()` before `demonstrate()`.")
        prompt, self._ended = self.prompt, True
        answer = self._process.ask("demonstrate")
        return Demonstration(prompt, self._seed, answer["success"], np.array(answer["targets"], np.float32))

    def why_unsolved(self, task_id: int, seed: int) -> str | None:
        """Why RoboTwin's scripted expert does not solve a task's scene of this seed, None where it does.

        The running episode ends.

        Args:
            task_id: the task's place in ``TASKS``.
            seed: of the scene, whatever the initial states are.

        Raises:
            WorkerError: processes died one after another before the expert began.
        """
        self._prompt, self._ended, self._seed = None, True, seed
        try:
            self._reset(self.tasks[task_id])
        except (UnstableSceneError, SimulationError) as error:
            return str(error)
        try:
            return None if self._process.ask("demonstrate")["success"] else "the expert does not solve it"
        except (SimulationError, WorkerError) as error:
            return str(error)

    def num_init_states(self, task_id: int) -> int:
        """How many seeds are known of the task."""
        return len(self._seeds_of(task_id).all)

    def eval_states(self, task_id: int) -> range:
        """Those that follow the list's seeds of training."""
        seeds = self._seeds_of(task_id)
        return range(len(seeds.train), len(seeds.all))

    def _seeds_of(self, task_id: int) -> Seeds:
        if task_id not in self.task_ids:  # their files were not read, nor their limits
            raise UnknownTaskError(
                f"Expect the `task_id` to be one that the environment was made for, {self.task_ids}, actually: "
                f"{task_id}."
            )
        return self._seeds[self.tasks[task_id]]

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The head camera's picture of the last observation: uint8 (240, 320, 3) as configured; None without a
        render mode.

        Raises:
            ResetNeeded: no episode was started.
        """
        assert self.prompt  # raises before the first reset
        return self._pictures[HEAD_CAMERA].copy() if self.render_mode else None

    def close(self) -> None:
        """End the episode and RoboTwin's process."""
        self._prompt, self._ended = None, True
        self._process.close()

    def _provenance(self, checkout: Checkout, configuration: Configuration) -> dict[str, Any]:
        """What results rest on."""
        return {
            "versions": checkout.versions,
            "checkout": checkout.commit,
            "stand_ins": checkout.stand_ins,
            "device": checkout.check_usable().name,
            **self.drawing._asdict(),
            "chunk": self.chunk,
            "task_config": configuration.arguments["task_config"],
            "embodiment": configuration.embodiment,
            "seeds": sorted({each.source for each in self._seeds.values()}),
        }

    def _observation_space(self, configuration: Configuration) -> spaces.Dict:
        size, shapes = self._image_size, {key: configuration.images[name] for key, name in self._cameras.items()}
        images = {key: spec.image_space(size or height, size or width) for key, (height, width, _) in shapes.items()}
        return spec.observation_space_of(images, state_dim=2 * len(configuration.low))

    def _horizon(self, task_id: int) -> int:
        return self._limits[self.tasks[task_id]]

    def _begin(self, prompt: Prompt) -> None:
        name = self.tasks[prompt.task_id]
        seed = self._seeds[name].all[prompt.init_state_id]
        for attempt in range(MAX_UNSTABLE):
            self._seed = seed + attempt * UNSTABLE_STRIDE
            try:
                self._answer = self._reset(name)
                break
            except (UnstableSceneError, SimulationError) as error:  # upstream passes over the seeds of both
                _log.warning("Seed %d of %s gives no scene; another takes its place.\n%s", self._seed, name, error)
                cause = error
        else:
            raise UnstableSceneError(
                f"None of {MAX_UNSTABLE} scenes of {name}, seed {seed} and every {UNSTABLE_STRIDE} further, can be "
                f"used; the last: {cause}"
            ) from cause
        self._text = self._answer["instruction"]
        self._pictures = self._process.images(self._drawn)

    def _reset(self, name: str) -> dict[str, Any]:
        """Have the scene set up, by another process where one dies or RoboTwin raises: such a fault may pass."""
        for _ in range(MAX_REPLACEMENTS):
            try:
                return self._set_up(name)
            except (WorkerError, SimulationError) as fault:
                self._process.close()
                _log.warning("%s\nA new process takes its place.", fault)
        return self._set_up(name)

    def _set_up(self, name: str) -> dict[str, Any]:
        self._process.start()
        return self._process.ask("reset", task=name, seed=self._seed, instructions=self.instructions)

    def _execute(self, chunk: NDArray[np.float64]) -> tuple[int, bool]:
        self._ended = True  # until there is an answer: who interrupts this has to begin anew
        self._answer = self._process.ask("step", actions=chunk.tolist())
        self._pictures = self._process.images(self._drawn)
        return self._answer["executed"], self._answer["success"]

    def _end_invalid(self, fault: WorkerError | SimulationError) -> tuple[Observation, float, bool, bool, Info]:
        """End the episode after a fault, which says nothing about the policy unless it comes again and again."""
        self._process.close()  # after an exception in the middle of a step nothing is known of the scene
        self._ended = True
        self._faults += 1
        if self._faults > MAX_FAULTS:
            raise fault
        _log.warning("%s\nIts trajectory is invalid; the next reset starts a new process.", fault)
        info = {**self._full_info(success=False, executed=0), **spec.to_numpy({"valid": False, "fault": str(fault)})}
        return self._observe(), 0.0, False, True, info

    def _apply(self, action: NDArray[np.float64]) -> bool:
        return self._execute(action[None])[1]

    def _instruction(self) -> str:
        return self._text

    def _observe(self) -> Observation:
        images = {key: self._pictures[name] for key, name in self._cameras.items()}
        if self._image_size is None:
            images = {key: image.copy() for key, image in images.items()}
        else:
            images = {key: lanczos_resize(image, self._image_size) for key, image in images.items()}
        return {**images, spec.STATE: np.array(self._answer["state"], np.float32), spec.INSTRUCTION: self._text}

    def _info(self, success: bool) -> Info:
        name = self.tasks[self.prompt.task_id]
        return {
            **super()._info(success),
            "task_name": name,
            "seed": self._seed,
            "seeds": self._seeds[name].source,
            "chunk": self.chunk,
            **self.drawing._asdict(),
            "valid": True,
            "fault": "",
        }

    def _final_state(self) -> NDArray[np.float32]:
        return np.array(self._answer["final_state"], np.float32)


def _check_arguments(cameras: Sequence[str], chunk: str, instructions: str, timeout: float) -> None:
    check_choice("chunk", chunk, CHUNKS)
    check_choice("instructions", instructions, INSTRUCTIONS)
    check_number("timeout", timeout, 0.0, above=True)
