"""The package's public names, which are imported when they are asked for."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import rllib_configs
from vla_envs.errors import InvalidArgumentError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", rllib_configs.__all__)
def test_public_names_are_there(name):
    """Although some are imported only when asked for."""
    assert getattr(importlib.import_module("rllib_configs"), name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="'rllib_configs' has no attribute 'DQN'"):
        rllib_configs.DQN  # noqa: B018  (asking is the test)


@pytest.mark.parametrize("module", ["rllib_configs", "rllib_configs.config", "rllib_configs.presets"])
def test_importing_it_imports_neither_ray_nor_torch(module):
    """So that `vla --help` answers at once."""
    code = f"import sys, {module}; print({{'ray', 'torch', 'transformers', 'scipy', 'mujoco'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_without_a_home_the_error_says_what_to_set(monkeypatch):
    """Ray is not imported then, and says only that it could not determine one."""
    algorithm = importlib.import_module("rllib_configs.algorithm")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(InvalidArgumentError, match=r"actually: ~/ray_results.*set HOME"):
        importlib.reload(algorithm)
