from __future__ import annotations

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from vla_envs.libero.meshes import FINE_MESH, simplified_meshes  # noqa: E402  (it imports MuJoCo)

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


@pytest.fixture(scope="module")
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


def bytes_of(model) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def corners(model, mesh: int):
    """(F, 3, 3): the corners' positions of the mesh's faces."""
    start, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return model.mesh_vert[model.mesh_vertadr[mesh] + model.mesh_face[start : start + count]].astype(float)


def area(corners) -> float:
    a, b, c = corners.swapaxes(0, 1)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_only_fine_meshes_that_nothing_touches(model):
    before = model.mesh_facenum.copy()
    assert before[0] > FINE_MESH > before[2]
    with simplified_meshes(model):
        assert model.mesh_facenum[0] < before[0] / 2
        np.testing.assert_array_equal(model.mesh_facenum[1:], before[1:])


def test_the_surface_stays_closed_and_in_place(model):
    """Every edge has as many faces on its one side as on its other, and the area barely changes."""
    original = area(corners(model, 0))
    with simplified_meshes(model):
        simplified = corners(model, 0)
    assert area(simplified) == pytest.approx(original, rel=0.05)
    _, points = np.unique(simplified.reshape(-1, 3), axis=0, return_inverse=True)
    a, b, c = points.reshape(-1, 3).T
    edges = np.concatenate([np.stack(pair, axis=1) for pair in ((a, b), (b, c), (c, a))])
    assert sorted(map(tuple, edges)) == sorted(map(tuple, edges[:, ::-1]))


def test_the_model_is_given_back_bit_for_bit(model):
    before = bytes_of(model)
    with simplified_meshes(model):
        assert bytes_of(model) != before
    assert bytes_of(model) == before
