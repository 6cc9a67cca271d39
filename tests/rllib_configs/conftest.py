"""Faults for environments in worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def faults(tmp_path, monkeypatch) -> Path:
    """The folder that :mod:`tests.rllib_configs.unlucky` looks for faults in, here and in workers."""
    monkeypatch.setenv("VLA_TEST_FAULTS", str(tmp_path))
    return tmp_path
