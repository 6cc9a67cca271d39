"""How fast LIBERO is, beside the official environment, LeRobot's and TorchRL's: ``python -m benchmarks.libero``."""
