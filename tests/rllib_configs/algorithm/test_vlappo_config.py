"""The configuration of VLAPPO."""

import dataclasses

import pytest

from rllib_configs.algorithm import VLAPPO, VLAPPOConfig
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.learner import VLALearner
from rllib_configs.config import PPO, TTRL
from rllib_configs.presets import PRESETS
from tests.rllib_configs.setups import module_spec, reach_config, reach_runner, starts
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import NSR


def test_defaults_replace_those_of_rllib_that_bias_or_break_groups():
    """Rounds of whole trajectories, no silent time-out, no lost weights, no logits for a KL to the old policy."""
    config = VLAPPOConfig()
    assert config.algo_class is VLAPPO
    assert config.env_runner_cls is GroupEnvRunner
    assert config.learner_class is VLALearner
    assert config.sample_timeout_s is None
    assert config.max_requests_in_flight_per_env_runner > 1
    assert config.delay_between_env_runner_restarts_s == 0.0
    assert not config.use_kl_loss


def test_defaults_are_those_of_the_options():
    """RLlib's own of the same names are others."""
    config = VLAPPOConfig()
    assert (config.ttrl, config.ppo) == (TTRL(), PPO())


OTHER = PPO(
    adv_estimator="grpo_nsr",
    groups_per_iteration=3,
    dynamic_sampling=True,
    max_num_gen_batches=7,
    lr=1e-5,
    lr_warmup_iterations=3,
    lr_decay_iterations=30,
    optimizer="adam8bit",
    num_epochs=4,
    minibatch_size=None,
    micro_batch_size=5,
    ratio_level="trajectory",
    loss_agg_mode="seq-mean-token-mean",
    clip_param=0.1,
    clip_param_high=0.3,
    entropy_coeff=0.02,
    reference_kl="reward",
    reference_kl_coeff=0.5,
    reference_kl_target=0.2,
    nsr=NSR(0.2, 0.9),
    target_kl=0.02,
    grad_clip=3.0,
    gamma=0.5,
    lambda_=0.25,
    vf_loss_coeff=0.125,
    vf_clip_range=0.2,
    vf_warmup_iterations=2,
)
"""Every option another than by default."""


def test_training_takes_every_option_of_an_update():
    """And what it is given is what the algorithm works with."""
    assert not [name for name, value in vars(OTHER).items() if value == getattr(PPO(), name)]
    config = VLAPPOConfig().training(ttrl=TTRL(n_votes_per_prompt=3), **vars(OTHER))
    assert config.ppo == OTHER
    assert config.group_size == 3


def test_training_sets_what_is_given_and_nothing_else():
    """RLlib's own settings too."""
    before, config = VLAPPOConfig(), VLAPPOConfig()
    given = {"adv_estimator": "rloo", "clip_param_high": 0.3, "train_batch_size_per_learner": 99}
    assert config.training(**given) is config
    for name in vars(before):
        if not name.startswith("_"):
            assert getattr(config, name) == given.get(name, getattr(before, name)), name


def test_training_knows_no_other_settings():
    """A name that is wrong would change nothing."""
    with pytest.raises(TypeError, match="clip_parameter"):
        VLAPPOConfig().training(clip_parameter=0.3)


def test_none_can_be_set():
    """It is a value, and not what is left out."""
    config = VLAPPOConfig().training(clip_param_high=0.3)
    assert config.training(clip_param_high=None).ppo.clip_param_high is None


