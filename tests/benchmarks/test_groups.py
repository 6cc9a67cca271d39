"""The benchmark of groups runs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_it_prints_a_row_per_image_size():
    """Bare environment, group, image copy and what group and stack add, each a number."""
    command = [sys.executable, "-m", "benchmarks.groups", "--repetitions", "1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    _, *rows = run.stdout.splitlines()
    assert [row.split()[:2] for row in rows] == [["image", "64"], ["image", "128"], ["image", "256"]]
    assert all(len([float(each) for each in row.split()[2:]]) == 5 for row in rows)
