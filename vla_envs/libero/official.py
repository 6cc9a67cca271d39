"""The one place that imports the official LIBERO package and robosuite, and keeps them quiet."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from vla_envs.errors import InvalidArgumentError, require_extra
from vla_envs.files import atomic_write_text, expanded, user_cache
from vla_envs.libero.suites import INSTALL_COMMAND, PACKAGES, package_folder
from vla_envs.processes import environment_variables

VERSIONS = {"mujoco": "3.3.7", "robosuite": PACKAGES["robosuite"], "bddl": PACKAGES["bddl"]}
"""Distribution -> the version whose physics and pixels are LIBERO's.

MuJoCo 3.4 changed how boxes touch, and robosuite 1.5 dropped classes that LIBERO subclasses.
"""


def check_installed() -> None:
    """Raise unless LIBERO and the exact versions it needs are installed.

    Raises:
        DependencyNotInstalled: naming what is there, what is needed and the pip command.
    """
    package_folder()
    for problem in wrong_versions().values():
        raise DependencyNotInstalled(f"{problem}. Install it with: {INSTALL_COMMAND}")
    require_extra("mujoco", "libero")


def wrong_versions() -> dict[str, str]:
    """Distribution -> which version LIBERO needs and what is there, for each of :data:`VERSIONS` that is not met."""
    found = {name: version_of(name) for name in VERSIONS}
    states = {name: f"{version} is installed" if version else "is not installed" for name, version in found.items()}
    return {
        name: f"LIBERO needs {name} {needed}, but {name} {states[name]}"
        for name, needed in VERSIONS.items()
        if found[name] != needed
    }


def versions() -> dict[str, str]:
    """The installed versions of what simulates, to be reported beside results."""
    return {name: version_of(name) or "unknown" for name in (*VERSIONS, "hf-libero")}


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution, None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def package_folders() -> list[str]:
    """Where the packages are whose files a task's scene names, found without importing them."""
    specs = (importlib.util.find_spec(name) for name in ("libero", "robosuite"))
    return [place for spec in specs if spec for place in spec.submodule_search_locations or ()]


def make_problem(bddl_file: Path, assets: Path) -> Any:
    """The official environment of a task (``ControlEnv``), without a renderer or camera observations.

    Draws from NumPy's global generator. Its constructor gives up where the objects that it places
    at random do not fit; another seed lets them.

    Raises:
        DependencyNotInstalled: a package that LIBERO imports is missing.
    """
    wrapper, errors = _environment_modules(assets)
    for seed in itertools.count():
        np.random.seed(seed)
        try:
            return wrapper.ControlEnv(str(bddl_file), has_offscreen_renderer=False, use_camera_obs=False)
        except errors.RandomizationError:
            continue


def make_reference(bddl_file: Path, assets: Path, image_size: int | None = None) -> Any:
    """The official environment as its users construct it: ``OffScreenRenderEnv``.

    Args:
        bddl_file: the task.
        assets: the asset folder.
        image_size: height and width of both cameras in pixels; None makes the same environment without a renderer.

    Raises:
        DependencyNotInstalled: a package that LIBERO imports is missing.
    """
    wrapper, errors = _environment_modules(assets)
    while True:  # the generator has moved on when the objects did not fit
        try:
            if image_size is None:
                return wrapper.ControlEnv(str(bddl_file), has_offscreen_renderer=False, use_camera_obs=False)
            return wrapper.OffScreenRenderEnv(
                bddl_file_name=str(bddl_file), camera_heights=image_size, camera_widths=image_size
            )
        except errors.RandomizationError:
            continue


def transform_functions() -> ModuleType:
    """robosuite's functions of rotations."""
    with quiet_import():
        return require_extra("robosuite.utils.transform_utils", "libero")


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Give NumPy's global generator, which the official code draws from, back as it was."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Import LIBERO without its question on stdin, a file in the home directory or robosuite's log file and advice."""
    # Where robosuite finds no settings file of the user's (its version 1.4 would not use it), it says so in
    # /tmp/robosuite.log and cannot be imported if that is another user's. It finds an empty one.
    sys.modules.setdefault("robosuite.macros_private", ModuleType("robosuite.macros_private"))
    variables: dict[str, str | None] = {
        "LIBERO_CONFIG_PATH": str(_config_folder(os.environ.get("LIBERO_CONFIG_PATH"))),
        # robosuite asserts that it is one of CUDA_VISIBLE_DEVICES, which EGL's numbers do not follow.
        "MUJOCO_EGL_DEVICE_ID": None,
    }
    with warnings.catch_warnings(), environment_variables(variables):
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _environment_modules(assets: Path) -> tuple[ModuleType, ModuleType]:
    """LIBERO's environments, which take their meshes and textures from ``assets``, and robosuite's errors."""
    with quiet_import():
        wrapper = require_extra("libero.libero.envs.env_wrapper", "libero")
        errors = require_extra("robosuite.utils.errors", "libero")
        libero: Any = importlib.import_module("libero.libero")
    libero._assets_path_cache = str(assets)
    return wrapper, errors


def _config_folder(named: str | None) -> Path:
    """The user's LIBERO config folder if there is one, else a private one of ours."""
    with suppress(InvalidArgumentError):  # a user without a home
        theirs = Path(named) if named else expanded("~/.libero")
        if (theirs / "config.yaml").is_file():
            return theirs
    root = package_folder()
    config = {
        "assets": root / "assets",  # unread by hf-libero, which asks get_assets_path()
        "bddl_files": root / "bddl_files",
        "benchmark_root": root,
        "datasets": root.parent / "datasets",
        "init_states": root / "init_files",
    }
    ours = user_cache() / "vla_envs" / "libero-config"
    text = json.dumps({key: str(path) for key, path in config.items()}, indent=1)  # JSON is YAML
    if not _holds(ours / "config.yaml", text):
        try:
            atomic_write_text(ours / "config.yaml", text)
        except OSError as error:
            raise InvalidArgumentError(
                f"Expect a folder that can be written for the settings of LIBERO, actually: {ours} ({error}). Name "
                "another one for what is cached in XDG_CACHE_HOME."
            ) from error
    return ours


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text
