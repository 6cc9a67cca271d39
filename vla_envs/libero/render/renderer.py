"""Draws a task's cameras off-screen, without what they cannot see."""

from __future__ import annotations

import math
import weakref
from contextlib import suppress

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_envs.camera import CameraOffset, orbit
from vla_envs.errors import RendererUnavailableError
from vla_envs.libero.render import QUALITIES, gl
from vla_envs.libero.render.simplify import simplify
from vla_envs.libero.sim.compiled_task import CompiledTask, take_over
from vla_envs.libero.sim.memory import KEPT_TASKS, forget, shared, trim
from vla_envs.libero.sim.simulator import Simulator

MAX_GEOMS = 1000
"""Geoms of a drawn scene; the official value."""
VISUAL_GEOMS = (False, True)
"""Which of the first two geom groups are drawn: collision shapes are not, visual ones are."""
DRAWN_MEMORY = 2**20
"""Bytes that MuJoCo reserves beside a drawn model, with which nothing is simulated; LIBERO reserves 1.3 GB."""
MARGIN = 1e-3
"""Added to the radius of bounding spheres in m, because OpenGL computes in single precision."""
NEVER_READ_AGAIN = (
    *("tex_data", "mesh_vert", "mesh_normal", "mesh_texcoord", "mesh_face", "mesh_facenormal", "mesh_facetexcoord"),
    *("mesh_polynormal", "mesh_polyvert", "mesh_polymap", "bvh_aabb", "bvh_child"),
)
"""Arrays of a drawn model that have been uploaded, or that only collisions need: up to 200 MB."""
GEOM = int(mujoco.mjtObj.mjOBJ_GEOM)
NOTHING = int(mujoco.mjtGeom.mjGEOM_NONE)
"""A geom of this type is not drawn."""
MIRRORS = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_BOX))
"""The types of geoms that mirror the scene where their material has a reflectance."""


class Renderer:
    """Draws one task's cameras at one size and quality, for every simulator of the task in this process.

    Args:
        compiled: the task.
        image_size: height and width in pixels.
        quality: one of :data:`vla_envs.libero.render.QUALITIES`.

    Raises:
        RendererUnavailableError: no OpenGL context can be had, or not one for images of this size.
    """

    def __init__(self, compiled: CompiledTask, image_size: int, quality: str) -> None:
        samples, reflections, simplified = QUALITIES[quality]
        self._model = model = drawn_model(compiled)
        self._data = mujoco.MjData(model)
        self._lamps = compiled.goal.lamps
        self._fields_of_view = model.cam_fovy.copy()
        self._pivot = compiled.initial.position.copy()
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
        if simplified:
            simplify(model, image_size)
        with gl.drawing():
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        weakref.finalize(self, _free, self._context)
        for array in NEVER_READ_AGAIN:
            forget(getattr(model, array))
        trim()

    def draw(
        self,
        simulator: Simulator,
        camera: str,
        offset: CameraOffset = CameraOffset(),  # noqa: B008  (immutable)
    ) -> NDArray[np.uint8]:
        """The camera's image of the last observation: uint8 (size, size, 3), turned as VLA policies expect it.

        That is OpenGL's image, whose first row is the lowest, rotated by 180 degrees, as the
        official VLA pipelines rotate it. An offset moves the camera around the point of its viewing
        axis that is as far away as the gripper at the start.
        """
        with gl.drawing():  # which also keeps other threads from the scene and the poses
            self._camera.fixedcamid = self._model.camera(camera).id
            self._pose(*simulator.observed())
            self._place(self._camera.fixedcamid, offset)
            return self._draw()

    def _draw(self) -> NDArray[np.uint8]:
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

    def _place(self, camera: int, offset: CameraOffset) -> None:
        """Move a just posed camera; MuJoCo's cameras look along their third axis, backwards."""
        self._model.cam_fovy[camera] = self._fields_of_view[camera]
        if offset == CameraOffset():
            return
        position, to_world = self._data.cam_xpos[camera], self._data.cam_xmat[camera].reshape(3, 3)
        axes = to_world.T * [[1], [-1], [-1]]
        distance = float(axes[2] @ (self._pivot - position))
        position[:], axes = orbit(position, axes, distance, offset)
        to_world[:] = (axes * [[1], [-1], [-1]]).T
        half = math.radians(self._fields_of_view[camera]) / 2
        self._model.cam_fovy[camera] = math.degrees(2 * math.atan(math.tan(half) * offset.field_of_view))


@shared(keep=KEPT_TASKS)
def renderer_of(compiled: CompiledTask, image_size: int, quality: str) -> Renderer:
    """The process's renderer of a task at a size in pixels and a quality."""
    return Renderer(compiled, image_size, quality)


def drawn_model(compiled: CompiledTask) -> mujoco.MjModel:
    """A new complete model of a task: bodies, joints, sites and cameras are those of ``compiled.model``.

    Raises:
        ValueError: a file of the assets is gone or damaged.
    """
    spec = mujoco.MjSpec.from_string(compiled.scene)
    spec.memory = DRAWN_MEMORY
    model = spec.compile()
    take_over(model, compiled.model)
    return model


def hide_unseen(scene: mujoco.MjvScene, model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> None:
    """Hide the geoms of a just updated scene that are beside or behind the square image of a camera of the model.

    While a mirror is in the image nothing is hidden, for it may show what is not in it.
    """
    unseen = _unseen(model, data, camera)
    seen: list[mujoco.MjvGeom] = []
    hidden: list[mujoco.MjvGeom] = []
    for geom in scene.geoms[: scene.ngeom]:
        is_hidden = geom.objtype == GEOM and unseen[geom.objid]
        (hidden if is_hidden else seen).append(geom)
    if scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] and any(map(_is_mirror, seen)):
        return
    for geom in hidden:
        geom.type = NOTHING


def _unseen(model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> NDArray[np.bool_]:
    """(ngeom,): whether a geom's bounding sphere is beyond one of the four sides of the camera's pyramid."""
    right, up, back = ((data.geom_xpos - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)).T
    half_angle = math.radians(model.cam_fovy[camera]) / 2
    aside = np.maximum(np.abs(right), np.abs(up))
    distance = aside * math.cos(half_angle) + back * math.sin(half_angle)
    is_bounded = model.geom_rbound > 0
    return is_bounded & (distance > model.geom_rbound + MARGIN)


def _is_mirror(geom: mujoco.MjvGeom) -> bool:
    return geom.type in MIRRORS and geom.reflectance > 0


def _free(context: mujoco.MjrContext) -> None:
    with suppress(RendererUnavailableError), gl.drawing():  # what a forked child inherited from EGL is its parent's
        context.free()
