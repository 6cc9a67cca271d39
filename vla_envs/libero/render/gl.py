"""The OpenGL library that draws LIBERO: which one and on which device, and its one context per process."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from vla_envs.errors import RendererUnavailableError

DEVICE = "MUJOCO_EGL_DEVICE_ID"
"""The environment variable that chooses EGL's device by its number, before the process draws for the first time."""
_lock = threading.RLock()
"""Held by the thread that draws. A fork waits for it, so that no child inherits it from a thread that it lacks."""
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_nested = 0
"""How many blocks of :func:`drawing` the thread is in that holds the lock."""
BACKENDS = {"osmesa": ("OSMesa", "libosmesa6"), "egl": ("EGL", "libegl1")}
"""``MUJOCO_GL`` -> library and the Debian package that has it."""


def select_backend() -> str:
    """Choose the backend and tell MuJoCo, robosuite and PyOpenGL, which read it when they are first imported.

    ``MUJOCO_GL`` decides when it is set. Otherwise EGL draws on a machine with an NVIDIA GPU, and
    OSMesa (software, no device needed) everywhere else.

    Raises:
        RendererUnavailableError: the library is absent, ``MUJOCO_GL`` names a backend that cannot
            draw without a window, or PyOpenGL was imported for another.
    """
    backend = os.environ.get("MUJOCO_GL", "").lower().strip() or _default_backend()
    if backend not in BACKENDS:
        raise RendererUnavailableError(
            f"Expect the environment variable MUJOCO_GL to be one of 'egl', 'osmesa', actually: {backend!r}. "
            "Mend it with: export MUJOCO_GL=osmesa"
        )
    library, package = BACKENDS[backend]
    if not _has_library(library):
        raise RendererUnavailableError(
            f"The OpenGL library lib{library} that MUJOCO_GL={backend} draws with cannot be found. "
            f"Install it with: apt-get install -y {package}"
        )
    platform = os.environ.get("PYOPENGL_PLATFORM", backend)
    if platform.lower() != backend and "OpenGL" in sys.modules:
        raise RendererUnavailableError(
            f"PyOpenGL was imported for PYOPENGL_PLATFORM={platform}, but MUJOCO_GL={backend} is to draw. "
            f"Mend it with: export PYOPENGL_PLATFORM={backend}"
        )
    os.environ["PYOPENGL_PLATFORM"] = backend
    _import_triton()
    os.environ["MUJOCO_GL"] = backend
    # Mesa's rasterizing threads do not survive a fork, which then hangs; LIBERO is bound by its
    # vertices and draws as fast without them.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    return backend


@contextmanager
def drawing() -> Iterator[None]:
    """In this block the process's GL context is current in this thread, and other threads wait for it.

    One context serves every renderer of the process: their resources have distinct names in it, so
    that drawing or freeing one never touches another. OpenGL lets one thread at a time use a context,
    which therefore lets go of it at the end. Blocks nest: garbage that is collected in one may be a renderer.

    Raises:
        RendererUnavailableError: the library is there but gives no context or fails to draw, EGL has no device of
            the number ``MUJOCO_EGL_DEVICE_ID``, or it was in use before this process was forked.
    """
    global _nested
    backend = select_backend()
    with _lock, _named_errors(backend):
        if not _nested:
            _make_current(backend)
        _nested += 1
        try:
            yield
        finally:
            _nested -= 1
            if not _nested:
                _RELEASE[backend]()


def _make_current(backend: str) -> None:
    with _named_errors(backend, ImportError, AttributeError, RuntimeError):
        context, owner = _context(backend)
        if backend == "egl" and owner != os.getpid():
            raise RuntimeError("EGL does not survive a fork; start workers with 'spawn' or 'forkserver'")
        context.make_current()


@contextmanager
def _named_errors(backend: str, *kinds: type[Exception]) -> Iterator[None]:
    """Raise errors of these kinds, of PyOpenGL and of MuJoCo as this package's, with the remedy."""
    try:
        yield
    except RendererUnavailableError:
        raise
    except Exception as error:
        # Known by their modules, which may be what cannot be imported.
        if not isinstance(error, kinds) and type(error).__module__.partition(".")[0] not in ("OpenGL", "mujoco"):
            raise
        raise RendererUnavailableError(
            f"OpenGL (MUJOCO_GL={backend}) gives no context to draw in, or fails to draw: {_one_line(error)}. "
            "Software rendering works everywhere: apt-get install -y libosmesa6 && export MUJOCO_GL=osmesa"
        ) from error


def _one_line(error: Exception) -> str:
    """An error's text; those of PyOpenGL have a line for each argument of the call."""
    return " ".join(str(error).split()) or type(error).__name__


def _release_osmesa() -> None:
    library = importlib.import_module("OpenGL.osmesa")
    library.OSMesaMakeCurrent(None, None, importlib.import_module("OpenGL.GL").GL_FLOAT, 0, 0)


def _release_egl() -> None:
    library = importlib.import_module("OpenGL.EGL")
    display = importlib.import_module("mujoco.egl").EGL_DISPLAY
    library.eglMakeCurrent(display, library.EGL_NO_SURFACE, library.EGL_NO_SURFACE, library.EGL_NO_CONTEXT)


_RELEASE = {"osmesa": _release_osmesa, "egl": _release_egl}
"""Backend -> what lets go of the context that is current in this thread."""


@cache
def _context(backend: str) -> tuple[Any, int]:
    """The context and the process that made it; its own size is irrelevant, renderers draw into buffers of theirs."""
    if backend == "egl":
        _check_device()
    context = importlib.import_module(f"mujoco.{backend}").GLContext(16, 16)
    # It lives as long as the process: its destructor would complain at exit, when PyOpenGL is gone.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(context))
    return context, os.getpid()


def _check_device() -> None:
    """Raise when EGL is told to draw on a device that it does not have."""
    device = os.environ.get(DEVICE)
    count = len(importlib.import_module("mujoco.egl.egl_ext").eglQueryDevicesEXT())
    if device is not None and not (device.isdecimal() and int(device) < count):
        raise RendererUnavailableError(
            f"Expect the environment variable {DEVICE} to be one of EGL's devices on this machine, "
            f"{', '.join(map(str, range(count))) or 'which has none'}, actually: {device!r}. "
            f"Mend it with: unset {DEVICE} (the first that works then draws)"
        )


@cache
def _import_triton() -> None:
    """Import triton, where a CUDA build of torch brought it, before Mesa.

    Both have an LLVM. PyOpenGL loads Mesa's for the whole process to see, and a triton that is
    imported later binds to it and crashes; one that is imported before keeps its own. Where other code has loaded
    Mesa, by importing MuJoCo, it is too late for that, and triton is left alone.
    """
    if "OpenGL.osmesa" in sys.modules:
        return
    with suppress(ImportError):
        importlib.import_module("triton")


def _default_backend() -> str:
    has_gpu = Path("/dev/nvidiactl").exists()
    return "egl" if has_gpu and _has_library("EGL") else "osmesa"


@cache
def _has_library(name: str) -> bool:
    return ctypes.util.find_library(name) is not None
