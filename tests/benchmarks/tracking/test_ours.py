"""Our side of the comparison."""

import pytest
import torch

from benchmarks.tracking.compare import OURS
from benchmarks.tracking.ours import POLICIES, configure


def weights(policy, seed):
    """Of a module as the algorithm builds it."""
    spec = configure(policy, seed).rl_module_spec
    module = spec.module_class(observation_space=None, action_space=None, model_config=spec.model_config)
    return torch.cat([each.detach().flatten() for each in module.parameters()])


def test_the_policies_are_those_that_are_compared():
    assert tuple(POLICIES) == OURS


@pytest.mark.parametrize("policy", OURS)
def test_the_seed_fixes_the_first_weights(policy):
    assert torch.equal(weights(policy, 1), weights(policy, 1))
    assert not torch.equal(weights(policy, 1), weights(policy, 2))


@pytest.mark.parametrize("policy", OURS)
def test_everything_happens_in_one_process(policy):
    config = configure(policy, seed=0)
    config.validate()
    assert config.num_env_runners == config.num_learners == 0
