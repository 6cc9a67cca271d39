from __future__ import annotations

import os

import pytest

from vla_envs.errors import RendererUnavailableError
from vla_envs.libero import gl


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """An environment that says nothing about OpenGL; libraries are there."""
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(gl, "_has_library", lambda name: True)


@pytest.mark.parametrize(("gpu", "backend"), [(True, "egl"), (False, "osmesa")])
def test_the_machine_decides(monkeypatch, gpu, backend):
    """EGL with an NVIDIA GPU, software without; everybody who asks the environment is told."""
    monkeypatch.setattr(gl.Path, "exists", lambda self: gpu)
    assert gl.select_backend() == backend
    assert os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"] == backend


def test_the_user_decides(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "EGL")
    assert gl.select_backend() == "egl"


def test_windowed_backend(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(RendererUnavailableError, match=r"'egl', 'osmesa', actually: 'glfw'.*export MUJOCO_GL=osmesa"):
        gl.select_backend()


@pytest.mark.parametrize(("backend", "package"), [("osmesa", "libosmesa6"), ("egl", "libegl1")])
def test_library_is_missing(monkeypatch, backend, package):
    monkeypatch.setenv("MUJOCO_GL", backend)
    monkeypatch.setattr(gl, "_has_library", lambda name: False)
    with pytest.raises(RendererUnavailableError, match=f"apt-get install -y {package}"):
        gl.select_backend()


def test_variables_contradict(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    with pytest.raises(RendererUnavailableError, match=r"contradict.*export PYOPENGL_PLATFORM=osmesa"):
        gl.select_backend()


def test_no_context(monkeypatch):
    def fail(backend):
        raise RuntimeError("no display")

    monkeypatch.setattr(gl, "_context", fail)
    with pytest.raises(RendererUnavailableError, match=r"no display.*apt-get install -y libosmesa6"):
        gl.current_context()


def test_egl_after_a_fork(monkeypatch):
    """A context that the parent process made is refused, where it would hang or draw nothing."""
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(gl, "_context", lambda backend: (None, os.getpid() + 1))
    with pytest.raises(RendererUnavailableError, match="'spawn' or 'forkserver'"):
        gl.current_context()
