"""Our side of the comparison: VLAPPO on the tracking task from random weights, telling where it stands.

Arguments: a name of :data:`POLICIES`, and the seed.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import ray
import torch
from ray.rllib.core.rl_module import RLModuleSpec

from benchmarks.side_by_side.worker import take_over_stdout
from benchmarks.tracking.env import ACTION_DIM, ENV_ID
from benchmarks.tracking.policy import BINS, CHUNK_SIZE, IMAGE_SIZE, TrackingModule
from rllib_configs.algorithm import VLAPPO, VLAPPOConfig
from rllib_configs.algorithm.rl_module import VLAModule
from rllib_configs.config import PPO, TTRL, EnvironmentConfig, Experiment, Resources
from rllib_configs.run.actors import greedy
from rllib_configs.run.evaluation import evaluate, held_out_prompts, success_rate

EVALUATION_INTERVAL = 5
"""Iterations."""
EPISODES = 200
"""Greedy episodes of an evaluation, on targets that training never sees."""
ENVIRONMENT = EnvironmentConfig(id=ENV_ID, image_size=IMAGE_SIZE, chunk_size=CHUNK_SIZE, token_length=4)

TINY = {
    "chunk_size": CHUNK_SIZE,
    "action_dim": ACTION_DIM,
    "bins": BINS,
    "state_scale": (1.0,) * 2 * ACTION_DIM,
    "token_length": ENVIRONMENT.token_length,
}
POLICIES: dict[str, tuple[type[VLAModule], dict[str, Any]]] = {
    "independent bins": (TrackingModule, {}),
    "tiny policy": (VLAModule, {"policy": {"kind": "tiny", "config": TINY}}),
}
"""The network of the recipe, which knows nothing of actions to begin with, and the small one of this package, each as
the module that hosts it and what its configuration says beside the seed."""


def main() -> None:
    """Train for ever; whoever reads the lines ends it."""
    policy, seed = sys.argv[1], int(sys.argv[2])
    answers = take_over_stdout()
    torch.set_num_threads(1)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    algorithm = VLAPPO(configure(policy, seed))
    prompts = held_out_prompts(ENVIRONMENT, "eval", EPISODES)
    totals = {"trajectories": 0, "timesteps": 0}
    while True:
        result = algorithm.train()
        totals = {name: total + int(result["rollout"][name]) for name, total in totals.items()}
        success = None
        if result["training_iteration"] % EVALUATION_INTERVAL == 0:
            success = success_rate(evaluate(greedy(algorithm.policy_copy()), ENVIRONMENT, prompts, EPISODES))
        print(json.dumps({**totals, "sampled": result["ttrl"]["success_rate"], "greedy": success}), file=answers)


def configure(policy: str, seed: int) -> VLAPPOConfig:
    """Groups of 16 trajectories, rewarded by success and speed, in one process.

    >>> configure("tiny policy", seed=0).group_size
    16
    """
    experiment = Experiment(
        seed=seed,
        environment=ENVIRONMENT,
        ttrl=TTRL(n_votes_per_prompt=16, base_temperature=1.0, temperature_range=0.0, reward="efficiency"),
        ppo=PPO(groups_per_iteration=8, lr=5e-3, num_epochs=4, minibatch_size=256, clip_param_high=0.28),
        resources=Resources(num_env_runners=0, groups_per_env_runner=8),
    )
    module_class, model_config = POLICIES[policy]
    module = RLModuleSpec(module_class=module_class, model_config={**model_config, "seed": seed})
    return experiment.to_rllib().rl_module(rl_module_spec=module)


if __name__ == "__main__":
    main()
