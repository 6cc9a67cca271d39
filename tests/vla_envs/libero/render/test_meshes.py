from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from vla_envs.libero.render.meshes import FINE_MESH, simplify_meshes  # noqa: E402  (it imports MuJoCo)

SEGMENTS = 100


def torus(name: str) -> str:
    """A mesh of 2 * SEGMENTS**2 faces, far more than the grid has cells for."""
    around, across = np.meshgrid(*[np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)] * 2, indexing="ij")
    radius = 0.04 + 0.01 * np.cos(across)
    vertices = np.stack([radius * np.cos(around), radius * np.sin(around), 0.01 * np.sin(across)], axis=-1)
    here = np.arange(SEGMENTS**2).reshape(SEGMENTS, SEGMENTS)
    ahead, beside, opposite = (np.roll(here, shift, axis=(0, 1)) for shift in ((-1, 0), (0, -1), (-1, -1)))
    faces = np.stack([here, ahead, opposite, here, opposite, beside], axis=-1)
    vertex, face = (" ".join(map(str, values.ravel())) for values in (vertices, faces))
    return f'<mesh name="{name}" vertex="{vertex}" face="{face}"/>'


@pytest.fixture
def model():
    return mujoco.MjModel.from_xml_string(f"""
        <mujoco>
          <asset>{torus("seen")}{torus("touched")}<mesh name="coarse" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>
          <worldbody>
            <geom type="mesh" mesh="seen" contype="0" conaffinity="0"/>
            <geom type="mesh" mesh="touched" contype="0" conaffinity="0"/>
            <geom type="mesh" mesh="coarse" contype="0" conaffinity="0"/>
            <body pos="0 0 1"><freejoint/><geom type="mesh" mesh="touched"/></body>
          </worldbody>
        </mujoco>""")


def corners(model, mesh: int):
    """(F, 3, 3): the corners' positions of the mesh's faces."""
    start, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return model.mesh_vert[model.mesh_vertadr[mesh] + model.mesh_face[start : start + count]].astype(float)


def area(corners) -> float:
    a, b, c = corners.swapaxes(0, 1)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def open_edges(corners) -> set[frozenset[tuple[float, ...]]]:
    """The edges that have more faces on their one side than on their other, as pairs of points."""
    sides: Counter[tuple[tuple[float, ...], tuple[float, ...]]] = Counter()
    for face in corners.tolist():
        for start, end in zip(face, face[1:] + face[:1], strict=True):
            sides[tuple(start), tuple(end)] += 1
            sides[tuple(end), tuple(start)] -= 1
    return {frozenset(edge) for edge, surplus in sides.items() if surplus}


def test_only_fine_meshes_that_nothing_touches(model):
    before = model.mesh_facenum.copy()
    assert before[0] > FINE_MESH > before[2]
    simplify_meshes(model, 256)
    assert model.mesh_facenum[0] < before[0] / 2
    np.testing.assert_array_equal(model.mesh_facenum[1:], before[1:])


def test_smaller_images_have_fewer_faces(model):
    faces = []
    for image_size in (256, 128, 64):
        few = copy.deepcopy(model)
        simplify_meshes(few, image_size)
        faces.append(few.mesh_facenum[0])
    assert faces[0] > 2 * faces[1] > 4 * faces[2] > 0


@pytest.mark.parametrize("image_size", [128, 256])
def test_a_closed_surface_stays_closed_and_in_place(model, image_size):
    before = area(corners(model, 0))
    simplify_meshes(model, image_size)
    assert area(corners(model, 0)) == pytest.approx(before, rel=0.05)
    assert not open_edges(corners(model, 0))


def test_the_edge_of_an_open_surface_stays_where_it_is(model):
    """Other parts of the mesh may begin there."""
    model.mesh_facenum[0] //= 2  # a half of the torus
    before = open_edges(corners(model, 0))
    simplify_meshes(model, 256)
    assert model.mesh_facenum[0] > 0
    assert before <= open_edges(corners(model, 0))
