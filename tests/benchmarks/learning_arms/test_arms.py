"""The arms of the learning benchmark, which are data."""

import dataclasses
from itertools import chain, pairwise

import pytest

pytest.importorskip("ray")

from benchmarks.learning_arms import arms


@pytest.mark.parametrize("name", [*arms.INITIAL, *arms.ARMS])
def test_every_arm_can_be_trained(name, tmp_path):
    """As far as can be told without training."""
    experiment = arms.experiment(name, 0, tmp_path)
    experiment.environment.check_registered()
    experiment.to_rllib().validate()


@pytest.mark.parametrize("panel", arms.PANELS)
def test_arms_of_a_panel_differ_in_nothing_but_reward_and_update(panel, tmp_path):
    """Those with the same initial policy have the same tasks and as many trajectories."""
    shown = [arms.experiment(arm, 1, tmp_path) for arm in arms.PANELS[panel].arms]
    for first, second in pairwise(sorted(shown, key=lambda each: each.policy.path)):
        if first.policy.path == second.policy.path:
            assert dataclasses.replace(second, name=first.name, ttrl=first.ttrl, ppo=first.ppo) == first
            assert second.ppo.groups_per_iteration == first.ppo.groups_per_iteration
            for name in ("n_votes_per_prompt", "base_temperature", "temperature_range"):
                assert getattr(second.ttrl, name) == getattr(first.ttrl, name)


@pytest.mark.parametrize("arm", arms.ARMS)
def test_an_arm_starts_from_the_policy_of_its_seed(arm, tmp_path):
    """Which another run leaves where a run leaves its policy; it has the same tasks."""
    first = arms.experiment(arms.ARMS[arm].initial, 2, tmp_path)
    trained = arms.experiment(arm, 2, tmp_path)
    assert trained.policy.path == str(tmp_path / first.name / "policy")
    assert trained.environment == first.environment


@pytest.mark.parametrize("name", arms.INITIAL)
def test_initial_policies_are_cloned_alone(name, tmp_path):
    """From demonstrations, without an update."""
    first = arms.experiment(name, 0, tmp_path)
    assert first.policy.path is None
    assert first.iterations == 0


def test_what_an_arm_starts_from_comes_before_it_and_once():
    """Through several runs where it has to."""
    assert arms.with_initial(["many_nsr", "success", "many_grpo"]) == [
        "many",
        "many_nsr",
        "initial",
        "success",
        "many_grpo",
    ]
    assert arms.with_initial(["refined_success"]) == ["slow", "slow_success", "refined_success"]
    assert set(arms.with_initial(arms.ARMS)) == {*arms.INITIAL, *arms.ARMS}


@pytest.mark.parametrize(
    "arm", [name for title, panel in arms.PANELS.items() if "no label" in title for name in panel.arms]
)
def test_the_arms_without_labels_never_ask_the_environment(arm, tmp_path):
    """Not where their vote abstains either; those beside them say that they do."""
    ttrl = arms.experiment(arm, 0, tmp_path).ttrl
    asks = ttrl.reward in ("success", "progress") or (ttrl.use_env_fallback and ttrl.reward == "vote")
    assert asks == arm.endswith(("success", "progress"))
    assert asks or ttrl.reward != "vote" or ttrl.outcome.endswith("_state_cluster")


def test_every_arm_is_in_a_panel():
    """And panels show nothing else."""
    assert set(chain.from_iterable(each.arms for each in arms.PANELS.values())) == set(arms.ARMS)
