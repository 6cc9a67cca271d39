"""Runs an example as its reader does, and reads what it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = r"(nan|[-+]?(?:inf|\d[\d.]*(?:e[-+]?\d+)?))"


def run_example(name: str, *options: str) -> str:
    """What ``python examples/NAME OPTIONS`` prints; its errors are shown where it fails."""
    command = [sys.executable, str(EXAMPLES / name), *options]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def numbers_after(label: str, output: str) -> list[float]:
    """The numbers that follow a label, wherever it is printed."""
    return [float(each) for each in re.findall(rf"\b{re.escape(label)}[ |]+{NUMBER}", output)]
