"""VLAPPO as a whole, on a local Ray."""

import numpy as np
import pytest
import torch
from ray import tune
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID

from policies.interface import Policy
from rllib_configs import VLAPPO, Experiment
from rllib_configs.experiment import PPO, TTRL, Environment, Resources
from tests.rllib_configs import unlucky
from tests.rllib_configs.setups import module_spec, reach_config
from vla_envs.group import ESTIMATORS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

ALL_ALIKE = {"env_config": {"temperatures": [1e-6] * 4}}
"""Siblings that all do the most probable thing do equally well: nothing is left to learn from."""


@pytest.fixture
def build():
    """Builds algorithms and stops them after the test."""
    algorithms = []

    def build_one(config=None, **changes):
        algorithms.append((config or reach_config(**changes)).build_algo())
        return algorithms[-1]

    yield build_one
    for algorithm in algorithms:
        algorithm.stop()


def learner_weights(algorithm):
    return algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID]


def runner_weights(algorithm):
    states = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.get_state(components=COMPONENT_RL_MODULE)[COMPONENT_RL_MODULE]
    )
    return [state.get(DEFAULT_MODULE_ID, state) for state in states]


def assert_same_weights(state, expected):
    assert set(state) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


@pytest.mark.parametrize("estimator", [*sorted(ESTIMATORS), "gae"])
def test_an_iteration_runs_with_every_estimator(build, estimator):
    """Its result says how the sampled groups did and what the update did."""
    algorithm = build(num_envs=16, adv_estimator=estimator)
    before = learner_weights(algorithm)
    result = algorithm.train()
    learner = result["learners"][DEFAULT_MODULE_ID]
    assert 0.0 <= result["ttrl"]["success_rate"] <= result["ttrl"]["pass_at_n"] <= 1.0
    assert result["env_runners"]["num_episodes"] == 16
    assert np.isfinite(learner["policy_loss"])
    assert ("vf_loss" in learner) == (estimator == "gae")
    after = learner_weights(algorithm)
    assert any((after[name] != before[name]).any() for name in before)


def test_runners_act_with_the_learners_weights(build):
    """In the driver, after every iteration."""
    algorithm = build(num_envs=16)
    for _ in range(2):
        algorithm.train()
        (weights,) = runner_weights(algorithm)
        assert_same_weights(weights, learner_weights(algorithm))


def test_a_remote_runner_acts_with_the_learners_weights(build):
    """From its first round on, and after every iteration."""
    config = reach_config(num_envs=16)
    config.env_runners(num_env_runners=1)
    algorithm = build(config)
    assert_same_weights(runner_weights(algorithm)[-1], learner_weights(algorithm))
    result = algorithm.train()
    assert_same_weights(runner_weights(algorithm)[-1], learner_weights(algorithm))
    assert result["env_runners"]["num_episodes"] == 16
    assert 0.0 <= result["ttrl"]["success_rate"] <= 1.0


def test_faults_cost_groups_and_not_the_run(build, faults):
    """An iteration without a single whole group updates nothing, and the next one goes on."""
    config = reach_config(num_envs=8, group_size=4, env_config={"num_workers": 1})
    algorithm = build(config.environment(unlucky.ENV_ID))
    before = learner_weights(algorithm)
    unlucky.add_faults(faults, 1)
    result = algorithm.train()
    assert result["rollout"]["invalid_trajectories"] == 8
    assert "ttrl" not in result
    assert_same_weights(learner_weights(algorithm), before)
    result = algorithm.train()
    assert result["rollout"]["invalid_trajectories"] == 0
    assert 0.0 <= result["ttrl"]["success_rate"] <= 1.0


def test_groups_that_are_all_alike_change_nothing(build):
    """RLlib's own update crashes without episodes; here the iteration ends and says why."""
    algorithm = build(**ALL_ALIKE)
    before = learner_weights(algorithm)
    result = algorithm.train()
    assert result["ttrl"]["frac_zero_std_groups"] == 1.0
    assert_same_weights(learner_weights(algorithm), before)


def test_rounds_are_sampled_until_there_are_groups_enough(build):
    """5 groups in rounds of 2 take 3 rounds."""
    result = build(num_envs=8, group_size=4, groups_per_iteration=5).train()
    assert result["env_runners"]["num_episodes"] == 24


def test_the_policy_copy_is_the_learners_and_stays(build):
    """Later updates do not reach it."""
    algorithm = build(num_envs=16)
    policy = algorithm.policy_copy()
    assert isinstance(policy, Policy)
    before = {name: each.clone() for name, each in policy.state_dict().items()}
    algorithm.train()
    assert all(torch.equal(each, before[name]) for name, each in policy.state_dict().items())
    trained = dict(algorithm.policy_copy().named_parameters())
    for name, value in learner_weights(algorithm).items():
        np.testing.assert_array_equal(trained[name.removeprefix("policy.")].detach(), value)


def test_training_goes_on_from_a_checkpoint(build, tmp_path):
    """With the same weights, in the learner and in the runner."""
    algorithm = build(num_envs=16)
    algorithm.train()
    expected = learner_weights(algorithm)
    restored = VLAPPO.from_checkpoint(algorithm.save_to_path(tmp_path / "checkpoint"))
    try:
        assert_same_weights(learner_weights(restored), expected)
        assert_same_weights(runner_weights(restored)[0], expected)
        assert restored.train()["training_iteration"] == 2
    finally:
        restored.stop()


def test_tune_runs_an_experiment(tmp_path):
    """The line of the README, with a smaller experiment."""
    experiment = Experiment(
        environment=Environment(task_id=0, image_size=16, chunk_size=4, max_episode_steps=8),
        ttrl=TTRL(n_votes_per_prompt=2),
        ppo=PPO(groups_per_iteration=2),
        resources=Resources(num_env_runners=0, num_envs_per_env_runner=4),
    )
    config = experiment.to_rllib()
    analysis = tune.run(VLAPPO, config=config, stop={"training_iteration": 1}, storage_path=str(tmp_path), verbose=0)
    (trial,) = analysis.trials
    assert trial.last_result["training_iteration"] == 1
    assert trial.last_result["ttrl"]["success_rate"] == 0.0


def test_group_rl_learns(build):
    """From rare successes to almost certain ones, at a temperature that tries out every direction."""
    env_config = {"num_init_states": 4, "temperatures": [6.0] * 8}
    config = reach_config(num_envs=64, group_size=8, env_config=env_config)
    config.rl_module(rl_module_spec=module_spec(hidden=64))
    algorithm = build(config.training(lr=1e-3, num_epochs=4, minibatch_size=64))
    rates = [algorithm.train()["ttrl"]["success_rate"] for _ in range(30)]
    assert np.mean(rates[:2]) < 0.45
    assert np.mean(rates[-5:]) > 0.85
