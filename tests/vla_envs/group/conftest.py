"""What the tests of worker processes share."""

from __future__ import annotations

import gc
import multiprocessing

import pytest

from tests.vla_envs.libero.conftest import libero_assets  # noqa: F401  (a fixture)


def worker_processes():
    """The worker processes of this one by name."""
    return {each.name: each for each in multiprocessing.active_children() if each.name.startswith("vla_envs worker")}


@pytest.fixture
def workers():
    """Gives :func:`worker_processes`; none may be there before the test, and none may stay after it."""
    assert not worker_processes()
    yield worker_processes
    gc.collect()
    assert not worker_processes()
