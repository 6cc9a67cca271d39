"""Two stages on the tabletop: clone DINOv2 and BERT from five demonstrations a task, then PPO with a critic."""

from __future__ import annotations

from typing import Any

from rllib_configs.config import (
    PPO,
    TTRL,
    BehaviorCloning,
    DINOv2BertConfig,
    EnvironmentConfig,
    Evaluation,
    Experiment,
    Resources,
)


def tabletop_bc_ppo(**changes: Any) -> Experiment:
    """Open and close the drawer; small encoders of random weights, all trained; about 2,048 timesteps an update.

    The critic is trained alone first, an update ends at a KL of 0.02, and the standard deviation of the actions decays
    from 0.1. Pretrained encoders (``policy.vision``, ``policy.text``) want a lower ``ppo.lr``, such as 3e-6.
    """
    return Experiment(
        name="tabletop_bc_ppo",
        iterations=10,
        environment=EnvironmentConfig(id="VLA-Tabletop-v0", task_id=(9, 12)),
        policy=DINOv2BertConfig(),
        bc=BehaviorCloning(demonstrations_per_task=5, steps=500),
        ttrl=TTRL(
            n_votes_per_prompt=1, base_temperature=1.0, temperature_range=0.0, temperature_decay=0.98, reward="env"
        ),
        ppo=PPO(
            adv_estimator="gae",
            groups_per_iteration=384,
            lr=2e-5,
            num_epochs=4,
            minibatch_size=64,
            target_kl=0.02,
            vf_clip_range=0.2,
            vf_warmup_iterations=2,
        ),
        resources=Resources(num_env_runners=0, groups_per_env_runner=384),
        evaluation=Evaluation(num_episodes=100, curve_episodes=100, interval=5, videos=6),
    ).replace(**changes)
