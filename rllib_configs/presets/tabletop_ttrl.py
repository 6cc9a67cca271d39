"""The default: clone a policy on the embedded tabletop, then improve it by groups of trajectories."""

from __future__ import annotations

from typing import Any

from rllib_configs.config import PPO, TTRL, BehaviorCloning, EnvironmentConfig, Evaluation, Experiment, Resources


def tabletop_ttrl(**changes: Any) -> Experiment:
    """GRPO on success over groups of 8 trajectories, on two cubes and two plates.

    Tasks 0-3 share every start image: which cube goes on which plate is only in the instruction.
    Sized for six minutes of two CPU cores; ``environment.task_id=None`` takes all 16 tasks, which need more of
    everything.
    """
    return Experiment(
        name="tabletop_ttrl",
        iterations=60,
        time_limit_minutes=9.0,
        environment=EnvironmentConfig(id="VLA-Tabletop-v0", task_id=(0, 1, 2, 3), max_episode_steps=40),
        bc=BehaviorCloning(demonstrations_per_task=50),
        ttrl=TTRL(reward="success"),
        ppo=PPO(groups_per_iteration=32, lr=5e-4, lr_warmup_iterations=5, num_epochs=4, minibatch_size=512),
        resources=Resources(num_env_runners=2, groups_per_env_runner=16),
        evaluation=Evaluation(num_episodes=200, curve_episodes=200, videos=6),
    ).replace(**changes)
