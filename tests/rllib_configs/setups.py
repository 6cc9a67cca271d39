"""Small real configurations that the tests of RLlib share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.rl_module import RLModuleSpec

from rllib_configs.algorithm import VLAPPOConfig
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.rl_module import VLAModule
from rllib_configs.config import PPO, TTRL, EnvironmentConfig, Experiment, Resources
from tests.reach_env import register
from vla_envs.group import GroupStart, NumberedStarts
from vla_envs.wrappers import ActionChunk, TokenizeInstruction

GROUP_SIZE = 4
CHUNK_SIZE = 2
TOKEN_LENGTH = 6
POLICY = {"chunk_size": CHUNK_SIZE, "token_length": TOKEN_LENGTH, "bins": 16, "hidden": 32}
"""A policy that answers in a millisecond."""
SMALL = Experiment(
    environment=EnvironmentConfig(task_id=0, image_size=16, chunk_size=4, max_episode_steps=8),
    ttrl=TTRL(n_votes_per_prompt=2),
    ppo=PPO(groups_per_iteration=2),
    resources=Resources(num_env_runners=0, groups_per_env_runner=2),
)
"""On the tabletop, with two groups of two."""
HOT = {"base_temperature": 6.0}
"""At which the small policy tries out every direction."""


def module_spec(*, reference: bool = False, **policy) -> RLModuleSpec:
    """The module of the small policy, or of one with other fields."""
    model_config = {"policy": {"kind": "tiny", "config": {**POLICY, **policy}}, "reference": reference}
    return RLModuleSpec(module_class=VLAModule, model_config=model_config)


def make_module(seed=0, **policy) -> VLAModule:
    """The module itself, without a runner around it."""
    model_config = {**module_spec(**policy).model_config, "seed": seed}
    return VLAModule(observation_space=None, action_space=None, model_config=model_config)


def wrap(env: gym.Env, chunk_size: int = CHUNK_SIZE) -> gym.Env:
    """The wrappers that the small policy needs."""
    return TokenizeInstruction(ActionChunk(env, chunk_size), TOKEN_LENGTH)


def reach_config(
    *, groups: int = 2, seed: int | None = 0, env_config=None, ttrl: Mapping[str, Any] | None = None, **training
) -> VLAPPOConfig:
    """VLAPPO on the reach environment, everything in this process.

    Args:
        groups: of an iteration, side by side.
        seed: of the run.
        env_config: further keywords of the environment.
        ttrl: fields of TTRL; groups are of four at temperature 1 unless they say otherwise.
        **training: further arguments of ``training``.
    """
    config = VLAPPOConfig()
    config.environment(register(), env_config={"wrap": wrap, "split": "train", **(env_config or {})})
    config.env_runners(num_env_runners=0, groups_per_env_runner=groups)
    config.learners(num_learners=0)
    options = TTRL(
        **{"n_votes_per_prompt": GROUP_SIZE, "base_temperature": 1.0, "temperature_range": 0.0, **(ttrl or {})}
    )
    config.training(ttrl=options, **{"groups_per_iteration": groups, "minibatch_size": 64, "num_epochs": 1, **training})
    config.rl_module(rl_module_spec=module_spec(reference=config.reference_kl is not None))
    config.debugging(seed=seed)
    return config


def reach_runner(config: VLAPPOConfig | None = None, **changes) -> GroupEnvRunner:
    """The runner of a configuration, or of :func:`reach_config`, without Ray and with a module of its own."""
    config = config or reach_config(**changes)
    return GroupEnvRunner(config=config.learners(num_learners=1))  # which would be in another process


def starts(number: int, seed: int = 7, skip: int = 0) -> list[GroupStart]:
    """The first groups of a run, or some that follow."""
    numbered = NumberedStarts(seed)
    return [numbered.draw() for _ in range(skip + number)][skip:]


def learner_weights(algorithm):
    """Of the first learner, by name."""
    return algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID]


def runner_weights(algorithm):
    """Of each runner."""
    states = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.get_state(components=COMPONENT_RL_MODULE)[COMPONENT_RL_MODULE]
    )
    return [state.get(DEFAULT_MODULE_ID, state) for state in states]


def assert_same_weights(state, expected):
    """Bit for bit."""
    assert set(state) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


def spread(runners=0, learners=0, ttrl=None, **changes):
    """Runners and learners in processes of their own; half of what is sampled has a signal."""
    options = {"groups_per_iteration": 8, "env_config": {"num_init_states": 100}, **changes}
    config = reach_config(groups=4, ttrl={**HOT, **(ttrl or {})}, **options)
    return config.env_runners(num_env_runners=runners).learners(num_learners=learners)
