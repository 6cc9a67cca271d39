"""VLAPPO with runners and learners in processes of their own."""

import numpy as np
import pytest
from ray.rllib.core import DEFAULT_MODULE_ID

from tests.rllib_configs import unlucky
from tests.rllib_configs.setups import (
    HOT,
    assert_same_weights,
    learner_weights,
    reach_config,
    reach_runner,
    runner_weights,
    spread,
)
from vla_envs.errors import InvalidArgumentError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


@pytest.mark.parametrize("runners", [0, 1])
def test_groups_have_as_many_trajectories_as_one_number_says(build, runners):
    """Wherever they are sampled."""
    algorithm = build(reach_config(ttrl={"n_votes_per_prompt": 5}).env_runners(num_env_runners=runners))
    rollout = algorithm.train()["rollout"]
    assert (rollout["groups"], rollout["trajectories"]) == (2, 10)
    assert algorithm.env_runner_group.foreach_env_runner(lambda runner: runner.num_envs) == [10]


def last_gradients(learner):
    """By the name of the parameter."""
    named = learner.policy_module.named_parameters()
    return {name: each.grad.numpy() for name, each in named if each.grad is not None}


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_runners_and_learners_in_processes_change_nothing(build, estimator):
    """Two of each sample the groups that one process samples, and their gradients are its gradients."""
    alone, spread_out = build(spread(adv_estimator=estimator)), build(spread(2, 2, adv_estimator=estimator))
    for _ in range(2):
        expected, result = alone.train(), spread_out.train()
        assert result["ttrl"] == pytest.approx(expected["ttrl"], nan_ok=True)
        assert result["rollout"] == expected["rollout"]
        (truth,) = (each.get() for each in alone.learner_group.foreach_learner(last_gradients))
        for each in spread_out.learner_group.foreach_learner(last_gradients):
            for name, gradient in truth.items():
                np.testing.assert_allclose(each.get()[name], gradient, atol=1e-5, err_msg=name)
        learner, expected = result["learners"][DEFAULT_MODULE_ID], expected["learners"][DEFAULT_MODULE_ID]
        for key in ("policy_loss", "entropy", "approx_kl", "clip_fraction", "vf_loss"):
            assert learner.get(key) == pytest.approx(expected.get(key), abs=1e-5)
    for weights in runner_weights(spread_out):
        assert_same_weights(weights, learner_weights(spread_out))


def test_a_learner_without_a_group_does_not_count_in_the_metrics(build):
    """One group for two learners gives the means of one process."""
    expected, result = (
        build(spread(0, learners, adv_estimator="gae", groups_per_iteration=1)).train() for learners in (0, 2)
    )
    learner, expected = (each["learners"][DEFAULT_MODULE_ID] for each in (result, expected))
    for key in ("policy_loss", "entropy", "approx_kl", "clip_fraction", "vf_loss"):
        assert learner[key] == pytest.approx(expected[key], abs=1e-5)


def test_remote_runners_share_the_prompts_of_an_evaluation(build):
    """None is run twice, and none is left out."""
    config = reach_config(env_config={"num_init_states": 3})
    number = len(reach_runner(config.copy(copy_frozen=False)).prompts())
    config.evaluation(evaluation_interval=1, evaluation_num_env_runners=2, evaluation_duration=number)
    result = build(config).train()["evaluation"]["env_runners"]
    assert result["num_episodes"] == number
    with pytest.raises(InvalidArgumentError, match=rf"at most {number}, the different prompts.*actually: {number + 1}"):
        build(config.copy(copy_frozen=False).evaluation(evaluation_num_env_runners=0, evaluation_duration=number + 1))


def test_remote_runners_act_with_the_learners_weights(build):
    """From their first round on, and after every update: none of the syncs is lost."""
    algorithm = build(spread(2))
    for _ in range(2):
        for weights in runner_weights(algorithm):
            assert_same_weights(weights, learner_weights(algorithm))
        learner = algorithm.train()["learners"][DEFAULT_MODULE_ID]
        assert learner["weights_behind"] == 0
        assert learner["first_ratio_error"] < 1e-5


def test_a_killed_runner_leaves_no_trace_in_the_result(build, tmp_path):
    """Its groups are sampled again, and training is what it would have been."""
    options = {"env_config": {"faults": str(tmp_path)}, "groups_per_iteration": 6, "ttrl": HOT}
    configs = [reach_config(**options).environment(unlucky.ENV_ID) for _ in range(2)]
    quiet, troubled = (build(config.env_runners(num_env_runners=2)) for config in configs)
    quiet.train()
    unlucky.add_faults(tmp_path, 1)
    result = troubled.train()
    assert result["rollout"]["retried_groups"] > 0
    assert result["rollout"]["lost_groups"] == result["rollout"]["invalid_trajectories"] == 0
    for name, value in learner_weights(quiet).items():
        np.testing.assert_allclose(learner_weights(troubled)[name], value, atol=1e-5)
