"""Simplifies the meshes of a MuJoCo model while a renderer uploads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mujoco
import numpy as np
from numpy.typing import NDArray

FINE_MESH = 1000
"""Meshes of more faces than this are simplified."""
CELLS = 64
"""Cells along the longest side of a mesh: with fewer, labels become unreadable and thin walls get holes."""
MAX_CELL = 0.005
"""Largest side of a cell in m: about a pixel and a half of a 256-pixel agentview, also for a table or a room."""


@contextmanager
def simplified_meshes(model: mujoco.MjModel) -> Iterator[None]:
    """Give the finely meshed visual shapes of ``model`` fewer faces, and everything back at the end.

    Meshes that anything collides with are left alone.
    """
    arrays = (model.mesh_vert, model.mesh_face, model.mesh_facenormal, model.mesh_facetexcoord, model.mesh_facenum)
    before = [array.copy() for array in arrays]
    try:
        for mesh in _fine_visual_meshes(model):
            _simplify(model, mesh)
        yield
    finally:
        for array, values in zip(arrays, before, strict=True):
            array[:] = values


def _fine_visual_meshes(model: mujoco.MjModel) -> NDArray[np.intp]:
    """The indices of the meshes to simplify."""
    has_mesh = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    collides = (model.geom_contype | model.geom_conaffinity) != 0
    fine = np.flatnonzero(model.mesh_facenum > FINE_MESH)
    return np.setdiff1d(fine, model.geom_dataid[has_mesh & collides])


def _simplify(model: mujoco.MjModel, mesh: int) -> None:
    """Merge the vertices of each cell of a grid into their mean, and drop the faces that this collapses.

    That is vertex clustering (Rossignac and Borrel 1993). Corners keep their normals and texture
    coordinates, so that shading and labels stay as fine as they were.
    """
    start = model.mesh_vertadr[mesh]
    vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
    cells = _cells_of(vertices)
    means = [np.bincount(cells, weights=axis) / np.bincount(cells) for axis in vertices.T]
    vertices[:] = np.stack(means, axis=1)[cells]

    start, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    a, b, c = cells[model.mesh_face[start : start + count]].T
    kept = start + np.flatnonzero((a != b) & (b != c) & (c != a))
    for corners in (model.mesh_face, model.mesh_facenormal, model.mesh_facetexcoord):
        corners[start : start + len(kept)] = corners[kept]
    model.mesh_facenum[mesh] = len(kept)


def _cells_of(vertices: NDArray[np.float32]) -> NDArray[np.intp]:
    """(V,): the number of the cell, counted from 0 without gaps, that each vertex (V, 3) is in."""
    offsets = vertices - vertices.min(axis=0)
    side = min(float(offsets.max()) / CELLS, MAX_CELL)
    x, y, z = np.floor(offsets / side).astype(np.int64).T
    _, cells = np.unique((x << 40) | (y << 20) | z, return_inverse=True)
    return cells
