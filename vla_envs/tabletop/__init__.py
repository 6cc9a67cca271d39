"""The embedded default suite: a kinematic tabletop, drawn by numpy alone."""

from vla_envs.tabletop.env import TabletopEnv
from vla_envs.tabletop.expert import Demonstration, Expert, demonstrate

__all__ = ["Demonstration", "Expert", "TabletopEnv", "demonstrate"]
