"""Learning to track a target beside TorchRL: ``python benchmarks/learning.py --task tracking``."""

from benchmarks.tracking.compare import main

__all__ = ["main"]
