"""The official LIBERO environment as OpenVLA's evaluation prepares it: what ``VLA-Libero-v0`` is compared with."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_envs import spec
from vla_envs.libero import official
from vla_envs.libero.assets import find_assets
from vla_envs.libero.compile.builder import with_linear_textures
from vla_envs.libero.init_states import read_init_states
from vla_envs.libero.render import gl
from vla_envs.libero.suites import SUITES

IMAGES = {spec.IMAGE: "agentview_image", spec.WRIST_IMAGE: "robot0_eye_in_hand_image"}
"""Observation key -> its official name."""
SETTLE_ACTION = (0, 0, 0, 0, 0, 0, -1)
"""Written out: a reference takes nothing from what it judges."""


class Reference:
    """A fresh official environment after ``seed(0)``, ``reset()``, ``set_init_state(...)`` and settle steps.

    Its textures are marked as linear, as ours are: MuJoCo 3.3.3 and later would draw them darker than
    the versions before. Close it: the official environment is freed only where its own OpenGL context is current.

    Args:
        suite: name of the suite.
        task_id: index of the task.
        init_state_id: index of the recorded initial state.
        image_size: height and width of the images in pixels; None draws nothing.
        assets: the asset folder; None takes ``$VLA_LIBERO_ASSETS`` or the user's cache.
        settle_steps: number of steps that pass before the first observation.

    Attributes:
        success: whether the goal is reached after the last step.
    """

    def __init__(
        self,
        suite: str,
        task_id: int,
        init_state_id: int,
        image_size: int | None = None,
        assets: str | Path | None = None,
        settle_steps: int = 10,
    ) -> None:
        gl.select_backend()
        official.check_installed()
        task = SUITES[suite].tasks[task_id]
        self._transform = official.transform_functions()
        self._draws = self._is_drawing = image_size is not None
        with official.preserved_random_state():
            self._env = official.make_reference(task.bddl_file, find_assets(assets), image_size)
            self._env.env.set_xml_processor(with_linear_textures)
            self._env.seed(0)
            self._env.reset()
        self._draw_on_demand()
        self._observation = self._env.set_init_state(read_init_states(task.init_file)[init_state_id])
        self.success = False
        for step in range(settle_steps):
            self.step(SETTLE_ACTION, draw=step == settle_steps - 1)

    def step(self, action: ArrayLike, draw: bool = True) -> bool:
        """Execute one control step of an action (7,) and return whether the goal is reached.

        Args:
            action: (7,) in [-1, 1].
            draw: draw both images of this step; a reference without an image size never draws.
        """
        self._is_drawing = draw and self._draws
        if self._is_drawing:
            self._make_current()
        self._observation, _, done, _ = self._env.step(np.asarray(action, dtype=np.float64))
        self.success = bool(done)
        return self.success

    @property
    def data(self) -> mujoco.MjData:
        """MuJoCo's data."""
        return self._env.env.sim.data._data

    def state(self) -> NDArray[np.float32]:
        """float32 (8,): end effector position (m), axis-angle (rad), finger joints (m)."""
        seen = self._observation
        rotation = self._transform.quat2axisangle(seen["robot0_eef_quat"].copy())  # it writes to its argument
        return np.concatenate([seen["robot0_eef_pos"], rotation, seen["robot0_gripper_qpos"]], dtype=np.float32)

    def images(self) -> dict[str, NDArray[np.uint8]]:
        """The images of the last step that was drawn, rotated by 180 degrees: observation key -> (size, size, 3).

        Empty without an image size.
        """
        names = IMAGES if self._draws else {}
        return {key: self._observation[name][::-1, ::-1] for key, name in names.items()}

    def close(self) -> None:
        """Free the environment; its resources would otherwise be deleted in whichever context is current."""
        if self._draws:
            self._make_current()
        self._env.close()

    def _make_current(self) -> None:
        """Its render context does not do so itself, and another one's may be current."""
        self._env.env.sim._render_context_offscreen.gl_ctx.make_current()

    def _draw_on_demand(self) -> None:
        """Let the cameras keep their last image while nobody asks for one; when they are sampled stays the same."""
        for name in IMAGES.values() if self._draws else ():
            sensor = self._env.env._observables[name]._sensor
            self._env.env.modify_observable(name, "sensor", self._gated(sensor))

    def _gated(self, sensor: Callable[[Any], NDArray[np.uint8]]) -> Callable[[Any], NDArray[np.uint8]]:
        last = sensor({})

        @wraps(sensor)
        def gated(cache: Any) -> NDArray[np.uint8]:
            nonlocal last
            if self._is_drawing:
                last = sensor(cache)
            return last

        return gated
