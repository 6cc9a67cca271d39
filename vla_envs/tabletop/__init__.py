"""The embedded default suite: a kinematic tabletop, drawn by numpy alone."""

from vla_envs.tabletop.env import TabletopEnv
from vla_envs.tabletop.expert import Expert

__all__ = ["Expert", "TabletopEnv"]
