"""Faults for environments in worker processes, and LIBERO's assets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vla_envs.libero.conftest import libero_assets  # noqa: F401  (a fixture)


@pytest.fixture
def faults(tmp_path, monkeypatch) -> Path:
    """The folder that :mod:`tests.rllib_configs.unlucky` looks for faults in, here and in workers."""
    monkeypatch.setenv("VLA_TEST_FAULTS", str(tmp_path))
    return tmp_path
