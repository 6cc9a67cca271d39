"""How a policy is cloned, sampled and updated."""

import dataclasses

import pytest

from rllib_configs.config import PPO, TTRL, Experiment
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import NSR, VoteConfig, temperature_schedule

VOTING = TTRL(reward="vote")
OF_THE_VOTE = {
    "n_votes_per_prompt": 4,
    "n_samples_per_prompt": 3,
    "rule": "agreement",
    "outcome": "noisy_success",
    "vote_weight": "speed",
    "vote_share": 0.5,
    "min_confidence_ratio": 0.9,
    "use_env_fallback": False,
    "select": "efficiency",
    "n_verdicts": 3,
    "log_detailed_metrics": False,
}
"""Other values of the fields that a vote has."""


def test_a_group_is_sampled_from_low_to_high_temperatures():
    ttrl = TTRL(n_votes_per_prompt=4, base_temperature=0.5, temperature_range=0.6)
    assert ttrl.temperatures().tolist() == temperature_schedule(4, 0.5, 0.6).tolist()


@pytest.mark.parametrize("name", sorted(OF_THE_VOTE))
def test_every_field_of_a_vote_changes_it(name):
    """An option without an effect would be a lie."""
    assert VOTING.replace(**{name: OF_THE_VOTE[name]}).vote_config() != VOTING.vote_config()


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ({"outcome": "noisy_success"}, {"noise": 0.1}),
        ({"outcome": "final_state_cluster", "rule": "agreement"}, {"cluster_tolerance": 0.5}),
        ({"outcome": "changed_state_cluster", "rule": "agreement"}, {"cluster_tolerance": 0.5}),
    ],
)
def test_every_field_of_an_outcome_changes_it(base, changes):
    voting = VOTING.replace(**base)
    assert vars(voting.replace(**changes).vote_config().outcome) != vars(voting.vote_config().outcome)


def test_votes_follow_from_the_same_fields():
    """The defaults are those of a vote: N trajectories, all of which are trained on."""
    assert VOTING.vote_config() == VoteConfig(n_votes_per_prompt=8, n_samples_per_prompt=8)


@pytest.mark.parametrize("reward", ["efficiency", "success", "env"])
def test_other_rewards_need_no_vote(reward):
    assert TTRL(reward=reward).vote_config() is None


@pytest.mark.parametrize("reward", ["efficiency", "success", "env"])
def test_a_selection_without_a_vote_is_refused(reward):
    """It would select nothing."""
    with pytest.raises(InvalidArgumentError, match=r"`ttrl\.n_samples_per_prompt` with `ttrl\.reward=vote` alone"):
        TTRL(reward=reward, n_samples_per_prompt=3).vote_config()


def test_more_samples_than_votes_are_refused():
    with pytest.raises(InvalidArgumentError, match="n_samples_per_prompt"):
        VOTING.replace(n_samples_per_prompt=9).vote_config()


@pytest.mark.parametrize(
    "name", [each.name for each in dataclasses.fields(TTRL) if "Literal" in str(each.type) or each.name == "rule"]
)
def test_an_unknown_choice_names_the_valid_ones(name):
    with pytest.raises(
        InvalidArgumentError, match=rf"^Expect the `ttrl\.{name}` to be '.*' or '.*', actually: 'speedy'"
    ):
        TTRL(**{name: "speedy"})


@pytest.mark.parametrize(
    ("ttrl", "ppo", "message"),
    [
        ({"rule": "label"}, {}, "`ttrl.rule` with ttrl.reward=vote alone.*actually: 'label'"),
        ({"outcome": "final_state_cluster"}, {}, "`ttrl.outcome` with ttrl.reward=vote"),
        ({"vote_share": 0.5, "reward": "env"}, {}, "`ttrl.vote_share` with ttrl.reward=vote"),
        ({"select": "diversity", "reward": "vote"}, {}, "`ttrl.select` with ttrl.n_samples_per_prompt below"),
        ({"noise": 0.5, "reward": "vote"}, {}, "`ttrl.noise` with ttrl.outcome=noisy_success"),
        (
            {"cluster_tolerance": 0.5, "reward": "vote"},
            {},
            "`ttrl.cluster_tolerance` with a vote on ttrl.outcome=final",
        ),
        ({"n_verdicts": 9, "reward": "vote"}, {}, "`ttrl.n_verdicts` with ttrl.rule=denoise"),
        (
            {"n_votes_per_prompt": 1, "target_diversity": 0.5},
            {},
            "`ttrl.target_diversity` with ttrl.n_votes",
        ),
        ({"target_diversity": 0.5, "temperature_decay": 0.9}, {}, "`ttrl.temperature_decay` with ttrl.target_d.*None"),
        (
            {"n_votes_per_prompt": 1, "temperature_range": 0.5},
            {},
            "`ttrl.temperature_range` with ttrl.n_votes.*actually: 0.5. Leave it at 0.3.",
        ),
        ({}, {"nsr": NSR(0.5)}, "`ppo.nsr` with ppo.adv_estimator=grpo_nsr"),
        ({}, {"gamma": 0.5}, "`ppo.gamma` with ppo.adv_estimator=gae"),
        ({}, {"vf_loss_coeff": 0.1}, "`ppo.vf_loss_coeff` with ppo.adv_estimator=gae"),
        ({}, {"vf_clip_range": 0.2}, "`ppo.vf_clip_range` with ppo.adv_estimator=gae"),
        ({}, {"vf_warmup_iterations": 3}, "`ppo.vf_warmup_iterations` with ppo.adv_estimator=gae"),
        ({}, {"adv_estimator": "gae", "dynamic_sampling": True}, "`ppo.dynamic_sampling` with another"),
        ({}, {"reference_kl_coeff": 0.5}, "`ppo.reference_kl_coeff` with ppo.reference_kl"),
    ],
)
def test_an_option_that_another_switches_off_is_refused(ttrl, ppo, message):
    """Somebody who sets it means something by it."""
    with pytest.raises(InvalidArgumentError, match=message):
        Experiment(ttrl=TTRL(**ttrl), ppo=PPO(**ppo))


@pytest.mark.parametrize(
    ("ttrl", "ppo"),
    [
        ({"reward": "vote", "rule": "denoise", "n_verdicts": 9, "outcome": "noisy_success", "noise": 0.1}, {}),
        ({"reward": "vote", "n_samples_per_prompt": 2, "select": "diversity"}, {"reference_kl": "loss"}),
        ({}, {"adv_estimator": "gae", "gamma": 0.5, "lambda_": 0.5, "vf_loss_coeff": 0.1}),
        ({}, {"adv_estimator": "grpo_nsr", "nsr": NSR(0.5)}),
        ({"n_votes_per_prompt": 1, "temperature_range": 0.0}, {}),
    ],
)
def test_an_option_that_has_its_use_is_taken(ttrl, ppo):
    """Whatever its value."""
    experiment = Experiment(ttrl=TTRL(**ttrl), ppo=PPO(**ppo))
    assert (experiment.ttrl, experiment.ppo) == (TTRL(**ttrl), PPO(**ppo))
