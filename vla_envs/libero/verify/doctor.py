"""Examines an installation of LIBERO: what is there, what it simulates and draws, and what makes results differ."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import platform
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vla_envs.errors import DependencyNotInstalled, VLAEnvsError, WorkerError
from vla_envs.libero import official
from vla_envs.libero.assets import find_assets, stand_ins
from vla_envs.libero.render import gl
from vla_envs.libero.suites import INSTALL_COMMAND, package_folder
from vla_envs.libero.verify import golden
from vla_envs.processes import environment_variables, import_settings

PACKAGES = ("numpy", "gymnasium", *official.VERSIONS, "hf-libero", "opencv-python-headless", "torch", "ray")
"""Distributions whose versions are reported."""
VARIABLES = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID", "CUDA_VISIBLE_DEVICES")
"""Environment variables that decide what draws."""
MUJOCO_EFFECTS = (
    ((3, 10), "robosuite 1.4.0 does not run on it"),
    ((3, 4), "objects settle differently: the bowl of libero_spatial 5 lies 3.7 instead of 1.5 cm off its ramekin"),
    ((3, 3, 3), "its results were not compared with those of 3.3.7"),
    ((3, 1), "joint positions drift by some 1e-6 in 100 control steps"),
    ((), "collision shapes are drawn"),
)
"""From this version of MuJoCo on -> what differs from LIBERO's results; the first that applies."""
_REMEDY = f"Install it with: {INSTALL_COMMAND}"

Result = TypeVar("Result")


@dataclass
class Report:
    """What an examination found.

    Attributes:
        versions: distribution -> installed version, None where it is not installed.
        renderer: environment variables that are set, then OpenGL's vendor, renderer and version.
        assets: ``folder`` and ``stand_ins``, the files that are not the official ones; empty without assets.
        fingerprints: ``rollout`` and ``frame`` -> ``value`` and ``expected``, None where none is recorded.
        problems: what makes results differ or fails, each with what to do about it.
    """

    versions: dict[str, str | None] = field(default_factory=dict)
    renderer: dict[str, str] = field(default_factory=dict)
    assets: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, dict[str, str | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def attempt(self, examine: Callable[[Report], None]) -> None:
        """Examine one thing; what it raises is a problem."""
        try:
            examine(self)
        except (VLAEnvsError, DependencyNotInstalled) as error:
            self.problems.append(str(error))
        except Exception as error:  # whatever it is, the rest of the report helps to find it
            self.problems.append(f"{examine.__name__.strip('_')} failed: {type(error).__name__}: {error}")


def examine() -> Report:
    """Examine everything, in some ten seconds; what fails is a problem of the report and never raised."""
    report = Report()
    for part in (_versions, _opencv, _renderer, _assets):
        report.attempt(part)
    if not report.problems:
        report.attempt(_rollout)
        report.attempt(_frame)
    report.attempt(_stand_ins)
    return report


def opengl() -> dict[str, str]:
    """Vendor, renderer and version of the OpenGL that draws.

    Raises:
        RendererUnavailableError: there is none.
    """
    with gl.drawing():
        names = importlib.import_module("OpenGL.GL")
        return {
            name: names.glGetString(getattr(names, f"GL_{name.upper()}")).decode()
            for name in ("vendor", "renderer", "version")
        }


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call ``function`` in a new process: what it leaks, imports or crashes ends with it.

    Args:
        function: of a module, so that the process can import it; its result and exceptions come back.
        arguments: its positional arguments.

    Raises:
        WorkerError: the process ended without an answer.

    >>> in_fresh_process(divmod, 7, 2)
    (3, 1)
    """
    with environment_variables(import_settings()):  # of the process, which starts here
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        answer = pool.submit(function, *arguments)
    with pool:
        try:
            return answer.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                f"The process of {function.__name__!r} died: the memory ran out, or a library crashed. "
                "The reason may stand above, or in the kernel's log: dmesg | tail"
            ) from error


def _versions(report: Report) -> None:
    report.versions = {"python": platform.python_version(), **{name: official.version_of(name) for name in PACKAGES}}
    package_folder()
    for name, problem in official.wrong_versions().items():
        mujoco = report.versions["mujoco"] if name == "mujoco" else None
        effect = f": {_effect_of(mujoco)}" if mujoco else ""
        report.problems.append(f"{problem}{effect}. {_REMEDY}")


def _opencv(report: Report) -> None:
    """An OpenCV that needs a display takes the place of the headless one, whichever was installed last."""
    windowed = [name for name in ("opencv-python", "opencv-contrib-python") if official.version_of(name)]
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        if windowed:
            report.problems.append(
                f"{windowed[0]} needs a display ({error}). Replace it with: pip uninstall -y {' '.join(windowed)} && "
                "pip install --force-reinstall --no-deps opencv-python-headless"
            )


def _renderer(report: Report) -> None:
    report.renderer = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    report.renderer["backend"] = gl.select_backend()
    if report.versions["mujoco"]:
        report.renderer |= in_fresh_process(opengl)


def _assets(report: Report) -> None:
    folder = find_assets()
    report.assets = {"folder": str(folder), "stand_ins": list(stand_ins(folder))}


def _rollout(report: Report) -> None:
    value = in_fresh_process(golden.rollout_fingerprint)
    report.fingerprints["rollout"] = {"value": value, "expected": golden.ROLLOUT}
    if value != golden.ROLLOUT:
        report.problems.append(
            f"The golden rollout ends as {value} and not as {golden.ROLLOUT}: the physics are not LIBERO's. {_REMEDY}"
        )


def _frame(report: Report) -> None:
    value = in_fresh_process(golden.frame_fingerprint)
    expected = golden.expected_frame(report.renderer, report.assets["stand_ins"])
    report.fingerprints["frame"] = {"value": value, "expected": expected}
    if expected not in (None, value):
        report.problems.append(
            f"The golden frame is {value} and not {expected}, which this OpenGL draws with these assets. "
            "Install the assets again with: vla assets libero"
        )


def _stand_ins(report: Report) -> None:
    files = report.assets.get("stand_ins")
    if files:
        report.problems.append(
            f"{len(files)} asset files are stand-ins: images differ from the official ones, but neither physics nor "
            "rewards. Install the official assets with: vla assets libero"
        )


def _effect_of(mujoco: str) -> str:
    version = tuple(int(part) for part in re.findall(r"\d+", mujoco)[:3])
    return next(effect for since, effect in MUJOCO_EFFECTS if version >= since)
