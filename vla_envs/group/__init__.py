"""N trajectories of one prompt: sampled side by side at several temperatures, compared with each other."""

from vla_envs.group.advantages import ESTIMATORS, group_advantages
from vla_envs.group.temperature import temperature_schedule
from vla_envs.group.vector_env import GroupVectorEnv

__all__ = ["ESTIMATORS", "GroupVectorEnv", "group_advantages", "temperature_schedule"]
