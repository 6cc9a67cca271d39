"""VLAPPO on RLlib's new API stack."""

from rllib_configs.algorithm.algorithm import VLAPPO
from rllib_configs.algorithm.config import VLAPPOConfig

__all__ = ["VLAPPO", "VLAPPOConfig"]
