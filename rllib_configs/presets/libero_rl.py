"""From a scripted expert by way of a clone to GRPO, on LIBERO's suites."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from rllib_configs.config import PPO, TTRL, BehaviorCloning, EnvironmentConfig, Evaluation, Experiment, Resources


def libero_rl(suite: str = "libero_object", **changes: Any) -> Experiment:
    """Clone LIBERO's scripted expert, then improve the clone by GRPO on success; sized for two CPU cores.

    One small policy learns all tasks of the suite from two cameras of 64 pixels, drawn in the quality ``fastest``.
    """
    return Experiment(
        name=f"{suite}_rl",
        iterations=25,
        environment=EnvironmentConfig(
            id="VLA-Libero-v0",
            env_kwargs={"suite": suite, "render_quality": "fastest"},
            image_size=64,
            cameras=("agentview", "wrist"),
            max_episode_steps=160,
        ),
        bc=BehaviorCloning(demonstrations_per_task=15, steps=4000),
        ttrl=TTRL(reward="success", temperature_decay=0.98),
        ppo=PPO(groups_per_iteration=30, lr=2e-4, lr_warmup_iterations=3, num_epochs=4, minibatch_size=512),
        resources=Resources(num_env_runners=2, groups_per_env_runner=15),
        evaluation=Evaluation(num_episodes=250, num_envs=25, interval=5, curve_episodes=250, videos=10, video_stride=4),
    ).replace(**changes)


LIBERO_RL: dict[str, Callable[..., Experiment]] = {
    f"{suite}_rl": update_wrapper(partial(libero_rl, suite), libero_rl)
    for suite in ("libero_object", "libero_spatial", "libero_goal")
}
"""One for each suite whose tasks the expert solves, by the name of its run."""
