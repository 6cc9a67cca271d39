"""LIBERO: 130 manipulation tasks in MuJoCo, as the environment ``VLA-Libero-v0``.

The rooms, from the outside in: ``env`` (the contract) · ``simulator`` (the control loop) ·
``renderer`` · ``builder`` (the official code -> a compiled task) · ``assets`` · ``init_states`` ·
``suites``. Importing this package imports neither MuJoCo nor the LIBERO package.
"""

from vla_envs.libero.env import LiberoEnv
from vla_envs.libero.suites import SUITES

__all__ = ["SUITES", "LiberoEnv"]
