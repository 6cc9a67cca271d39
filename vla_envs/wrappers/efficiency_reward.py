"""Rewards a fast success more than a slow one."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from vla_envs.rewards import efficiency_reward


class EfficiencyReward(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Replaces the reward of the step that ends an episode by ``success / (1 + steps / max_steps)``.

    Every other step is rewarded 0. ``info["success"]`` and ``info["task_reward"]`` stay as they are.
    For groups of trajectories score whole trajectories with
    :func:`vla_envs.rewards.efficiency_reward` instead; it takes arrays.

    Args:
        env: an environment whose info has ``success``, ``elapsed_steps`` and ``max_steps``.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import EfficiencyReward
        >>> env = EfficiencyReward(gym.make("VLA-Tabletop-v0", task_id=0))
        >>> _ = env.reset(seed=0)
        >>> env.step(env.action_space.sample())[1]
        0.0
    """

    def __init__(self, env: gym.Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and score the trajectory where it ends."""
        observation, _, terminated, truncated, info = self.env.step(action)
        ended = terminated or truncated
        return observation, self._score(info) if ended else 0.0, terminated, truncated, info

    def _score(self, info: dict[str, Any]) -> float:
        # gymnasium.make(max_episode_steps=...) shortens an episode from outside, unknown to the environment.
        outer = self.env.spec.max_episode_steps if self.env.spec is not None else None
        max_steps = min(info["max_steps"], outer or info["max_steps"])
        return float(efficiency_reward(info["success"], info["elapsed_steps"], max_steps))
