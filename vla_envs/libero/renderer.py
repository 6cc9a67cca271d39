"""Draws a task's cameras off-screen."""

from __future__ import annotations

import weakref
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.libero import gl
from vla_envs.libero.builder import MAX_CACHED_TASKS
from vla_envs.libero.compiled_task import CompiledTask
from vla_envs.libero.culling import hide_unseen
from vla_envs.libero.memory import forget, trim
from vla_envs.libero.meshes import simplify_meshes
from vla_envs.libero.quality import QUALITIES
from vla_envs.libero.simulator import Simulator

MAX_GEOMS = 1000
"""Geoms of a drawn scene; the official value."""
VISUAL_GEOMS = (False, True)
"""Which of the first two geom groups are drawn: collision shapes are not, visual ones are."""


class Renderer:
    """Draws one task's cameras at one size and quality, for every simulator of the task in this process.

    Args:
        compiled: the task.
        image_size: height and width in pixels.
        quality: one of :data:`vla_envs.libero.quality.QUALITIES`.

    Raises:
        RendererUnavailableError: no OpenGL context can be had.
    """

    def __init__(self, compiled: CompiledTask, image_size: int, quality: str) -> None:
        gl.current_context()
        samples, reflections, simplified_meshes = QUALITIES[quality]
        self._model = model = compiled.drawn_model()
        self._data = mujoco.MjData(model)
        self._lamps = compiled.goal.lamps
        model.vis.global_.offwidth = model.vis.global_.offheight = image_size
        model.vis.quality.offsamples = samples
        model.vis.quality.shadowsize = 0  # no light of LIBERO casts shadows, yet the map costs 400 ms
        self._viewport = mujoco.MjrRect(0, 0, image_size, image_size)
        self._scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = reflections
        self._options = mujoco.MjvOption()
        self._options.geomgroup[: len(VISUAL_GEOMS)] = VISUAL_GEOMS
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        if simplified_meshes:
            simplify_meshes(model)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        weakref.finalize(self, _free, self._context)
        for uploaded in (model.tex_data, model.mesh_vert, model.mesh_normal, model.mesh_texcoord, model.mesh_face):
            forget(uploaded)
        trim()

    def draw(self, simulator: Simulator, camera: str) -> NDArray[np.uint8]:
        """The camera's image of the last observation: uint8 (size, size, 3), turned as VLA policies expect it.

        That is OpenGL's image, whose first row is the lowest, rotated by 180 degrees, as the
        official VLA pipelines rotate it.
        """
        gl.current_context()
        self._camera.fixedcamid = self._model.camera(camera).id
        self._pose(*simulator.observed())
        model, data, everything = self._model, self._data, mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(model, data, self._options, None, self._camera, everything, self._scene)
        hide_unseen(self._scene, model, data, self._camera.fixedcamid)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        pixels = np.empty((self._viewport.height, self._viewport.width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._viewport, self._context)
        return np.ascontiguousarray(pixels[::-1, ::-1])

    def _pose(self, qpos: NDArray[np.float64], glowing: tuple[bool, ...]) -> None:
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        for lamp, glows in zip(self._lamps, glowing, strict=True):
            alpha = self._model.site_rgba[lamp.site, 3]
            if (alpha > 0) != glows:
                self._model.site_rgba[lamp.site, 3] = 1 - alpha


@lru_cache(maxsize=MAX_CACHED_TASKS)
def renderer_of(compiled: CompiledTask, image_size: int, quality: str) -> Renderer:
    """The process's renderer of a task at a size in pixels and a quality."""
    return Renderer(compiled, image_size, quality)


def _free(context: mujoco.MjrContext) -> None:
    gl.current_context()
    context.free()
