"""Votes among the trajectories of a group, and the rewards that follow from them."""

import dataclasses
import itertools
import math
import warnings
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.vla_envs.group.trajectories import ending_at, make_group, outcomes, successes
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import (
    Rule,
    Selection,
    VoteConfig,
    apply_vote,
    confidence_weight,
    env_success,
    final_state_cluster,
    given_answer,
    group_advantages,
    joint,
    majority_vote,
    noisy,
    revert_vote,
    speed_weight,
)
from vla_envs.rewards import efficiency_reward

RULES = get_args(Rule)
T, F = True, False

weights = st.floats(0.0, 10.0)
weighted_outcomes = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), weights), max_size=10)


def unzip(votes):
    """Outcomes and weights."""
    return [label for label, _ in votes], [weight for _, weight in votes]


def test_three_of_five():
    """The example of the design."""
    vote = majority_vote([True, False, True, True, False])
    assert vote == (True, 0.6, {True: 3, False: 2}, False)


@given(votes=weighted_outcomes, data=st.data())
def test_the_order_of_the_group_never_matters(votes, data):
    """Not even for the rounding of weighted sums."""
    permuted = data.draw(st.permutations(votes))
    assert majority_vote(*unzip(votes)) == majority_vote(*unzip(permuted))


@given(votes=weighted_outcomes, scale=st.floats(0.1, 100.0))
def test_only_ratios_of_weights_matter(votes, scale):
    """All weights times a number elect the same."""
    assume(all(weight == 0.0 or weight > 1e-3 for _, weight in votes))
    ours, scaled = (
        majority_vote(labels, np.multiply(of, factor)) for factor in (1.0, scale) for labels, of in [unzip(votes)]
    )
    assert (ours.label, ours.tie) == (scaled.label, scaled.tie)
    assert ours.ratio == pytest.approx(scaled.ratio)


@given(votes=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=8))
def test_an_integer_weight_is_that_many_votes(votes):
    """A weighted vote is the plain one with trajectories repeated."""
    repeated = [label for label, count in votes for _ in range(count)]
    assert majority_vote(*unzip(votes)) == majority_vote(repeated)


@given(votes=outcomes, abstentions=st.integers(0, 5))
def test_who_abstains_does_not_count(votes, abstentions):
    """None changes neither the label nor the ratio."""
    assert majority_vote(votes + [None] * abstentions) == majority_vote([each for each in votes if each is not None])


@given(n=st.integers(1, 8), data=st.data())
def test_a_tie_elects_nobody(n, data):
    """In any order, and the ratio says how it stood."""
    vote = majority_vote(data.draw(st.permutations([True] * n + [False] * n)))
    assert vote.tie
    assert vote.label is None
    assert vote.ratio == 0.5


def test_weights_that_add_up_to_a_tie_but_for_rounding_are_a_tie():
    """0.1 + 0.2 is not 0.3 in floating point."""
    assert majority_vote([True, True, False], [0.1, 0.2, 0.3]).tie


def test_nobody_voting_is_no_tie():
    """No label, no ratio."""
    assert majority_vote([None, None]) == (None, 0.0, {}, False)


def test_a_leader_of_many_outcomes_may_have_less_than_half():
    """Plurality elects; the ratio tells."""
    vote = majority_vote(["a", "a", "b", "c", "d"])
    assert (vote.label, vote.ratio) == ("a", 0.4)


@pytest.mark.parametrize(("n", "p", "expected"), [(3, 0.3, 0.784), (5, 0.3, 0.837), (5, 0.4, 0.683), (5, 0.7, 0.163)])
def test_how_often_the_majority_fails(n, p, expected):
    """Trap 10: enumerated over all groups."""
    failing = sum(
        p ** sum(group) * (1 - p) ** (n - sum(group))
        for group in itertools.product([True, False], repeat=n)
        if majority_vote(group).label is False
    )
    assert failing == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("n", "p", "expected"), [(4, 0.5, 0.375), (4, 0.3, 0.265), (4, 0.7, 0.265), (64, 0.5, 0.099)])
def test_how_often_an_even_group_ties(n, p, expected):
    """Trap 11: by the binomial distribution of successes."""
    tied = sum(
        math.comb(n, wins) * p**wins * (1 - p) ** (n - wins)
        for wins in range(n + 1)
        if majority_vote([True] * wins + [False] * (n - wins)).tie
    )
    assert tied == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("given_weights", [[1.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf], [1e308, 1e308]])
