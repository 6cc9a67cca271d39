"""Ids and what can be made from them."""

import pickle

import gymnasium as gym
import pytest

from vla_envs.registration import ENVIRONMENTS


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_a_spec_survives_json_and_pickle(env_id):
    """So that recordings and worker processes can rebuild the environment."""
    spec = gym.spec(env_id)
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_an_environment_is_rebuilt_from_its_own_spec():
    """With its keywords."""
    env = gym.make("VLA-Tabletop-v0", task_id=3, image_size=32)
    rebuilt = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert rebuilt.observation_space == env.observation_space
    assert rebuilt.unwrapped.task_ids == (3,)


def test_a_vector_environment_is_made_from_an_id_with_its_module():
    """``module:id`` imports the package by itself, as a worker process needs it."""
    envs = gym.make_vec("vla_envs:VLA-Tabletop-v0", num_envs=2, group_size=2, image_size=16)
    assert envs.num_groups == 1
