"""Metrics of votes."""

import itertools
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vla_envs.group.trajectories import ending_at, make_group, successes
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import (
    Rule,
    VoteConfig,
    apply_vote,
    final_state_cluster,
    given_answer,
    pass_at_k,
    trajectory_metrics,
    vote_metrics,
)

RULES = get_args(Rule)
T, F = True, False


def metrics_of(*groups, k=None, **options):
    """Metrics of groups given by their successes."""
    return vote_metrics([apply_vote(make_group(success), VoteConfig(**options)) for success in groups], k=k)


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_is_the_share_of_subsets_with_a_success(n):
    """Enumerated."""
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        group = [True] * c + [False] * (n - c)
        expected = np.mean([any(subset) for subset in itertools.combinations(group, k)])
        assert pass_at_k(n, c, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    "arguments", [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4), (0, 0, 0), (3.0, 1, 1), (3, True, 1)]
)
def test_impossible_passes_are_refused(arguments):
    """More successes or draws than trajectories, or what is no number of them."""
    with pytest.raises(InvalidArgumentError, match=r"`[nck]` to be an integer"):
        pass_at_k(*arguments)


def test_how_the_trajectories_of_a_group_went():
    """Successes of 10 and 30 steps, a failure of 80."""
    metrics = trajectory_metrics(make_group([T, F, T], steps=[10, 80, 30]))
    assert metrics == pytest.approx({"success_rate": 2 / 3, "pass_at_n": 1.0, "steps": 40.0, "steps_per_success": 20.0})


def test_failures_alone_have_no_steps_per_success():
    """And none of them passes."""
    assert trajectory_metrics(make_group([F, F])) == {"success_rate": 0.0, "pass_at_n": 0.0, "steps": 10.0}


@given(groups=st.lists(successes, min_size=1, max_size=4))
def test_voted_groups_have_the_means_of_what_each_did(groups):
    """Whatever they voted; the steps of successes over the groups that have any."""
    metrics = metrics_of(*groups)
    of_each = [trajectory_metrics(make_group(success)) for success in groups]
    for name in {name for each in of_each for name in each}:
        assert metrics[name] == pytest.approx(np.mean([each[name] for each in of_each if name in each]))


def test_two_groups():
    """One votes for success, one for failure, of which the default rule lets the environment decide."""
    metrics = metrics_of([T, F, T, T, F], [F, F, F, F, T], k=2)
    assert metrics == pytest.approx(
        {
            "success_rate": 0.4,
            "pass_at_n": 1.0,
            "pass@2": (0.9 + 0.4) / 2,
            "steps": 10.0,
            "steps_per_success": 10.0,
            "majority_ratio": 0.7,
            "confident": 1.0,
            "frac_zero_std_groups": 0.0,
            "label_accuracy": 1.0,
            "outcome_accuracy": 1.0,
            "reward_accuracy": 1.0,
            "pseudo_reward": 0.4,
            "env_reward": 0.4,
            "vote_term": 0.3,
            "environment_term": 0.1,
            "grpo_nsr_pos_ratio": 2 / 6,
            "grpo_nsr_pos_token_ratio": 2 / 6,
        }
    )


def test_agreement_on_failing_shows_as_rewards_that_are_wrong():
    """The label is right, every reward is not."""
    metrics = metrics_of([F, F, F, F, T], rule="agreement")
    assert (metrics["label_accuracy"], metrics["reward_accuracy"]) == (1.0, 0.0)
    assert (metrics["pseudo_reward"], metrics["env_reward"]) == pytest.approx((0.8, 0.2))


def test_the_terms_of_a_shared_reward_are_visible():
    """A quarter is what the vote says of failing, the rest what the environment says of success."""
    metrics = metrics_of([F, F, F, F, T], rule="agreement", vote_share=0.25)
    assert (metrics["vote_term"], metrics["environment_term"]) == pytest.approx((0.25 * 0.8, 0.75 * 0.2))
    assert metrics["pseudo_reward"] == pytest.approx(0.35)


def test_a_wrong_verifier_shows_as_wrong_labels_and_outcomes():
    """One that calls everything a success."""
    metrics = metrics_of([F, F, F, F, T], outcome=lambda trajectory: True)
    assert (metrics["label_accuracy"], metrics["outcome_accuracy"]) == pytest.approx((0.0, 0.2))