def test_impossible_weights_are_refused(given_weights):
    """Too few, negative or not finite."""
    with pytest.raises(ValueError, match=r"2 numbers of at least 0|`weights` to be finite numbers"):
        majority_vote([True, False], given_weights)


def test_failures_have_a_vote_by_speed():
    """Under the efficiency reward one success would outvote any number of failures."""
    group = make_group([True, False, False], steps=[80, 80, 80])
    labels = [each.success for each in group]
    assert majority_vote(labels, [speed_weight(each) for each in group]).label is False
    assert majority_vote(labels, efficiency_reward(labels, 80, 80)).label is True


def test_a_fast_trajectory_has_more_of_a_vote():
    """One fast failure against one slow success."""
    group = make_group([True, False], steps=[80, 8])
    assert majority_vote([True, False], [speed_weight(each) for each in group]).label is False


def test_defaults_are_those_of_the_design():
    """5 vote, the first 3 are trained on, any strict majority is enough, the environment is asked where it is none."""
    config = dataclasses.asdict(VoteConfig())
    assert config == {
        "n_votes_per_prompt": 5,
        "n_samples_per_prompt": 3,
        "min_confidence_ratio": 0.5,
        "use_env_fallback": True,
        "log_detailed_metrics": True,
        "rule": "agreement_if_success",
        "select": "first",
        "outcome": env_success,
        "weight": None,
        "vote_share": 1.0,
        "n_verdicts": 5,
    }


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_votes_per_prompt": 1, "n_samples_per_prompt": 1}, "`n_votes_per_prompt` to be .* at least 2, actually: 1"),
        ({"n_votes_per_prompt": 5.0}, "an integer of at least 2, actually: 5.0"),
        ({"n_samples_per_prompt": 0}, "`n_samples_per_prompt` to be an integer of at least 1, actually: 0"),
        ({"n_samples_per_prompt": 6}, r"at most `n_votes_per_prompt` \(5\), actually: 6"),
        ({"min_confidence_ratio": 1.0}, "below 1.* actually: 1.0"),
        ({"min_confidence_ratio": -0.1}, "at least 0.* actually: -0.1"),
        ({"vote_share": -0.1}, "`vote_share` to be a number from 0 to 1, actually: -0.1"),
        ({"vote_share": 1.1}, "`vote_share` to be a number from 0 to 1, actually: 1.1"),
        ({"rule": "plurality"}, ", ".join(map(repr, RULES))),
        ({"select": "best"}, ", ".join(map(repr, get_args(Selection)))),
        ({"rule": "denoise", "n_verdicts": 0}, "`n_verdicts` to be an integer of at least 1"),
        ({"rule": "denoise", "weight": speed_weight}, "no `weight` for the rule 'denoise'"),
    ],
)
def test_impossible_options_are_refused(options, named):
    """Each error names the field, what is valid and what was given."""
    with pytest.raises(InvalidArgumentError, match=named):
        VoteConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"min_confidence_ratio": 0.55},
        {"min_confidence_ratio": 0.0},
        {"min_confidence_ratio": 0.3, "outcome": noisy(env_success, 0.1)},
        {"min_confidence_ratio": 0.6, "rule": "denoise", "n_verdicts": 3},
    ],
)
def test_a_threshold_that_cannot_bind_is_warned_of(options):
    """Trap 9: two outcomes and 5 votes have a ratio of 0.6 at least."""
    with pytest.warns(UserWarning, match="excludes nothing"):
        VoteConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_confidence_ratio": 0.6},
        {"min_confidence_ratio": 0.55, "n_votes_per_prompt": 64},
        {"min_confidence_ratio": 0.3, "rule": "agreement", "outcome": final_state_cluster(0.1)},
        {"min_confidence_ratio": 0.55, "weight": speed_weight},
    ],
)
def test_a_threshold_that_can_bind_is_not(options):
    """Nor is the default, which claims no more than a strict majority."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VoteConfig(**options)


def rewards_of(success, **options):
    """Rewards and their sources of a group after a vote."""
    voted = apply_vote(make_group(success), VoteConfig(**options))
    return voted.rewards.tolist(), sorted(set(voted.source.tolist()))


@pytest.mark.parametrize(
    ("rule", "success", "expected", "source"),
    [
        ("agreement", [T, F, T, T, F], [1, 0, 1, 1, 0], "vote"),
        ("agreement", [T, F, F, T, F], [0, 1, 1, 0, 1], "vote"),
        ("agreement_if_success", [T, F, T, T, F], [1, 0, 1, 1, 0], "vote"),
        ("agreement_if_success", [T, F, F, T, F], [1, 0, 0, 1, 0], "environment"),
        ("disagree", [T, F, T, T, F], [0, -1, 0, 0, -1], "vote"),
        ("disagree", [T, F, T, F], [1, 0, 1, 0], "environment"),
        ("label", [T, F, T, T, F], [1, 1, 1, 1, 1], "vote"),
        ("label", [T, F, F, T, F], [0, 0, 0, 0, 0], "vote"),
        ("denoise", [T, F, F, T, F], [1, 0, 0, 1, 0], "vote"),
        ("agreement", [T, F, T, F], [1, 0, 1, 0], "environment"),
        ("agreement_if_success", [T, F, T, F], [1, 0, 1, 0], "environment"),
        ("label", [T, F, T, F], [1, 0, 1, 0], "environment"),
    ],
)
def test_rules(rule, success, expected, source):
    """A vote for success, one for failure, and a tie, which the environment decides."""
    assert rewards_of(success, rule=rule) == (expected, [source])


@pytest.mark.parametrize(
    ("rule", "success"),
    [("agreement_if_success", [T, F, F, T, F]), ("agreement", [T, F]), ("agreement_if_success", [T, F])],
)
def test_without_the_fallback_an_abstaining_vote_trains_nothing(rule, success):
    """No reward, no trajectory to train on, no advantage."""
    group = apply_vote(make_group(success), VoteConfig(rule=rule, use_env_fallback=False))
    assert group.rewards.tolist() == [0.0] * len(success)
    assert not group.trained.any()
    assert not group.advantages().any()


ANSWERS = ["118", "118", "117", None, "18", "118"]


def answering(answers, right="118", **columns):
    return make_group([each == right for each in answers], answer=answers, **columns)


def test_only_those_that_disagree_are_trained_on():
    """They are compared with all that answered, those that agree among them; who has no answer has no reward."""
    config = VoteConfig(6, 6, rule="disagree", outcome=given_answer, use_env_fallback=False, min_confidence_ratio=0.0)
    voted = apply_vote(answering(ANSWERS), config)
    assert voted.vote.label == "118"
    assert voted.rewards.tolist() == [0, 0, -1, 0, -1, 0]
    assert voted.trained.tolist() == [F, F, T, F, T, F]
    agreement = apply_vote(answering(ANSWERS), dataclasses.replace(config, rule="agreement"))
    np.testing.assert_allclose(voted.advantages(), agreement.advantages())
    assert (voted.advantages()[voted.trained] < 0).all()


def test_a_vote_that_abstains_trains_whom_the_fallback_pays():
    """There is nobody to agree with."""
    voted = apply_vote(answering(["1", "2"]), VoteConfig(2, 2, rule="disagree", outcome=given_answer))
    assert voted.trained.all()


def test_a_reverted_vote_leaves_the_environments_rewards():
    """For all, also those that were not selected or had no reward."""
    voted = apply_vote(answering(ANSWERS, right="18"), VoteConfig(6, 2, rule="agreement", outcome=given_answer))
    reverted = revert_vote(voted)
    assert voted.rewards.tolist() != reverted.rewards.tolist() == [0, 0, 0, 0, 1, 0]
    assert reverted.trained.all()
    assert reverted.vote == voted.vote
    np.testing.assert_allclose(reverted.advantages(), group_advantages(reverted.rewards))


def test_likely_tokens_weigh_more():
    """One sure trajectory outvotes two that guess."""
    group = answering(["1", "2", "2"], confidence=[-0.1, -1.5, -1.5])
    config = VoteConfig(3, 3, rule="agreement", outcome=given_answer, weight=confidence_weight)
    assert apply_vote(group, config).vote.label == "1"
    assert apply_vote(group, dataclasses.replace(config, weight=None)).vote.label == "2"


def test_a_confidence_that_is_not_known_weighs_nothing():
    """The error names it."""
    config = VoteConfig(2, 2, rule="agreement", weight=confidence_weight)
    with pytest.raises(InvalidArgumentError, match="`confidence`"):
        apply_vote(make_group([T, F]), config)


def test_a_majority_that_fails_is_rewarded_by_agreement():
    """Trap 10: a group that fails altogether gets reward 1 for everyone."""
    assert rewards_of([F, F, F], rule="agreement") == ([1, 1, 1], ["vote"])


@given(
    success=st.lists(st.booleans(), min_size=2, max_size=12), rule=st.sampled_from(["agreement_if_success", "denoise"])
)
def test_the_default_rule_never_prefers_a_failure(success, rule):
    """No failure has more than a success of its group, whatever the vote."""
    group = apply_vote(make_group(success), VoteConfig(rule=rule, use_env_fallback=True))
    wins, losses = group.rewards[group.success], group.rewards[~group.success]
    assert wins.min(initial=1.0) >= losses.max(initial=0.0)


@pytest.mark.parametrize("rule", RULES)
@given(success=successes, data=st.data())
def test_rewards_do_not_depend_on_the_order_of_the_group(rule, success, data):
    """They move with their trajectories."""
    order = data.draw(st.permutations(range(len(success))))
    group = make_group(success)
    voted, permuted = (apply_vote(each, VoteConfig(rule=rule)) for each in (group, [group[i] for i in order]))
    assert voted.rewards[order].tolist() == permuted.rewards.tolist()


def test_a_flipped_vote_changes_the_advantages():
    """Trap 13: the vote reaches what the learner sees, though no success has changed."""
    group = make_group([T, T, T, F, F])
    honest, inverted = (VoteConfig(rule="agreement", outcome=noisy(env_success, p)) for p in (0.0, 1.0))
    flipped = apply_vote(group, VoteConfig(rule="agreement", outcome=lambda each: each.index < 2)).advantages()
    assert apply_vote(group, honest).advantages().tolist() != flipped.tolist()
    assert apply_vote(group, inverted).rewards.tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(("ratio", "source"), [(0.5, "vote"), (0.6, "environment"), (0.7, "environment")])
def test_low_confidence_abstains(ratio, source):
    """Trap 14: the threshold is read; 0.6 excludes 3 of 5."""
    group = make_group([T, T, F, F, F])
    config = VoteConfig(rule="agreement", min_confidence_ratio=ratio)
    voted = apply_vote(group, config)
    assert set(voted.source) == {source}
    assert voted.confident == (source == "vote")


def test_who_abstains_is_rewarded_by_the_environment_or_not_at_all():
    """A verifier without an opinion on one trajectory."""
    group = make_group([T, T, T])

    def verifier(each):
        return None if each.index == 1 else True

    fallback = apply_vote(group, VoteConfig(3, 3, outcome=verifier))
    assert fallback.source.tolist() == ["vote", "environment", "vote"]
    alone = apply_vote(group, VoteConfig(3, 3, outcome=verifier, use_env_fallback=False))
    assert alone.trained.tolist() == [True, False, True]


def test_agreement_of_final_states_needs_no_labels():
    """Those that end where most do are rewarded, though the environment calls all failures."""
    group = ending_at(0.0, 0.01, 5.0, 0.02, 7.0)
    config = VoteConfig(rule="agreement", outcome=final_state_cluster(0.05), use_env_fallback=False)
    assert apply_vote(group, config).rewards.tolist() == [1, 1, 0, 1, 0]


def test_clusters_have_no_use_for_a_rule_that_asks_for_success():
    """The error names the rule that they need."""
    with pytest.raises(InvalidArgumentError, match="need the rule 'agreement'"):
        apply_vote(ending_at(0.0, 0.0), VoteConfig(outcome=final_state_cluster(0.05)))


def test_votes_over_several_dimensions():
    """Of the successes only those that end alike agree with the vote."""
    group = make_group([T, T, T, F], final_state=[np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1)])
    config = VoteConfig(4, 4, outcome=joint(env_success, final_state_cluster(0.1)), min_confidence_ratio=0.4)
    assert apply_vote(group, config).rewards.tolist() == [1, 1, 0, 0]


def test_weights_elect():
    """Two fast failures outvote three slow successes."""
    group = make_group([T, T, T, F, F], steps=[80, 80, 80, 1, 1])
    assert apply_vote(group, VoteConfig(weight=speed_weight)).vote.label is False


def test_denoising_outvotes_a_noisy_verifier():
    """101 verdicts on each trajectory are right where single ones err in 3 of 10."""
    group = make_group([T, F] * 20)
    config = VoteConfig(40, 40, rule="denoise", outcome=noisy(env_success, 0.3, seed=0), n_verdicts=101)
    assert apply_vote(group, config).rewards.tolist() == [1, 0] * 20


def test_denoising_abstains_where_verdicts_tie():
    """Trajectory by trajectory: another's verdicts do not matter."""
    verdicts = {0: itertools.cycle([T]), 1: itertools.cycle([T, F])}
    config = VoteConfig(
        2, 2, rule="denoise", outcome=lambda each: next(verdicts[each.index]), n_verdicts=2, use_env_fallback=False
    )
    voted = apply_vote(make_group([T, T]), config)
    assert voted.source.tolist() == ["vote", "none"]
    assert not voted.confident


