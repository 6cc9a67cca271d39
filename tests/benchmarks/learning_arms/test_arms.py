"""The arms of the learning benchmark, which are data."""

import dataclasses
from itertools import chain

import pytest

pytest.importorskip("ray")

from benchmarks.learning_arms import arms


@pytest.mark.parametrize("name", [*arms.FIRST, *arms.ARMS])
def test_every_arm_can_be_trained(name, tmp_path):
    """As far as can be told without training."""
    arms.experiment(name, 0, tmp_path).validate()


@pytest.mark.parametrize("arm", arms.ARMS)
def test_arms_differ_in_nothing_but_reward_and_update(arm, tmp_path):
    """Those with the same first policy have the same tasks and as many trajectories."""
    other = arms.experiment(arm, 1, tmp_path)
    plain = next(name for name, each in arms.ARMS.items() if each.first == arms.ARMS[arm].first and not each.changes)
    base = arms.experiment(plain, 1, tmp_path)
    assert dataclasses.replace(other, name=base.name, ttrl=base.ttrl, ppo=base.ppo) == base
    assert other.ppo.groups_per_iteration == base.ppo.groups_per_iteration
    assert other.ttrl.n_votes_per_prompt == base.ttrl.n_votes_per_prompt


@pytest.mark.parametrize("arm", arms.ARMS)
def test_an_arm_starts_from_the_policy_of_its_seed(arm, tmp_path):
    """Which the first run leaves where a run leaves its policy; it was cloned on the same tasks."""
    first = arms.experiment(arms.ARMS[arm].first, 2, tmp_path)
    trained = arms.experiment(arm, 2, tmp_path)
    assert first.policy.path is None
    assert first.iterations == 0
    assert trained.policy.path == str(tmp_path / first.name / "policy")
    assert trained.environment == first.environment


def test_first_policies_come_once_and_first():
    """Each that an arm needs, and no other."""
    asked = ["many_nsr", "success", "many_grpo"]
    assert arms.with_first(asked) == ["first", "many", *asked]
    assert set(arms.with_first(arms.ARMS)) == {*arms.FIRST, *arms.ARMS}


@pytest.mark.parametrize("arm", ["final_state", "changed_state"])
def test_the_arms_without_labels_never_ask_the_environment(arm, tmp_path):
    """Not where their vote abstains either."""
    ttrl = arms.experiment(arm, 0, tmp_path).ttrl
    assert (ttrl.reward, ttrl.outcome, ttrl.use_env_fallback) == ("vote", f"{arm}_cluster", False)


def test_every_arm_is_in_a_panel():
    """And panels show nothing else."""
    assert set(chain.from_iterable(arms.PANELS.values())) == set(arms.ARMS)
