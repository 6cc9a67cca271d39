"""Finds a RoboTwin checkout and says what it lacks and what it draws with, before anything of it runs."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from vla_envs.arguments import check_choice, check_path
from vla_envs.errors import DependencyNotInstalled, MissingAssetsError, RendererUnavailableError
from vla_envs.files import expanded
from vla_envs.robotwin.process import PYTHON, RoboTwinProcess, interpreter

ROOT = "ROBOTWIN_PATH"
"""Environment variable: the checkout, where no argument names one."""
GLOBALS = Path("envs", "_GLOBAL_CONFIGS.py")
INSTALL = "pip install 'vla-envs[robotwin]' && pip install --no-deps sapien==3.0.3"
CLONE = "git clone https://github.com/RoboTwin-Platform/RoboTwin"
EXAMINATION_TIMEOUT = 120.0
"""Seconds in which a process must have imported SAPIEN and asked for a Vulkan device."""
VULKAN_VARIABLES = ("VK_ICD_FILENAMES", "VK_DRIVER_FILES", "CUDA_VISIBLE_DEVICES")
"""Environment variables that decide which Vulkan device there is."""
RAY_TRACING, RASTERIZATION = "rt", "default"
SHADERS = ("auto", RASTERIZATION, "minimal", RAY_TRACING)
NO_DEVICE = (
    "SAPIEN finds no Vulkan device to draw with. On a machine without a GPU Mesa 25 or later is one: apt-get install "
    "mesa-vulkan-drivers libvulkan1 (on Debian 12 with -t bookworm-backports: its own Mesa 22 lacks what SAPIEN "
    "needs); or unpack that package and name its driver's JSON file in VK_ICD_FILENAMES. docs/robotwin.md has the "
    "commands."
)


class Device(NamedTuple):
    """What Vulkan draws with."""

    name: str
    software: bool
    """Whether it is the CPU."""


class Drawing(NamedTuple):
    """A shader of SAPIEN, and whether lights cast shadows."""

    shader: str
    shadows: bool


@dataclass(frozen=True)
class Checkout:
    """A checkout and the interpreter that runs it.

    Attributes:
        root: its folder.
        configs: the folder of its task configurations, which differs between branches.
        scripts: the folder of its scripts.
        versions: distribution -> version in the interpreter of RoboTwin's processes.
        missing: modules that RoboTwin needs and the interpreter lacks.
        device: what draws; None without a Vulkan device.
    """

    root: Path
    configs: Path
    scripts: Path
    versions: dict[str, str]
    missing: tuple[str, ...]
    device: Device | None

    @property
    def download(self) -> str:
        """The command that downloads RoboTwin's assets."""
        return f"cd {self.root} && bash {self.scripts.relative_to(self.root)}/_download_assets.sh"

    @cached_property
    def commit(self) -> str:
        """The checkout's commit, with ``-dirty`` behind it where files differ; ``"unknown"`` outside git."""
        if not (self.root / ".git").exists():  # a repository around it says nothing of it
            return "unknown"
        command = ["git", "-C", str(self.root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """What the assets say of themselves where they are not the official ones: ``assets/PROVENANCE.txt``, line 1."""
        note = self.root / "assets" / "PROVENANCE.txt"
        return (note.read_text().partition("\n")[0],) if note.is_file() else ()

    def check_usable(self) -> Device:
        """What draws, where its processes can simulate and draw.

        Raises:
            DependencyNotInstalled: the interpreter lacks a package.
            RendererUnavailableError: there is no Vulkan device.
        """
        if self.missing:
            raise DependencyNotInstalled(
                f"RoboTwin needs {', '.join(self.missing)}, which {interpreter()} cannot import. Install them with: "
                f"{INSTALL}, or name an interpreter that has them in {PYTHON}."
            )
        if self.device is None:
            raise RendererUnavailableError(NO_DEVICE)
        return self.device


def find_checkout(root: str | Path | None = None) -> Checkout:
    """The checkout at ``root``, else at ``$ROBOTWIN_PATH``.

    It is examined in a process of its own, once for all environments of this one.

    Raises:
        MissingAssetsError: none is named, or there is no RoboTwin.
    """
    named = os.environ.get(ROOT) if root is None else str(check_path("root", root))
    if not named:
        raise MissingAssetsError(
            f"Expect the `root` of a RoboTwin checkout, or {ROOT}, actually: neither. Get one with: {CLONE}"
        )
    path = expanded(named).absolute()
    if not (path / GLOBALS).is_file():
        raise MissingAssetsError(
            f"Expect a RoboTwin checkout at {path}, but it has no {GLOBALS}. Get one with: {CLONE} {path}"
        )
    return _examined(path, interpreter(), tuple(os.environ.get(name) for name in VULKAN_VARIABLES))


def choose_drawing(software: bool, shader: str = "auto", shadows: bool | None = None) -> Drawing:
    """What is drawn with, on a GPU or on a CPU (``software``), where a minute an image is too long.

    Raises:
        InvalidArgumentError: a shader of another name.

    >>> choose_drawing(software=True)
    Drawing(shader='default', shadows=False)
    """
    check_choice("shader", shader, SHADERS)
    if shader == "auto":
        shader = RASTERIZATION if software else RAY_TRACING
    return Drawing(shader, not software if shadows is None else shadows)


@lru_cache
def _examined(root: Path, python: str, variables: tuple[str | None, ...]) -> Checkout:
    """What a process found; the last arguments are what else it depends on."""
    with closing(RoboTwinProcess(None, {}, EXAMINATION_TIMEOUT)) as process:
        process.start()
        found = process.ask("examine", root=str(root))
    return Checkout(
        root=root,
        configs=Path(found["folders"]["configs"]),
        scripts=Path(found["folders"]["scripts"]),
        versions=found["versions"],
        missing=tuple(found["missing"]),
        device=found["device"] and Device(**found["device"]),
    )
