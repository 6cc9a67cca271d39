"""Defaults of RLlib that are wrong for this job, beside what replaces them.

Others are where they belong: the bias for short episodes in ``test_env_runner.py``, cut episodes and repeated
rows in ``test_batching.py``, rounds that time out silently in ``test_group_sampler.py``.
"""

import time

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_configs.algorithm.batching import GroupTrainingData
from tests.rllib_configs.setups import make_module, reach_config, reach_runner, starts

MICRO_BATCH = 5


def sampled(runner):
    groups, _ = runner.sample_groups(starts(2, seed=0), [1.0] * 4)
    return [episode for group in groups for episode in group.episodes]


def watch_values(learner):
    """(rows, whether gradients are recorded) of every question to the critic, in a list that grows."""
    policy, asked = learner.module["default_policy"].policy, []
    answer = policy.get_value

    def get_value(observations):
        asked.append((len(observations["state"]), torch.is_grad_enabled()))
        return answer(observations)

    policy.get_value = get_value
    return asked


@pytest.fixture(scope="module")
def config():
    return reach_config(adv_estimator="gae", micro_batch_size=MICRO_BATCH)


@pytest.fixture(scope="module")
def runner(config):
    return reach_runner(config)


def test_the_critic_is_asked_a_few_observations_at_a_time(config, runner):
    """RLlib asks about the whole iteration at once, and keeps what a gradient through it would need."""
    episodes = sampled(runner)
    observations = sum(len(episode) + 1 for episode in episodes)
    ours = config.build_learner(env=runner.env)
    asked = watch_values(ours)
    ours.update(training_data=GroupTrainingData.of(episodes), timesteps={})
    assert max(rows for rows, _ in asked) == MICRO_BATCH
    assert not any(recorded for _, recorded in asked)
    stock = config.copy(copy_frozen=False).learners(learner_class=PPOTorchLearner).build_learner(env=runner.env)
    asked = watch_values(stock)
    stock._make_batch_if_necessary(TrainingData(episodes=episodes))
    assert asked == [(observations, True)]


def test_no_logits_are_stored(config, runner):
    """RLlib's loss cannot do without: 256 numbers a token."""
    episodes = sampled(runner)
    assert Columns.ACTION_DIST_INPUTS not in episodes[0].extra_model_outputs
    stock = config.copy(copy_frozen=False).learners(learner_class=PPOTorchLearner).build_learner(env=runner.env)
    with pytest.raises(KeyError, match=Columns.ACTION_DIST_INPUTS):
        stock.update(episodes=episodes, timesteps={})


def test_weights_in_bfloat16_can_be_sent():
    """NumPy, which RLlib turns them into, does not know that type."""
    module = make_module().bfloat16()
    with pytest.raises(TypeError, match="BFloat16"):
        TorchRLModule.get_state(module)
    assert all(each.dtype == np.float32 for each in module.get_state().values())


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(("in_flight", "arrives"), [(1, False), (None, True)], ids=["RLlib's", "ours"])
def test_weights_reach_a_runner_that_is_busy(in_flight, arrives, tmp_path):
    """RLlib allows one request at a time, and drops a second set of weights without a word."""
    config = reach_config().env_runners(num_env_runners=1)
    if in_flight is not None:
        config.env_runners(max_requests_in_flight_per_env_runner=in_flight)
    algorithm = config.build_algo()
    may_end = tmp_path / "may_end"

    def be_busy(runner):
        while not may_end.exists():
            time.sleep(0.01)

    try:
        state = algorithm.training_state()
        algorithm.env_runner_group.foreach_env_runner(lambda runner: None)  # the weights of the setup have arrived
        algorithm.env_runner_group.foreach_env_runner_async(be_busy, tag="busy")
        for shift in (1.0, 2.0):
            state["learner"]["module"] = {name: each + shift for name, each in state["learner"]["module"].items()}
            algorithm.load_training_state(state)
        may_end.touch()
        (weights,) = algorithm.env_runner_group.foreach_env_runner(lambda runner: runner.module.get_state())
        expected = state["learner"]["module"]
        assert all(np.array_equal(weights[name], expected[name]) for name in expected) == arrives
    finally:
        algorithm.stop()
