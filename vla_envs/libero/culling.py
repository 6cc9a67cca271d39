"""Leaves out of a scene what its camera cannot see, which changes no pixel."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

MARGIN = 1e-3
"""Added to the radius of bounding spheres in m, because OpenGL computes in single precision."""
GEOM = int(mujoco.mjtObj.mjOBJ_GEOM)
NOTHING = int(mujoco.mjtGeom.mjGEOM_NONE)
"""A geom of this type is not drawn."""
MIRRORS = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_BOX))
"""The types of geoms that mirror the scene where their material has a reflectance."""


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
