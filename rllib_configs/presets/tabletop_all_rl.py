"""All sixteen tabletop tasks at once, as far as they go in half an hour."""

from __future__ import annotations

from typing import Any

from rllib_configs.config import BehaviorCloning, Evaluation, Experiment, Resources
from rllib_configs.presets.tabletop_ttrl import tabletop_ttrl


def tabletop_all_rl(**changes: Any) -> Experiment:
    """One small policy on all 16 tabletop tasks, which sees through two cameras: a clone of 2,560 demonstrations, then
    GRPO on success. Sized for half an hour of two CPU cores.
    """
    default = tabletop_ttrl()
    return default.replace(
        name="tabletop_all_rl",
        time_limit_minutes=None,
        environment=default.environment.replace(
            task_id=None,
            image_size=64,
            cameras=("agentview", "wrist"),
            max_episode_steps=None,
            env_kwargs={"num_init_states": 1000},
        ),
        bc=BehaviorCloning(
            demonstrations_per_task=160, steps=3500, final_lr=3e-4, buffer_rows=120_000, rotation_noise=0.3
        ),
        ttrl=default.ttrl.replace(temperature_decay=0.985),
        ppo=default.ppo.replace(groups_per_iteration=64, lr=2e-4, minibatch_size=256),
        resources=Resources(num_env_runners=2, groups_per_env_runner=32, torch_threads=2),
        evaluation=Evaluation(num_episodes=480, curve_episodes=320, interval=20),
    ).replace(**changes)