@given(success=successes, rule=st.sampled_from(RULES), share=st.floats(0, 1), fallback=st.booleans())
def test_a_shared_reward_lies_between_vote_and_environment(success, rule, share, fallback):
    """Where the vote abstains, the share changes nothing."""
    options = {"rule": rule, "use_env_fallback": fallback}
    shared, alone = (apply_vote(make_group(success), VoteConfig(**options, vote_share=each)) for each in (share, 1.0))
    expected = np.where(alone.source == "vote", share * alone.rewards + (1 - share) * alone.env_rewards, alone.rewards)
    np.testing.assert_allclose(shared.rewards, expected)
    assert shared.source.tolist() == alone.source.tolist()


@pytest.mark.parametrize("rule", RULES)
def test_votes_never_touch_the_truth(rule):
    """`success` and the environment's reward stay beside the voted reward."""
    voted = apply_vote(make_group([F, F, T]), VoteConfig(3, 3, rule=rule))
    assert voted.success.tolist() == [F, F, T]
    assert voted.env_rewards.tolist() == [0, 0, 1]


def test_nsr_reads_success_and_not_the_voted_reward():
    """Trap 16: where failing is rewarded, the rewarded still weigh as failures."""
    voted = apply_vote(make_group([F, F, T, F, T]), VoteConfig(rule="agreement"))
    np.testing.assert_allclose(
        voted.advantages("grpo_nsr"), voted.advantages("grpo") * np.where(voted.success, 0.1, 1.0)
    )