@pytest.mark.parametrize(("runners", "learners", "shared"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_one_process_has_one_copy_of_the_model(runners, learners, shared):
    """Others need one of their own."""
    config = reach_config()
    config.env_runners(num_env_runners=runners)
    config.learners(num_learners=learners)
    assert config.shares_module == shared


@pytest.mark.parametrize("runners", [0, 2])
def test_the_driver_has_a_runner_only_where_it_samples(runners):
    """RLlib's own would hold a copy of the model that does nothing."""
    config = reach_config()
    config.env_runners(num_env_runners=runners)
    config.validate()
    assert config.create_local_env_runner == (runners == 0)


@pytest.mark.parametrize("groups", [1, 3])
def test_the_number_of_trajectories_of_a_prompt_is_said_once(groups):
    """Environments, temperatures and votes follow from it."""
    runner = reach_runner(groups=groups, ttrl={"n_votes_per_prompt": 5, "reward": "vote"}, adv_estimator="gae")
    assert (runner.num_envs, runner.env.unwrapped.group_size) == (5 * groups, 5)
    ttrl = runner.config.ttrl
    assert ttrl.temperatures().shape == (5,)
    assert ttrl.vote_config().n_votes_per_prompt == 5
    sampled, _ = runner.sample_groups(starts(groups), ttrl.temperatures())
    assert [len(group.episodes) for group in sampled] == [5] * groups


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_takes_another_number_of_trajectories(name):
    """Nothing else has to change with it, as long as no more are trained on."""
    experiment = PRESETS[name]()
    n = (experiment.ttrl.n_samples_per_prompt or 4) + 1
    changed = dataclasses.replace(experiment, ttrl=experiment.ttrl.replace(n_votes_per_prompt=n))
    config = VLAPPOConfig().training(ttrl=changed.ttrl, **vars(changed.ppo))
    config.env_runners(groups_per_env_runner=changed.resources.groups_per_env_runner)
    config.validate()
    assert config.num_envs_per_env_runner == n * experiment.resources.groups_per_env_runner


def test_the_number_of_environments_is_not_a_setting():
    """It would have to agree with two others."""
    with pytest.raises(InvalidArgumentError, match=r"`groups_per_env_runner`.*num_envs_per_env_runner=8"):
        VLAPPOConfig().env_runners(num_envs_per_env_runner=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adv_estimator": "a2c"}, "`ppo.adv_estimator` to be 'grpo', 'grpo_mean', 'rloo'.*actually: 'a2c'"),
        ({"groups_per_iteration": 0}, "`ppo.groups_per_iteration` to be above 0, actually: 0"),
        ({"groups_per_iteration": 2.5}, "`ppo.groups_per_iteration` to be a valid integer, actually: 2.5"),
        ({"max_num_gen_batches": 0}, "`ppo.max_num_gen_batches` to be above 0, actually: 0"),
        ({"dynamic_sampling": "yes"}, "`ppo.dynamic_sampling` to be a valid boolean, actually: 'yes'"),
        ({"lr": 0.0}, r"`ppo.lr` to be above 0, actually: 0\.0"),
        ({"lr": [[0, -1.0], [10, -2.0]]}, r"the schedule of `ppo.lr` .* at least 0, actually: \[\[0, -1\.0"),
        (
            {"lr": [[0, 1e-3], [10, float("nan")]]},
            r"the schedule of `ppo.lr` .* finite.*actually: \[\[0, 0\.001\], \[10, nan",
        ),
        (
            {"entropy_coeff": [[0, float("inf")]]},
            r"the schedule of `ppo.entropy_coeff` .* finite.*actually: \[\[0, inf",
        ),
        ({"clip_param": [[0, 0.1], [10, 0.2]]}, r"`ppo.clip_param` to be a valid number, actually: \[\[0"),
        ({"lr": float("nan")}, r"`ppo.lr` to be .*, actually: nan"),
        ({"clip_param": float("inf")}, r"`ppo.clip_param` to be a finite number, actually: inf"),
        ({"lambda_": 1.5}, r"`ppo.lambda_` to be at most 1, actually: 1\.5"),
        ({"optimizer": "sgd"}, "`ppo.optimizer` to be 'adam' or 'adam8bit', actually: 'sgd'"),
        ({"ratio_level": "step"}, "`ppo.ratio_level` to be 'token' or 'trajectory', actually: 'step'"),
        ({"reference_kl": "both"}, "`ppo.reference_kl` to be 'loss' or 'reward'.*actually: 'both'"),
        ({"reference_kl_coeff": -0.1}, r"`ppo.reference_kl_coeff` to be at least 0, actually: -0\.1"),
        ({"micro_batch_size": 0}, "`ppo.micro_batch_size` to be above 0.*actually: 0"),
        ({"clip_param_high": -1.0}, r"`ppo.clip_param_high` to be above 0.*actually: -1\.0"),
        (
            {"reference_kl_target": 0.1},
            "a `reference_kl`, and .* above 0.*actually: None and 0.01|a `reference_kl` and",
        ),
        (
            {"reference_kl": "loss", "reference_kl_coeff": 0.0, "reference_kl_target": 0.1},
            r"a `reference_kl` and .* above 0 .*actually: 'loss' and 0\.0",
        ),
        ({"reference_kl": "loss", "reference_kl_target": 0.0}, r"`ppo.reference_kl_target` to be above 0.*: 0\.0"),
        ({"ttrl": {"n_samples_per_prompt": 5, "reward": "vote"}}, "`n_samples_per_prompt` to be at most"),
        ({"ttrl": {"n_samples_per_prompt": 2}}, "`ttrl.n_samples_per_prompt` with `ttrl.reward=vote`"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, message):
    """Before anything is built, with what is valid."""
    with pytest.raises(InvalidArgumentError, match=message):
        reach_config(**options).validate()


def test_a_kl_needs_a_module_that_keeps_its_reference():
    """There is nothing to measure it from."""
    config = reach_config(reference_kl="loss").rl_module(rl_module_spec=module_spec())
    with pytest.raises(InvalidArgumentError, match=r"a module that keeps its reference.*`reference_kl='loss'`"):
        config.validate()


def test_groups_of_one_compare_nothing():
    """A critic is needed then."""
    alone = {"n_votes_per_prompt": 1}
    with pytest.raises(InvalidArgumentError, match=r"`ttrl.n_votes_per_prompt` to be at least 2 for 'grpo'.*: 1\."):
        reach_config(ttrl=alone).validate()
    reach_config(ttrl=alone, adv_estimator="gae").validate()


def test_settings_survive_a_copy():
    """RLlib copies and freezes configurations on their way."""
    config = reach_config(adv_estimator="rloo", groups_per_iteration=7)
    frozen = config.copy()
    frozen.freeze()
    copied = frozen.copy(copy_frozen=False)
    assert (copied.ppo, copied.ttrl) == (config.ppo, config.ttrl)
    assert (copied.ppo.adv_estimator, copied.groups_per_env_runner, copied.group_size) == ("rloo", 2, 4)


def test_settings_survive_as_a_dictionary():
    """Which is what Tune makes of them, before and after they were checked."""
    config = reach_config(adv_estimator="rloo", ttrl={"n_votes_per_prompt": 5})
    for _ in range(2):
        again = VLAPPOConfig().update_from_dict(config.to_dict())
        assert (again.ppo, again.ttrl, again.groups_per_env_runner) == (config.ppo, config.ttrl, 2)
        config.validate()


def test_rllibs_schedules_are_taken():
    """They are as large as their largest value where that is asked for."""
    config = reach_config(lr=[[0, 1e-4], [1000, 1e-3]], entropy_coeff=[[0, 0.01], [1000, 0.0]])
    config.validate()
    assert (config.ppo.lr, config.ppo.entropy_coeff) == (1e-3, 0.01)


def cores_of(config):
    """How many CPU cores Tune reserves."""
    return VLAPPO.default_resource_request(config).required_resources["CPU"]


def processes(runners=0, learners=0):
    return reach_config().env_runners(num_env_runners=runners).learners(num_learners=learners)


@pytest.mark.parametrize(("runners", "learners", "cores"), [(0, 0, 1), (2, 0, 2), (2, 1, 3), (0, 2, 3)])
def test_a_trial_asks_for_the_cores_that_work(runners, learners, cores):
    """The driver has no other work while runners sample."""
    assert cores_of(processes(runners, learners)) == cores


@pytest.mark.parametrize(("preset", "runners"), [("tabletop_ttrl", 2), ("tabletop_ttrl", 0)])
def test_the_presets_for_two_cores_ask_for_no_more(preset, runners):
    """Tune would wait for ever for a third."""
    experiment = PRESETS[preset]()
    config = experiment.replace(resources=experiment.resources.replace(num_env_runners=runners)).to_rllib()
    assert cores_of(config) == max(1, runners)


@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_would_wait_for_ever_says_why():
    """And how to ask for less; Tune does not."""
    with pytest.warns(UserWarning, match=r"asks for 9 CPU cores and Ray has 8.*--resources\.num-env-runners"):
        cores_of(processes(runners=9))


def test_an_evaluation_has_groups_of_one():
    """As many environments as in training, and no siblings to compare; of one it may be asked for."""
    config = reach_config(groups=2).evaluation(evaluation_config={"ttrl": TTRL(n_votes_per_prompt=1)})
    for each, environments in ((reach_config(groups=2), 8), (config, 2)):
        evaluation = each.get_evaluation_config_object()
        evaluation.validate()
        assert (evaluation.group_size, evaluation.num_envs_per_env_runner) == (1, environments)
        assert evaluation.of_groups().env_config["group_size"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups_per_env_runner": 0}, "`groups_per_env_runner` to be an integer above 0, actually: 0"),
        ({"groups_per_env_runner": 2.0}, r"`groups_per_env_runner` to be an integer above 0, actually: 2\.0"),
        ({"sample_timeout_s": float("nan")}, "`sample_timeout_s` to be finite seconds above 0.*actually: nan"),
        ({"sample_timeout_s": 0.0}, r"`sample_timeout_s` to be finite seconds above 0.*actually: 0\.0"),
    ],
)
def test_runners_that_could_not_work_are_refused(settings, message):
    """No clock is ever past NaN."""
    with pytest.raises(InvalidArgumentError, match=message):
        reach_config().env_runners(**settings).validate()


@pytest.mark.parametrize("duration", [0, -1, True, 2.0, "auto"])
def test_an_evaluation_is_of_some_episodes(duration):
    """Before anything is built."""
    config = reach_config()
    config.evaluation_duration = duration
    with pytest.raises(
        InvalidArgumentError, match=rf"`evaluation_duration` to be a number of episodes.*: {duration!r} "
    ):
        config.validate()
