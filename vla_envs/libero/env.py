"""LIBERO as the environment ``VLA-Libero-v0``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.arguments import check_choice, check_integer, check_names
from vla_envs.base import Info, Observation, VLAEnv
from vla_envs.camera import CameraOffset
from vla_envs.errors import UnknownCameraError, UnknownSuiteError
from vla_envs.libero import official
from vla_envs.libero.assets import find_assets, stand_ins
from vla_envs.libero.init_states import read_init_states
from vla_envs.libero.render import QUALITIES, gl
from vla_envs.libero.suites import SUITES, Task, scene_tasks
from vla_envs.saved_state import Arrays
from vla_envs.spec import Prompt

if TYPE_CHECKING:  # they need MuJoCo, which an episode needs and an import does not
    from vla_envs.libero.expert import LiberoExpert
    from vla_envs.libero.render.renderer import Renderer
    from vla_envs.libero.sim.goal import Goal
    from vla_envs.libero.sim.simulator import Simulator

MAIN_CAMERA = "agentview"
CAMERAS = {
    "agentview": (spec.IMAGE, MAIN_CAMERA),
    "wrist": (spec.WRIST_IMAGE, "robot0_eye_in_hand"),
    "robot0_eye_in_hand": (spec.WRIST_IMAGE, "robot0_eye_in_hand"),
}
"""Camera -> observation key and name in the model."""
MAX_SETTLE_STEPS = 1000
"""Fifty seconds, after which nothing moves any more."""


class LiberoEnv(VLAEnv):
    """The tasks of a LIBERO suite: a Panda arm on a table, told in a sentence what to do.

    The physics, initial states, instructions, goals and images are those of the official package in
    the OpenVLA protocol: ten settle steps after an initial state is set (not counted), images
    rotated by 180 degrees, success by the official goal predicates. Other protocols differ in settle steps and step
    limits: :data:`vla_envs.libero.protocols.PROTOCOLS` has them as keywords.

    ``metadata["versions"]`` names the versions that simulate, ``metadata["stand_ins"]`` the asset
    files that are not the official ones: report both beside results, and ``metadata["render_quality"]``
    (in every info as well) where it is not ``"exact"``.

    ``reset(options={"init_state": state})`` starts at any state of the task, float64 (1 + nq + nv,) MuJoCo's time,
    positions and velocities as LIBERO's demonstrations have them. It is set as the official ``set_init_state`` does,
    and nothing settles: the first action follows on it.

    Args:
        suite: Selects the suite: ``"libero_spatial"``, ``"libero_object"``, ``"libero_goal"``, ``"libero_10"`` or
            ``"libero_90"``.
        task_id: Selects a task by its index, several tasks by a sequence of them, or every task of the suite by None.
        cameras: Selects the images that an observation has: ``"agentview"`` gives ``image``, and ``"wrist"`` (or its
            official name ``"robot0_eye_in_hand"``) gives ``wrist_image``. A plain name is one camera.
        image_size: Sets the height and width of the images, in pixels.
        split: Restricts the initial states that are drawn: ``"train"`` (0-24), ``"eval"`` (25-49) or ``"all"``; None is
            ``"all"`` with a warning.
        max_episode_steps: Limits an episode, in control steps; None takes the suite's limit: 220, 280, 300, 520 and
            400 in the order above.
        settle_steps: Sets how many control steps pass between an initial state, which floats the objects up to 11 cm
            above their support, and the first observation, from 1 to 1000; the hand rests and opens meanwhile.
        render_mode: Is None or ``"rgb_array"``.
        assets: Names the asset folder; None takes ``$VLA_LIBERO_ASSETS`` or the folder in the user's cache.
        render_quality: Decides which pixels are drawn: ``"exact"`` draws the official ones, ``"fast"`` and
            ``"fastest"`` draw others in less time (:data:`vla_envs.libero.render.QUALITIES`); physics, states and
            rewards are the same.

    Raises:
        UnknownSuiteError, UnknownTaskError, UnknownCameraError, InvalidArgumentError: a bad argument.
        DependencyNotInstalled: a package is missing or has another version than LIBERO needs.
        MissingAssetsError, DamagedAssetsError: no usable asset folder.
        RendererUnavailableError: no OpenGL library.
    """

    reset_options = ("camera_offset", "gripper_offset", "init_state", *VLAEnv.reset_options)
    final_state_dim = 24

    def __init__(
        self,
        suite: str = "libero_spatial",
        task_id: int | Sequence[int] | None = 0,
        cameras: str | Sequence[str] = ("agentview",),
        image_size: int = 256,
        split: str | None = None,
        max_episode_steps: int | None = None,
        settle_steps: int = 10,
        render_mode: str | None = None,
        assets: str | Path | None = None,
        render_quality: str = "exact",
    ) -> None:
        check_choice("suite", suite, SUITES, UnknownSuiteError)
        cameras = check_names("cameras", cameras, CAMERAS, UnknownCameraError)
        check_choice("render_quality", render_quality, QUALITIES)
        self._image_size = spec.check_image_size(image_size)
        self._settle_steps = check_integer("settle_steps", settle_steps, 1, MAX_SETTLE_STEPS)
        gl.select_backend()
        official.check_installed()
        self._tasks = SUITES[suite].tasks
        super().__init__(
            suite=suite,
            tasks=[task.language for task in self._tasks],
            task_id=task_id,
            split=split,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )
        self._assets = find_assets(assets)
        self.render_quality = render_quality
        self.metadata = {
            **self.metadata,
            "versions": official.versions(),
            "stand_ins": stand_ins(self._assets),
            "render_quality": render_quality,
        }
        self._cameras = dict(CAMERAS[camera] for camera in cameras)
        self.action_space = spec.action_space()
        self.observation_space = spec.observation_space(tuple(self._cameras), self._image_size)
        self._simulator: Simulator | None = None
        self._renderer: Renderer | None = None

    @property
    def simulator(self) -> Simulator:
        """The simulation of the running episode's task: ``simulator.model`` and ``simulator.data`` are MuJoCo's.

        They are not the whole episode: the controller's goal, the observed moment and the step count are outside of
        ``data``. To return to a moment of an episode take :meth:`save_state` and :meth:`restore_state`; a step after
        ``mj_setState`` on ``data`` warns.
        """
        if self._simulator is None:
            self._load(self.task_ids[0])
        assert self._simulator is not None
        return self._simulator

    @property
    def task_names(self) -> tuple[str, ...]:
        """The official name of each task; its index is the ``task_id``."""
        return tuple(task.name for task in self._tasks)

    def num_init_states(self, task_id: int) -> int:
        """How many recorded initial states the task has: 50."""
        return len(_init_states(self._tasks[task_id].init_file))

    def scene_tasks(self, task_id: int) -> tuple[int, ...]:
        """Those of ``task_ids`` that share the task's scene."""
        alike = scene_tasks(self.suite, self._check_task_id(task_id))
        return tuple(each for each in self.task_ids if each in alike)

    def solved_tasks(self) -> tuple[int, ...]:
        """Those of the running task's ``scene_tasks`` that the present state solves; the first call compiles each."""
        data = self.simulator.data
        same_scene = self.scene_tasks(self.prompt.task_id)
        return tuple(each for each in same_scene if _goal_of(self._tasks[each], self._assets).reached(data))

    def expert(self, speed: float = 1.0) -> LiberoExpert:
        """The scripted expert of the running episode, at this share of its full speed in (0, 1].

        docs/results.md has the tasks that it solves.
        """
        from vla_envs.libero.expert import LiberoExpert

        return LiberoExpert(lambda: self.simulator, speed)

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """The agentview image of the last observation: uint8 (image_size, image_size, 3).

        Raises:
            ResetNeeded: no episode was started.
        """
        assert self.prompt  # raises before the first reset
        return self._draw(MAIN_CAMERA)

    def close(self) -> None:
        """End the episode and let go of the simulation."""
        self._prompt, self._ended = None, True
        self._simulator = self._renderer = None

    def _horizon(self, task_id: int) -> int:
        return SUITES[self.suite].horizon

    def _begin(self, prompt: Prompt) -> None:
        self._load(prompt.task_id)
        if "init_state" in self.episode_options:
            self.simulator.set_state(self.episode_options["init_state"])
            return
        init_state = _init_states(self._tasks[prompt.task_id].init_file)[prompt.init_state_id]
        self.simulator.reset(init_state, self._settle_steps)

    def _save_simulation(self) -> Arrays:
        return self.simulator.save()

    def _restore_simulation(self, prompt: Prompt, simulation: Arrays, camera_offset: CameraOffset) -> None:
        restored = self._simulator_of(prompt.task_id)
        restored.restore(simulation)
        self._simulator = restored

    def _apply(self, action: NDArray[np.float64]) -> bool:
        return self.simulator.step(action)

    def _gripper_position(self) -> NDArray[np.floating]:
        return self.simulator.proprioception()[:3]

    def _observe(self) -> Observation:
        images = {key: self._draw(camera) for key, camera in self._cameras.items()}
        state = self.simulator.proprioception()
        return {**images, spec.STATE: state, spec.INSTRUCTION: self._instruction()}

    def _info(self, success: bool) -> Info:
        return {**super()._info(success), "render_quality": self.render_quality}

    def _final_state(self) -> NDArray[np.float32]:
        return self.simulator.task_state()

    def _load(self, task_id: int) -> None:
        """Make the task's simulation the present one, unless it is."""
        self._simulator = self._simulator_of(task_id)

    def _simulator_of(self, task_id: int) -> Simulator:
        """The present simulation where it is the task's, else a new one."""
        from vla_envs.libero.compile.builder import compile_task
        from vla_envs.libero.sim.simulator import Simulator

        compiled = compile_task(self._tasks[task_id], self._assets)
        present = self._simulator
        return present if present is not None and present.compiled is compiled else Simulator(compiled)

    def _draw(self, camera: str) -> NDArray[np.uint8]:
        """The camera's image of the last observation; an episode's first is drawn once for all that start there."""
        from vla_envs.libero.render.renderer import renderer_of

        start = self.simulator.start
        offset = self._camera_offset if camera == MAIN_CAMERA else CameraOffset()
        # Offsets seldom come again: images from elsewhere would only pile up.
        kept = {} if start is None or offset != CameraOffset() else start.images
        key = (camera, self._image_size, self.render_quality)
        if key not in kept:
            self._renderer = renderer_of(self.simulator.compiled, self._image_size, self.render_quality)
            kept[key] = self._renderer.draw(self.simulator, camera, offset)
        return kept[key].copy()


@cache
def _init_states(path: Path) -> NDArray[np.float64]:
    return read_init_states(path)


@cache
def _goal_of(task: Task, assets: Path) -> Goal:
    """The task's goal, kept when its compiled model is let go: in numbers that hold for its whole scene."""
    from vla_envs.libero.compile.builder import compile_task

    return compile_task(task, assets).goal
