"""VLAPPO on RLlib's new API stack."""

from ray.tune import register_trainable

from rllib_configs.algorithm.algorithm import VLAPPO
from rllib_configs.algorithm.config import VLAPPOConfig

__all__ = ["VLAPPO", "VLAPPOConfig"]

# For ``tune.run("VLAPPO", ...)``.
register_trainable("VLAPPO", VLAPPO)