def test_as_many_as_asked_for_are_trained_on():
    """Three of five; all where faults have left two."""
    assert apply_vote(make_group([T, F, T, T, F]), VoteConfig()).trained.tolist() == [T, T, T, F, F]
    assert apply_vote(make_group([T, F]), VoteConfig()).trained.tolist() == [T, T]


def test_selection_follows_its_criterion():
    """`majority_first` sees the vote."""
    voted = apply_vote(make_group([F, F, T, T, T]), VoteConfig(select="majority_first"))
    assert voted.selected.tolist() == [F, F, T, T, T]


def test_nobody_cannot_vote():
    """An empty group is a mistake of the caller."""
    with pytest.raises(InvalidArgumentError, match="at least one"):
        apply_vote([], VoteConfig())


# Learning from votes: a policy that succeeds in 3 of 10 trials, and has one parameter to learn.

UNTRAINED = 0.3


def train(config, seed, updates=300, learning_rate=0.5):
    """The success rate after REINFORCE on voted groups; success is Bernoulli with the sigmoid of the parameter."""
    rng = np.random.default_rng(seed)
    parameter = np.log(UNTRAINED / (1 - UNTRAINED))
    for _ in range(updates):
        rate = 1 / (1 + np.exp(-parameter))
        voted = apply_vote(make_group(rng.random(config.n_votes_per_prompt) < rate), config)
        # d log p(c) / d parameter = c - rate.
        gradient = voted.advantages() * (voted.success - rate)
        parameter += learning_rate * gradient[voted.trained].sum() / config.n_samples_per_prompt
    return 1 / (1 + np.exp(-parameter))


@pytest.mark.parametrize("use_env_fallback", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_default_rule_never_ends_below_the_untrained_policy(seed, use_env_fallback):
    """No update of it can hurt; without the fallback it learns from the rare votes for success alone."""
    assert train(VoteConfig(use_env_fallback=use_env_fallback), seed) > UNTRAINED


@pytest.mark.parametrize("use_env_fallback", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_nor_with_a_verifier_that_errs(seed, use_env_fallback):
    """In one of ten verdicts."""
    outcome = noisy(env_success, 0.1, seed=seed)
    assert train(VoteConfig(outcome=outcome, use_env_fallback=use_env_fallback), seed) > UNTRAINED


@pytest.mark.parametrize("seed", range(5))
def test_plain_agreement_collapses(seed):
    """Trap 10: the majority fails, so failing is rewarded, and fails more."""
    assert train(VoteConfig(rule="agreement"), seed) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_the_voted_outcome_for_all_teaches_nothing(seed):
    """Equal rewards: the policy stays where it was, but for ties, of which five have none."""
    assert train(VoteConfig(rule="label"), seed) == pytest.approx(UNTRAINED)
