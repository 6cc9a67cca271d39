"""``VLA-Tabletop-v0``: the embedded tabletop suite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.arguments import check_integer, check_names
from vla_envs.base import Observation, VLAEnv
from vla_envs.camera import CameraOffset
from vla_envs.errors import UnknownCameraError
from vla_envs.saved_state import Arrays
from vla_envs.spec import Prompt
from vla_envs.tabletop import goals
from vla_envs.tabletop.expert import Expert
from vla_envs.tabletop.goals import Goal
from vla_envs.tabletop.renderer import Renderer
from vla_envs.tabletop.scenes import EVAL_STATES, NUM_INIT_STATES, SCENES, initial_world
from vla_envs.tabletop.tasks import TASKS
from vla_envs.tabletop.things import Movable
from vla_envs.tabletop.world import World

CAMERAS = ("agentview", "wrist")

RENDER_SIZE = 256
"""Smallest side of ``render()``'s image in pixels."""
MOST_INIT_STATES = 2**20
"""Most initial states of a task."""


class TabletopEnv(VLAEnv):
    """A kinematic tabletop with a two-finger gripper, in the form of LIBERO, in nothing but numpy.

    **Scene.** Colored cubes, cylinders and balls, plates, bowls, painted squares and a cabinet
    with a drawer on a table of 0.4 m x 0.4 m. Several tasks share a scene and its initial states,
    so that the instruction is needed to know what to do. Initial states 50-99 of every task are
    for evaluation, all others for training.

    **Observation.** ``image`` and, when asked for, ``wrist_image``: uint8 (image_size,
    image_size, 3). ``state``: float32 (8,), grip point (m), axis-angle of the hand (rad, (pi, 0, 0)
    is straight down), finger joints (m). ``instruction``: str. Where the objects are is only in
    the images.

    **Action.** (7,) in [-1, 1]: dx dy dz in units of 0.05 m (x towards the viewer, y to the
    right, z up), a rotation vector in units of 0.5 rad, and the gripper: below 0 opens, above 0
    closes. What an action does is written down in :mod:`vla_envs.tabletop.world`.

    **Success.** All goals of the task are met at once: objects at rest where they belong and let
    go, the drawer open or shut. Tasks with one goal have 80 control steps, tasks with two 120.

    Args:
        task_id: the task, several tasks, or None for all of them.
        image_size: height and width of the images, 16 to 1024 pixels.
        cameras: of ``"agentview"`` and ``"wrist"``; a plain name is one camera.
        split: ``"train"``, ``"eval"`` or ``"all"``; None is ``"all"`` with a warning.
        max_episode_steps: step limit; None takes the task's own.
        num_init_states: number of initial states of each task, at least 100. Those from 100 on
            train too: a policy that trains on fifty starts learns them by heart.
        render_mode: None or ``"rgb_array"``: the main camera at 256 x 256 pixels, or at
            ``image_size`` if that is larger.

    Raises:
        UnknownTaskError: a task index outside the suite.
        UnknownCameraError: a camera of another name.
        InvalidArgumentError: an image size, split, step limit or render mode outside its range.

    >>> import gymnasium as gym, vla_envs
    >>> env = gym.make("VLA-Tabletop-v0", task_id=0, image_size=64)
    >>> observation, info = env.reset(options={"init_state_id": 7})
    >>> observation["instruction"]
    'put the red cube on the blue plate'
    """

    reset_options = ("camera_offset", "gripper_offset", *VLAEnv.reset_options)
    final_state_dim = 3 * max(len(SCENES[task.scene].movables) for task in TASKS) + 2

    def __init__(
        self,
        task_id: int | Sequence[int] | None = None,
        image_size: int = 128,
        cameras: str | Sequence[str] = ("agentview",),
        split: str | None = None,
        max_episode_steps: int | None = None,
        num_init_states: int = NUM_INIT_STATES,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            suite="tabletop",
            tasks=[task.instruction for task in TASKS],
            task_id=task_id,
            split=split,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )
        cameras = check_names("cameras", cameras, CAMERAS, UnknownCameraError)
        size = spec.check_image_size(image_size)
        self._num_init_states = check_integer("num_init_states", num_init_states, NUM_INIT_STATES, MOST_INIT_STATES)
        self.cameras = cameras
        self.observation_space = spec.observation_space([spec.CAMERA_KEYS[each] for each in self.cameras], size)
        self.action_space = spec.action_space()
        self.world = World([], [])
        self._renderers = {spec.CAMERA_KEYS[camera]: Renderer(camera, size) for camera in self.cameras}
        self._screen = Renderer("agentview", max(size, RENDER_SIZE)) if render_mode else None

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals of the running episode's task."""
        return TASKS[self.prompt.task_id].goals

    def num_init_states(self, task_id: int) -> int:
        """How many initial states the task has."""
        return self._num_init_states

    def eval_states(self, task_id: int) -> range:
        """The task's initial states that evaluate, however many train."""
        return EVAL_STATES

    def scene_tasks(self, task_id: int) -> tuple[int, ...]:
        """Those of ``task_ids`` that share the task's scene and initial states."""
        scene = TASKS[self._check_task_id(task_id)].scene
        return tuple(each for each in self.task_ids if TASKS[each].scene == scene)

    def solved_tasks(self) -> tuple[int, ...]:
        """Those of the running task's ``scene_tasks`` that the present state solves, within their own step limits."""
        return tuple(
            task_id
            for task_id in self.scene_tasks(self.prompt.task_id)
            if self._elapsed_steps <= (self.max_episode_steps or self._horizon(task_id))
            and goals.met(TASKS[task_id].goals, self.world)
        )

    def expert(self, speed: float = 1.0) -> Expert:
        """The scripted expert of the running episode, at this share of its full speed in (0, 1]."""
        return Expert(self, speed)

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The main camera's image for people; None without a render mode."""
        return self._screen.draw(self.world) if self._screen else None

    def _horizon(self, task_id: int) -> int:
        return TASKS[task_id].max_steps

    def _begin(self, prompt: Prompt) -> None:
        self._enter(initial_world(TASKS[prompt.task_id].scene, prompt.init_state_id), self._camera_offset)

    def _save_simulation(self) -> Arrays:
        return self.world.save()

    def _restore_simulation(self, prompt: Prompt, simulation: Arrays, camera_offset: CameraOffset) -> None:
        world = initial_world(TASKS[prompt.task_id].scene, prompt.init_state_id)
        world.restore(simulation)
        self._enter(world, camera_offset)

    def _enter(self, world: World, camera_offset: CameraOffset) -> None:
        self.world = world
        for renderer in (*self._renderers.values(), *((self._screen,) if self._screen else ())):
            renderer.place(camera_offset)

    def _apply(self, action: NDArray[np.float64]) -> bool:
        self.world.step(action)
        return goals.met(self.goals, self.world)

    def _gripper_position(self) -> NDArray[np.floating]:
        return self.world.gripper.proprioception()[:3]

    def _observe(self) -> Observation:
        images = {key: renderer.draw(self.world) for key, renderer in self._renderers.items()}
        state = self.world.gripper.proprioception()
        return {**images, spec.STATE: state, spec.INSTRUCTION: self._instruction()}

    def _final_state(self) -> NDArray[np.float32]:
        """Positions of up to three objects, 3 each and else 0, the drawer's opening (m), whether something is held."""
        world = self.world
        positions = [each for thing in world.movables for each in (thing.x, thing.y, thing.z)]
        missing = [0.0] * (self.final_state_dim - 2 - len(positions))
        opening = world.drawer.opening if world.drawer else 0.0
        return np.array([*positions, *missing, opening, isinstance(world.held, Movable)], dtype=np.float32)
