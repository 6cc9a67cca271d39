"""Simplifies a model that is only drawn: fewer faces, and textures of fewer pixels in small images."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

FINE_MESH = 1000
"""Meshes of more faces than this are simplified."""
CELLS = 64
"""Cells along the longest side of a mesh: with fewer, the labels of LIBERO's groceries become unreadable."""
MAX_CELL = 0.005
"""Largest side of a cell in m: about a pixel and a half of an agentview, also for a table or a room."""
IMAGE_SIZE = 256
"""Side in pixels of the images for which these cells and the textures' own pixels are: smaller images take larger ones
in proportion."""
SAME_PLACE = 2**-20
"""Side of the cells that hold a single point, as a fraction of the longest side of a mesh."""


def simplify(model: mujoco.MjModel, image_size: int) -> None:
    """Give finely meshed shapes fewer faces, and for images of less than 256 pixels textures fewer pixels.

    Call it before the model is uploaded to a renderer.

    Args:
        model: changed in place.
        image_size: height and width of the images in pixels; the smaller, the simpler.
    """
    simplify_meshes(model, image_size)
    for texture in range(model.ntex):
        _shrink(model, texture, IMAGE_SIZE // image_size)


def simplify_meshes(model: mujoco.MjModel, image_size: int) -> None:
    """Give the finely meshed shapes of ``model`` fewer faces, except those that anything collides with."""
    has_mesh = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    collides = (model.geom_contype | model.geom_conaffinity) != 0
    fine = np.flatnonzero(model.mesh_facenum > FINE_MESH)
    for mesh in np.setdiff1d(fine, model.geom_dataid[has_mesh & collides]):
        _simplify(model, mesh, IMAGE_SIZE / image_size)


def _simplify(model: mujoco.MjModel, mesh: int, coarseness: float) -> None:
    """Merge the vertices of a cluster into their mean, and drop the faces that this collapses.

    That is vertex clustering (Rossignac and Borrel 1993). Corners keep their normals and texture
    coordinates, so that shading and labels stay as fine as they were.
    """
    start = model.mesh_vertadr[mesh]
    vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
    start, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    faces = model.mesh_face[start : start + count]
    clusters = _clusters(vertices, faces, coarseness)
    means = [np.bincount(clusters, weights=axis) / np.bincount(clusters) for axis in vertices.T]
    vertices[:] = np.stack(means, axis=1)[clusters]

    a, b, c = clusters[faces].T
    kept = start + np.flatnonzero((a != b) & (b != c) & (c != a))
    for corners in (model.mesh_face, model.mesh_facenormal, model.mesh_facetexcoord):
        corners[start : start + len(kept)] = corners[kept]
    model.mesh_facenum[mesh] = len(kept)


def _shrink(model: mujoco.MjModel, texture: int, factor: int) -> None:
    """Halve the sides of a texture as often as ``factor`` has room for it and they are even, by means of its pixels.

    OpenGL reads such means as well: it keeps a texture in all its halvings and takes those that suit the distance.
    """
    height, width, channels = model.tex_height[texture], model.tex_width[texture], model.tex_nchannel[texture]
    halvings = 0
    while 2 ** (halvings + 1) <= factor and height % 2 ** (halvings + 1) == width % 2 ** (halvings + 1) == 0:
        halvings += 1
    side, start = 2**halvings, model.tex_adr[texture]
    pixels = model.tex_data[start : start + height * width * channels]
    means = pixels.reshape(height // side, side, width // side, side, channels).mean(axis=(1, 3)).round()
    pixels[: means.size] = means.ravel()
    model.tex_height[texture], model.tex_width[texture] = means.shape[:2]


def _clusters(vertices: NDArray[np.float32], faces: NDArray[np.int32], coarseness: float) -> NDArray[np.intp]:
    """(V,): the number of the cluster, counted from 0 without gaps, of each vertex (V, 3).

    A cluster is what is in one cell of a grid, but a point on an open edge is one by itself: moved,
    it would leave a hole where it meets another part of the mesh.
    """
    longest = float(np.ptp(vertices, axis=0).max())
    points = _numbered(_cells(vertices, longest * SAME_PLACE))
    cells = _cells(vertices, coarseness * min(longest / CELLS, MAX_CELL))
    is_open = np.isin(points, _open_points(points[faces]))
    return _numbered(np.where(is_open, -1 - points, cells))


def _open_points(faces: NDArray[np.intp]) -> NDArray[np.intp]:
    """The ends of the edges that have a face (F, 3) on one side alone."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    count = faces.max() + 1
    is_open = np.isin(start * count + end, end * count + start, invert=True)
    return np.concatenate([start[is_open], end[is_open]])


def _cells(vertices: NDArray[np.float32], side: float) -> NDArray[np.int64]:
    """(V,): a number at least 0 for the cubic cell that each vertex (V, 3) is in."""
    x, y, z = np.floor((vertices - vertices.min(axis=0)) / side).astype(np.int64).T
    return (x << 42) | (y << 21) | z


def _numbered(values: NDArray[np.int64]) -> NDArray[np.intp]:
    """The same partition, counted from 0 without gaps."""
    return np.unique(values, return_inverse=True)[1]
