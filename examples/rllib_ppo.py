"""PPO of RLlib as it comes, on an environment of this package.

    python examples/rllib_ppo.py --iterations 5

RLlib's own models take vectors: a text fits none, nor does a chunk of actions in rows. So the instruction becomes word
ids, a chunk of actions one vector, and images and state one vector as well. From scratch nothing is ever rewarded:
this shows the plumbing. ``rllib_configs.VLAPPO`` hosts a pretrained policy and trains on whole groups of trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import ray
import tyro
from gymnasium.wrappers import FlattenObservation
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from vla_envs.wrappers import ActionChunk, EfficiencyReward, TokenizeInstruction


@dataclass
class Args:
    """Options of the command line."""

    env_id: str = "vla_envs:VLA-Tabletop-v0"
    """id of the environment: any of vla_envs, with the module that registers it"""
    task_id: int = 0
    """index of the task in the suite of the environment"""
    image_size: int = 16
    """height and width of the images in pixels"""
    chunk_size: int = 8
    """number of actions that are executed between two observations"""
    iterations: int = 5
    """number of iterations, each of which samples a batch and updates the policy"""
    batch_size: int = 400
    """number of steps in a batch; a step is an observation and the chunk of actions chosen for it"""
    minibatch_size: int = 100
    """number of steps in a gradient step"""
    learning_rate: float = 3e-4
    """learning rate of Adam"""
    seed: int = 0
    """seed of everything that is random"""


def make_env(env_config: dict[str, Any]) -> gym.Env:
    """Vectors in and out, and one observation for each chunk of actions."""
    args = Args(**env_config)
    env = gym.make(args.env_id, task_id=args.task_id, image_size=args.image_size, split="train")
    env = EfficiencyReward(ActionChunk(env, args.chunk_size, flat=True))
    return FlattenObservation(TokenizeInstruction(env))


def configure(args: Args) -> PPOConfig:
    """RLlib's PPO with nothing replaced."""
    register_env("vla", make_env)
    return (
        PPOConfig()
        .environment("vla", env_config=vars(args))
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .learners(num_learners=0)
        .training(
            lr=args.learning_rate,
            train_batch_size_per_learner=args.batch_size,
            minibatch_size=args.minibatch_size,
            num_epochs=4,
        )
        .debugging(seed=args.seed)
    )


def main(args: Args) -> None:
    """Train, and say how it goes."""
    ray.init(include_dashboard=False, ignore_reinit_error=True)
    algorithm = configure(args).build_algo()
    for iteration in range(args.iterations):
        sampled = algorithm.train()["env_runners"]
        print(
            f"iteration {iteration}: {sampled['num_episodes']} episodes of {sampled['episode_len_mean']:.1f} chunks, "
            f"mean return {sampled['episode_return_mean']:.3f}",
            flush=True,
        )
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main(tyro.cli(Args))
