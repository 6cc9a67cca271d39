"""One Ray for all tests of this folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def faults(tmp_path, monkeypatch) -> Path:
    """The folder that :mod:`tests.rllib_configs.unlucky` looks for faults in, here and in workers."""
    monkeypatch.setenv("VLA_TEST_FAULTS", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def local_ray():
    """No dashboard; its workers import this package and these tests. More processes than cores, most of them idle."""
    import ray

    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    yield
    ray.shutdown()
