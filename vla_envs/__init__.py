"""Gymnasium environments and wrappers for reinforcement learning of vision-language-action policies."""

from vla_envs.registration import register_envs

__version__ = "0.1.0"

register_envs()