@pytest.mark.parametrize(("success", "zero"), [([T, T, T], 1.0), ([T, F, T], 0.0), ([F, F, F], 1.0)])
def test_groups_without_a_signal_are_counted(success, zero):
    """Trap 19."""
    assert metrics_of(success)["frac_zero_std_groups"] == zero


def test_a_group_without_rewards_has_no_signal():
    """It abstained, and nothing falls back: there is no reward to be right or wrong either."""
    metrics = metrics_of([T, F], use_env_fallback=False, n_samples_per_prompt=2)
    assert metrics["frac_zero_std_groups"] == 1.0
    assert not {"reward_accuracy", "pseudo_reward", "grpo_nsr_pos_ratio", "label_accuracy"} & set(metrics)


def test_a_cluster_is_a_right_label_where_most_of_it_succeeded():
    """Here none did; a cluster itself says neither success nor failure."""
    config = VoteConfig(3, 3, rule="agreement", outcome=final_state_cluster(0.1))
    metrics = vote_metrics([apply_vote(ending_at(0, 0, 9), config)])
    assert metrics["label_accuracy"] == 0.0
    assert "outcome_accuracy" not in metrics


def test_tokens_are_counted_by_steps():
    """A success of 10 steps and two failures of 80 and 10."""
    group = make_group([T, F, F], steps=[10, 80, 10])
    metrics = vote_metrics([apply_vote(group, VoteConfig(3, 3))])
    assert (metrics["grpo_nsr_pos_ratio"], metrics["grpo_nsr_pos_token_ratio"]) == pytest.approx((1 / 3, 0.1))


def test_success_is_counted_before_the_selection():
    """The one success is not among the first three."""
    metrics = metrics_of([F, F, F, F, T], k=5)
    assert (metrics["success_rate"], metrics["pass@5"], metrics["grpo_nsr_pos_ratio"]) == (0.2, 1.0, 0.0)


@given(groups=st.lists(successes, min_size=1, max_size=4), rule=st.sampled_from(RULES))
def test_every_metric_is_a_share(groups, rule):
    """From 0 to 1, for rewards of 0 and 1; but for the lengths of trajectories, and what disagreement is paid."""
    metrics = metrics_of(*groups, rule=rule)
    paid = {name: metrics.pop(name) for name in ("pseudo_reward", "vote_term") if name in metrics}
    lowest = -1.0 if rule == "disagree" else 0.0
    assert all(lowest <= value <= 1.0 for value in paid.values())
    assert all(0.0 <= value <= 1.0 for name, value in metrics.items() if not name.startswith("steps"))


def test_details_can_be_left_out():
    """What remains needs no comparison of the vote with the truth."""
    group = make_group([T, F, T])
    metrics = vote_metrics([apply_vote(group, VoteConfig())], detailed=False)
    assert set(metrics) == {*trajectory_metrics(group), "majority_ratio", "confident", "frac_zero_std_groups"}


def test_no_groups_have_no_metrics():
    """A mistake of the caller."""
    with pytest.raises(InvalidArgumentError, match="at least one"):
        vote_metrics([])


@pytest.mark.parametrize(
    ("answers", "right", "expected"),
    [(["7", "7", "8"], "7", 1.0), (["7", "7", "8"], "8", 0.0), (["7", "8"], "7", None)],
)
def test_the_label_of_answers_is_right_where_who_gave_it_succeeded(answers, right, expected):
    """A tie has no label."""
    group = make_group([each == right for each in answers], answer=answers)
    voted = apply_vote(group, VoteConfig(len(answers), len(answers), rule="agreement", outcome=given_answer))
    assert vote_metrics([voted]).get("label_accuracy") == expected


def test_the_accuracy_of_rewards_knows_where_disagreement_begins():
    """0 for the right ones and -1 for the wrong ones is as right as 1 and 0."""
    answers = ["7", "7", "8"]
    group = make_group([T, T, F], answer=answers)
    voted = apply_vote(group, VoteConfig(3, 3, rule="disagree", outcome=given_answer))
    assert vote_metrics([voted])["reward_accuracy"] == 1.0
    assert vote_metrics([voted])["pseudo_reward"] == pytest.approx(-1 / 3)
