"""Settings of the whole test run, which must stand before torch and ray are imported, and one Ray for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# pytest-xdist runs one process per core already: more threads than that only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tests send nothing anywhere
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning of every worker without a GPU

# A loaded machine is slow, which is no failure; and the same examples run everywhere.
settings.register_profile("vla_envs", deadline=None, derandomize=True)
settings.load_profile("vla_envs")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def local_ray():
    """One for all tests of a process, whose workers import this package and these tests.

    It has more processes than there are cores; most of them are idle.
    """
    import ray

    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of OpenVLA in the official layout."""
    pytest.importorskip("transformers")
    from policies.openvla.random_checkpoint import write_random_checkpoint

    path = tmp_path_factory.mktemp("openvla") / "random"
    write_random_checkpoint(path)
    return path
