from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vla_envs.errors import RendererUnavailableError
from vla_envs.libero.render import gl


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """An environment that says nothing about OpenGL; libraries are there."""
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", gl.DEVICE, "CUDA_VISIBLE_DEVICES"):
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


def test_pyopengl_follows(monkeypatch):
    """A worker inherits the parent's choice, and may be told to draw with another library."""
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    monkeypatch.delitem(sys.modules, "OpenGL", raising=False)
    assert gl.select_backend() == os.environ["PYOPENGL_PLATFORM"] == "osmesa"


def test_pyopengl_was_imported_for_another(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    monkeypatch.setitem(sys.modules, "OpenGL", sys)
    with pytest.raises(RendererUnavailableError, match=r"imported for .*=egl.*export PYOPENGL_PLATFORM=osmesa"):
        gl.select_backend()


def test_no_context(monkeypatch):
    def fail(backend):
        raise RuntimeError("no display")

    monkeypatch.setattr(gl, "_context", fail)
    with pytest.raises(RendererUnavailableError, match=r"no display.*apt-get install -y libosmesa6"):
        enter()


@pytest.mark.parametrize("kind", ["OpenGL.error", "mujoco"])
def test_errors_of_drawing_are_named(monkeypatch, kind):
    """An error of PyOpenGL in the middle of a drawing, such as EGL_BAD_ACCESS, comes with the remedy on one line."""
    error = type("EGLError", (Exception,), {"__module__": kind})
    monkeypatch.setattr(gl, "_context", lambda backend: (FakeContext(), os.getpid()))
    monkeypatch.setitem(gl._RELEASE, "osmesa", lambda: None)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    message = r"err = EGL_BAD_ACCESS, \) .*apt-get install -y libosmesa6"
    with pytest.raises(RendererUnavailableError, match=message), gl.drawing():
        raise error("err = EGL_BAD_ACCESS,\n)\n baseOperation")


def test_other_errors_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(gl, "_context", lambda backend: (FakeContext(), os.getpid()))
    monkeypatch.setitem(gl._RELEASE, "osmesa", lambda: None)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(AttributeError, match="a bug"), gl.drawing():
        raise AttributeError("a bug")


def test_the_context_is_let_go_where_the_outermost_block_ends(monkeypatch):
    """Freeing a renderer inside of a drawing, as the garbage collector may, leaves the drawing its context."""
    calls = []
    monkeypatch.setattr(gl, "_context", lambda backend: (FakeContext(calls), os.getpid()))
    monkeypatch.setitem(gl._RELEASE, "osmesa", lambda: calls.append("released"))
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with gl.drawing():
        with gl.drawing():
            calls.append("nested")
        calls.append("outer")
    assert calls == ["current", "nested", "outer", "released"]


class FakeContext:
    """Counts as a context; where it is made current is written down."""

    def __init__(self, calls=None):
        self.calls = [] if calls is None else calls

    def make_current(self):
        self.calls.append("current")


def enter():
    with gl.drawing():
        pass


def test_egl_after_a_fork(monkeypatch):
    """A context that the parent process made is refused, where it would hang or draw nothing."""
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(gl, "_context", lambda backend: (None, os.getpid() + 1))
    with pytest.raises(RendererUnavailableError, match="'spawn' or 'forkserver'"):
        enter()


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, which has loaded no OpenGL library yet."""
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
class TestInAFreshProcess:
    @pytest.mark.parametrize("device", ["99", "-1", "one", ""])
    def test_device_that_does_not_exist(self, device):
        run = python(
            "from vla_envs.libero.render import gl; gl.drawing().__enter__()",
            MUJOCO_GL="egl",
            MUJOCO_EGL_DEVICE_ID=device,
        )
        if "libEGL" in run.stderr:
            pytest.skip("the EGL library is not installed")
        *_, last = run.stderr.splitlines()
        assert "RendererUnavailableError: Expect the environment variable MUJOCO_EGL_DEVICE_ID to be one of" in last
        assert f"actually: {device!r}. Mend it with: unset MUJOCO_EGL_DEVICE_ID" in last

    def test_triton_is_imported_before_mesa(self, tmp_path):
        """A triton that is imported later crashes."""
        loaded = "'OSMesa' in open('/proc/self/maps').read()"
        (tmp_path / "triton.py").write_text(f"mesa_was_loaded = {loaded}")
        draw = "from vla_envs.libero.render import gl; gl.drawing().__enter__()"
        code = f"{draw}; import triton; print(triton.mesa_was_loaded, {loaded})"
        run = python(code, MUJOCO_GL="osmesa", PYTHONPATH=str(tmp_path))
        assert run.stdout.split() == ["False", "True"], run.stderr

    def test_triton_is_left_alone_where_mesa_came_first(self, tmp_path):
        """Whoever imports MuJoCo before has loaded it."""
        (tmp_path / "triton.py").write_text("raise SystemExit('triton crashes')")
        code = "import mujoco; from vla_envs.libero.render import gl; gl.drawing().__enter__(); print('drawing')"
        run = python(code, MUJOCO_GL="osmesa", PYTHONPATH=str(tmp_path))
        assert run.stdout.split() == ["drawing"], run.stderr
