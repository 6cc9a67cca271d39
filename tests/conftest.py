"""Settings of the whole test run; they must stand before torch and ray are imported."""

from __future__ import annotations

import os

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
