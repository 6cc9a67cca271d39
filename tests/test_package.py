"""The package as a whole: what importing it costs, what it ships, which way its arrows point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path

import gymnasium as gym
import pytest

import vla_envs

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("vla_envs", "policies", "rllib_configs")
ROOMS = ("vla_envs.tabletop", "vla_envs.libero", "vla_envs.robotwin")
SIMULATORS = ("mujoco", "robosuite", "bddl", "libero", "sapien", "toppra")

FORBIDDEN = {
    "vla_envs": ("policies", "rllib_configs", "torch", "ray"),
    "policies": ("rllib_configs", "ray"),
    "rllib_configs/config": (
        *(f"rllib_configs.{room}" for room in ("algorithm", "cli", "presets", "run")),
        "ray",
        "torch",
    ),
    "rllib_configs/presets": (*(f"rllib_configs.{room}" for room in ("algorithm", "cli", "run")), "ray", "torch"),
    "rllib_configs/algorithm": tuple(f"rllib_configs.{room}" for room in ("cli", "presets", "run")),
    "rllib_configs/run": tuple(f"rllib_configs.{room}" for room in ("cli", "presets")),
    "vla_envs/group": (*ROOMS, *SIMULATORS),
    "vla_envs/wrappers": (*ROOMS, *SIMULATORS),
    "vla_envs/tabletop": ("vla_envs.group", "vla_envs.wrappers"),
    "vla_envs/libero": ("vla_envs.group", "vla_envs.wrappers"),
    "vla_envs/libero/sim": tuple(
        f"vla_envs.libero.{room}" for room in ("env", "official", "compile", "render", "verify")
    ),
    "vla_envs/libero/compile": tuple(f"vla_envs.libero.{room}" for room in ("env", "render", "verify")),
    "vla_envs/libero/render": tuple(f"vla_envs.libero.{room}" for room in ("env", "official", "compile", "verify")),
    "vla_envs/robotwin": ("vla_envs.group", "vla_envs.wrappers"),
}
"""Folder -> what no module in it imports, at its top or later."""


def test_import_is_light():
    """A fresh `import vla_envs` loads neither torch, nor ray, nor a simulator."""
    code = "import sys, vla_envs; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "ray", "cv2", "scipy", "matplotlib", "numba", *SIMULATORS}
    assert not heavy & set(run.stdout.split())


@pytest.mark.parametrize("env_id", ["VLA-Tabletop-v0", "VLA-Libero-v0"])
def test_ids_are_registered_on_import(env_id):
    assert env_id in gym.registry


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_shipped(package):
    """`py.typed` tells type checkers of users that the annotations count."""
    assert resources.files(package).joinpath("py.typed").is_file()


def test_version_is_that_of_the_metadata():
    try:
        installed = metadata.version("vla-envs")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is imported from a checkout and not installed")
    assert vla_envs.__version__ == installed


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_arrows_point_one_way(folder):
    """Imports inside functions and by name count too."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name, line in imports_of(path)
        if any(f"{name}.".startswith(f"{forbidden}.") for forbidden in FORBIDDEN[folder])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_is_part_of_an_import_circle():
    """Imports inside functions, by name and for type checkers count too."""
    circle = next(circles_in(import_graph()), None)
    assert circle is None, " -> ".join(circle)


def test_a_circle_would_be_found():
    """The check above would pass by blindness otherwise."""
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}
    assert list(circles_in(graph)) == [["b", "c", "b"]]
    assert "vla_envs.arguments" in import_graph()["vla_envs.spec"]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import torch.nn as nn", "torch.nn"),
        ("from vla_envs import tabletop", "vla_envs.tabletop"),
        ("from ..libero.env import LiberoEnv", "vla_envs.libero.env"),
        ("def f():\n    import ray", "ray"),
        ("require_extra('sapien', 'robotwin')", "sapien"),
        ("importlib.import_module('ray')", "ray"),
    ],
)
def test_every_kind_of_import_is_seen(statement, name):
    """The check above would pass by blindness otherwise."""
    tree = ast.parse(statement)
    assert name in {found for found, _ in imports_in(tree, package=("vla_envs", "group"))}


def test_every_requirement_is_pinned():
    """`constraints.txt` fixes what `make setup` installs, so a new requirement needs a line there."""
    try:
        requirements = metadata.requires("vla-envs") or []
    except metadata.PackageNotFoundError:
        pytest.skip("the package is imported from a checkout and not installed")
    pinned = {distribution_name(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {distribution_name(line) for line in requirements} - pinned == {"torch"}


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="looks at what `make setup` installed")
def test_setup_installs_nothing_that_breaks_torch():
    """torchvision and timm ask for their own torch; NVIDIA packages belong to a CUDA build alone."""
    torch = pytest.importorskip("torch")
    installed = {distribution_name(each.metadata["Name"]) for each in metadata.distributions()}
    unwanted = {"torchvision", "timm", "opencv-python"}
    if torch.version.cuda is None:
        unwanted |= {name for name in installed if name.startswith("nvidia-")}
    assert not unwanted & installed


def import_graph() -> dict[str, set[str]]:
    """Module of this repository -> those that it imports."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return {
        module: {each for each, _ in imports_of(path) if each in modules} - {module} for module, path in modules.items()
    }


def circles_in(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """A circle for every import that leads back to a module from which it came, each module searched once."""
    done: set[str] = set()

    def search(module: str, trail: list[str]) -> Iterator[list[str]]:
        if module in trail:
            yield [*trail[trail.index(module) :], module]
        elif module not in done:
            for imported in sorted(graph[module]):
                yield from search(imported, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        yield from search(module, [])


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted name and line of everything that the file imports."""
    yield from imports_in(ast.parse(path.read_text()), path.relative_to(ROOT).parent.parts)


def imports_in(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            # Where all that is asked for are modules, the package that holds them is not asked for anything.
            yield from ((name, node.lineno) for name in ([] if all(map(is_module, names)) else [source]) + names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "require_extra")):
            yield from ((each.value, node.lineno) for each in node.args[:1] if isinstance(each, ast.Constant))


def is_module(name: str) -> bool:
    """Whether this repository has a module of this name."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def distribution_name(requirement: str) -> str:
    """The normalized name at the start of a requirement: ``imageio[ffmpeg]>=2`` -> ``imageio``."""
    name = re.match(r"[\w.-]*\w", requirement)
    return re.sub(r"[-_.]+", "-", name.group()).lower() if name else ""
