"""How much memory a process has held."""

from __future__ import annotations

import resource
import sys

import torch

PEAK_MEMORY = "peak_memory"
"""Metric of a runner or learner, in bytes."""


def peak_memory(device: torch.device | None = None) -> int:
    """The most bytes that PyTorch has held on a GPU, or else that this process has held."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
