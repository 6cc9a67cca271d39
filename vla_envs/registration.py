"""Registers the environment ids with Gymnasium.

Runs on ``import vla_envs``; installed, the package is also a ``gymnasium.envs`` plugin, so that
``gymnasium.make("vla_envs:VLA-Tabletop-v0")`` and a plain ``gymnasium.make`` both find the ids.
"""

from __future__ import annotations

import gymnasium as gym

ENTRY_POINTS = {
    "VLA-Tabletop-v0": "vla_envs.tabletop.env:TabletopEnv",
    "VLA-Libero-v0": "vla_envs.libero.env:LiberoEnv",
}
"""Environment id -> class, imported when the environment is made."""


def register_envs() -> None:
    """Register every id that is not registered yet. The environments count their own step limits."""
    for env_id, entry_point in ENTRY_POINTS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, entry_point=entry_point)
