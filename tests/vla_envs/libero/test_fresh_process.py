from __future__ import annotations

import os

import pytest

from vla_envs.errors import WorkerError
from vla_envs.libero.fresh_process import in_fresh_process


def test_another_process_answers():
    assert in_fresh_process(os.getpid) != os.getpid()


def test_exceptions_come_back():
    with pytest.raises(ValueError, match="invalid literal"):
        in_fresh_process(int, "seven")


def test_a_crash_is_an_error():
    """A library that aborts, or the kernel when the memory has run out, ends only that process."""
    with pytest.raises(WorkerError, match="The process of 'abort' died"):
        in_fresh_process(os.abort)
