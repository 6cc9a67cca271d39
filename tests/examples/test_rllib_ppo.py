"""``examples/rllib_ppo.py``."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from ray.rllib.algorithms.ppo.ppo_catalog import PPOCatalog
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from tests.examples.running import numbers_after, run_example


def test_rllib_is_told_what_makes_numbers_of_texts():
    """Its own error quotes the space, which names the wrapper."""
    env = gym.make("vla_envs:VLA-Tabletop-v0", image_size=16)
    with pytest.raises(ValueError, match=r"vla_envs\.wrappers\.TokenizeInstruction"):
        PPOCatalog(env.observation_space, env.action_space, DefaultModelConfig())


@pytest.mark.slow
def test_rllibs_own_ppo_trains():
    """Episodes of ten chunks each, with returns, and no error on the way."""
    output = run_example("rllib_ppo.py", "--iterations=2", "--batch-size=80", "--minibatch-size=40")
    returns = numbers_after("mean return", output)
    assert len(returns) == 2
    assert np.isfinite(returns).all()
    assert "episodes of 10.0 chunks" in output
