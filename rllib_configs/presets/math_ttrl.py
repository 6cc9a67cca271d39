"""TTRL on mathematics, with the options of a published run."""

from __future__ import annotations

from typing import Any

from rllib_configs.config import (
    PPO,
    BehaviorCloning,
    CausalLMConfig,
    EnvironmentConfig,
    Evaluation,
    Experiment,
    Resources,
)
from rllib_configs.presets.text_ttrl import ANSWERS_VOTE
from vla_envs.group import NSR

BOXED = "\nPlease reason step by step, and put your final answer within \\boxed{}."
"""What Qwen2.5-Math is asked for."""


def math_ttrl(**changes: Any) -> Experiment:
    """TTRL of Qwen2.5-Math-1.5B with negative sample reinforcement, on a node with 8 GPUs.

    ``environment.env_kwargs`` names the questions, a file in TTRL's layout. An answer counts as correct where it agrees
    with the vote.
    """
    return Experiment(
        name="math_ttrl",
        iterations=240,
        environment=EnvironmentConfig(id="VLA-Text-v0"),
        policy=CausalLMConfig(
            model="Qwen/Qwen2.5-Math-1.5B",
            response_length=3072,
            prompt=f"<|im_start|>user\n{{question}}{BOXED}<|im_end|>\n<|im_start|>assistant\n",
            gradient_checkpointing=True,
        ),
        bc=BehaviorCloning(demonstrations_per_task=0),
        ttrl=ANSWERS_VOTE,
        ppo=PPO(
            adv_estimator="grpo_nsr",
            nsr=NSR(correctness_threshold=0.5),
            groups_per_iteration=32,
            lr=5e-7,
            lr_warmup_iterations=7,
            num_epochs=1,
            minibatch_size=1024,
            micro_batch_size=4,
        ),
        resources=Resources(
            num_env_runners=8,
            groups_per_env_runner=1,
            num_gpus_per_env_runner=0.5,
            num_learners=8,
            num_gpus_per_learner=0.5,
        ),
        checkpoint_interval=40,
        evaluation=Evaluation(interval=5, videos=0),
    ).replace(**changes)
