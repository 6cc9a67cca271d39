from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from vla_envs.libero.render.simplify import FINE_MESH, simplify  # noqa: E402  (it imports MuJoCo)

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
    simplify(model, 256)
    assert model.mesh_facenum[0] < before[0] / 2
    np.testing.assert_array_equal(model.mesh_facenum[1:], before[1:])


def test_smaller_images_have_fewer_faces(model):
    faces = []
    for image_size in (256, 128, 64):
        few = copy.deepcopy(model)
        simplify(few, image_size)
        faces.append(few.mesh_facenum[0])
    assert faces[0] > 2 * faces[1] > 4 * faces[2] > 0


@pytest.mark.parametrize("image_size", [128, 256])
def test_a_closed_surface_stays_closed_and_in_place(model, image_size):
    before = area(corners(model, 0))
    simplify(model, image_size)
    assert area(corners(model, 0)) == pytest.approx(before, rel=0.05)
    assert not open_edges(corners(model, 0))


def test_the_edge_of_an_open_surface_stays_where_it_is(model):
    """Other parts of the mesh may begin there."""
    model.mesh_facenum[0] //= 2  # a half of the torus
    before = open_edges(corners(model, 0))
    simplify(model, 256)
    assert model.mesh_facenum[0] > 0
    assert before <= open_edges(corners(model, 0))


@pytest.fixture
def textured():
    """A texture of noise whose sides can be halved twice, one whose width cannot, and the six faces of a cube."""
    model = mujoco.MjModel.from_xml_string("""
        <mujoco>
          <asset>
            <texture name="noise" type="2d" builtin="flat" mark="random" markrgb="1 0 0" random="0.5" width="64"
              height="32"/>
            <texture name="odd" type="2d" builtin="gradient" width="33" height="32" rgb1="1 0 0" rgb2="0 0 1"/>
            <texture name="cube" type="cube" builtin="gradient" width="16" height="96" rgb1="1 0 0" rgb2="0 0 1"/>
          </asset>
        </mujoco>""")
    assert len(np.unique(pixels(model, 0))) > 2
    return model


def pixels(model, texture: int):
    """(height, width, channels): a copy of a texture."""
    shape = (model.tex_height[texture], model.tex_width[texture], model.tex_nchannel[texture])
    start = model.tex_adr[texture]
    return model.tex_data[start : start + np.prod(shape)].reshape(shape).copy()


@pytest.mark.parametrize(("image_size", "side"), [(128, 2), (100, 2), (64, 4), (32, 8)])
def test_textures_of_small_images_are_means_of_their_pixels(textured, image_size, side):
    """As large beside the images as those of 256 pixels are."""
    before = pixels(textured, 0)
    simplify(textured, image_size)
    after = pixels(textured, 0)
    assert after.shape == (32 // side, 64 // side, 3)
    for y, x in np.ndindex(after.shape[:2]):
        mean = before[y * side : (y + 1) * side, x * side : (x + 1) * side].mean(axis=(0, 1))
        np.testing.assert_allclose(after[y, x], mean, atol=0.5)


@pytest.mark.parametrize("image_size", [256, 224, 1024])
def test_textures_of_large_images_stay(textured, image_size):
    """Nothing of a label is lost where it could be seen."""
    before = [pixels(textured, texture) for texture in range(3)]
    simplify(textured, image_size)
    for texture in range(3):
        np.testing.assert_array_equal(pixels(textured, texture), before[texture])


def test_a_texture_is_halved_as_often_as_its_sides_are_even(textured):
    """The faces of a cube stay squares."""
    simplify(textured, 16)
    assert [pixels(textured, texture).shape for texture in range(3)] == [(2, 4, 3), (32, 33, 3), (6, 1, 3)]
