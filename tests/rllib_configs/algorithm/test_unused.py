"""Every option of RLlib's PPO works, is refused, or could not do any harm: none is taken and forgotten."""

import pytest
from ray.rllib.algorithms.algorithm_config import DEPRECATED_VALUE
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback

from rllib_configs.algorithm import VLAPPOConfig
from rllib_configs.algorithm.unused import UNUSED, UNUSED_EVENTS
from tests.rllib_configs.setups import reach_config
from vla_envs.errors import InvalidArgumentError

EVENTS_THAT_HAPPEN = {
    "algorithm_init",
    "checkpoint_loaded",
    "env_runners_recreated",
    "environment_created",
    "episode_end",
    "evaluate_end",
    "evaluate_start",
    "sample_end",
    "train_result",
}
USED = {
    "_learner_class",
    "_model_config",
    "_rl_module_spec",
    "_torch_lr_scheduler_classes",
    "_use_msgpack_checkpoints",
    "_validate_config",
    "algo_class",
    "callbacks_class",
    *(f"callbacks_on_{event}" for event in EVENTS_THAT_HAPPEN),
    "clip_param",
    "custom_evaluation_function",
    "custom_resources_for_main_process",
    "custom_resources_per_env_runner",
    "custom_resources_per_learner",
    "delay_between_env_runner_restarts_s",
    "entropy_coeff",
    "env",
    "env_config",
    "env_runner_cls",
    "env_runner_health_probe_timeout_s",
    "env_runner_restore_timeout_s",
    "evaluation_config",
    "evaluation_duration",
    "evaluation_error_after_n_consecutive_skips",
    "evaluation_interval",
    "evaluation_num_env_runners",
    "evaluation_parallel_to_training",
    "evaluation_sample_timeout_s",
    "evaluation_unhealthy_workers_timeout_s",
    "extra_python_environs_for_driver",
    "extra_python_environs_for_worker",
    "gamma",
    "grad_clip",
    "grad_clip_by",
    "ignore_env_runner_failures",
    "lambda_",
    "learner_config_dict",
    "local_gpu_idx",
    "log_gradients",
    "log_level",
    "log_sys_usage",
    "lr",
    "max_num_env_runner_restarts",
    "max_requests_in_flight_per_env_runner",
    "metrics_num_episodes_for_smoothing",
    "min_sample_timesteps_per_iteration",
    "min_time_s_per_iteration",
    "minibatch_size",
    "num_cpus_for_main_process",
    "num_cpus_per_env_runner",
    "num_cpus_per_learner",
    "num_env_runners",
    "num_epochs",
    "num_gpus_per_env_runner",
    "num_gpus_per_learner",
    "num_learners",
    "optimizer",
    "placement_strategy",
    "restart_failed_env_runners",
    "sample_timeout_s",
    "seed",
    "stats_cls_lookup",
    "validate_env_runners_after_construction",
    "vf_loss_coeff",
}
"""What another value of them changes is tested where it does so, here or in RLlib."""

OTHERWISE_REFUSED = {
    "evaluation_duration_unit",  # anything but episodes
    "num_envs_per_env_runner",  # by `env_runners`; it follows from the groups
    "policies",  # several
    "_train_batch_size_per_learner",
}

HARMLESS = {
    "_dont_auto_sync_env_runner_states",  # there are no connectors, so that there are no states of them
    "_is_frozen",  # RLlib's own notes
    "_is_online",
    "_prior_exploration_config",
    "action_space",  # the environment says them
    "broadcast_env_runner_states",
    "count_steps_by",  # with one agent both ways count the same
    "create_local_env_runner",  # follows from the number of runners
    "disable_env_checking",  # nothing is checked that a switch could spare
    "evaluation_force_reset_envs_before_iteration",  # every episode begins with a reset
    "in_evaluation",
    "merge_env_runner_states",
    "normalize_actions",  # policies act in the environment's units, as False asks
    "observation_space",
}

OPTIONS = vars(PPOConfig())


def other_than(value):
    """A value of an option that is not this one."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else {"another": "value"}


def test_every_option_is_one_of_three_kinds():
    """A version of Ray that adds one has somebody decide what becomes of it."""
    kinds = [set(UNUSED), USED, OTHERWISE_REFUSED, HARMLESS]
    current = {name for name, value in OPTIONS.items() if value != DEPRECATED_VALUE}
    assert set().union(*kinds) ^ current == set()
    assert sum(map(len, kinds)) == len(current)


@pytest.mark.parametrize("name", sorted(UNUSED))
def test_an_option_without_a_use_is_refused(name):
    """Before anything is built, and with what to use instead."""
    config = reach_config()
    vars(config)[name] = given = other_than(vars(VLAPPOConfig())[name])
    with pytest.raises(InvalidArgumentError) as error:
        config.validate()
    assert f"`{name}`" in str(error.value)
    assert f"actually: {given!r}. {UNUSED[name]}" in str(error.value)


@pytest.mark.parametrize(
    "setting",
    [
        lambda config: config.training(use_kl_loss=True, kl_coeff=0.5),
        lambda config: config.training(vf_clip_param=1.0),
        lambda config: config.training(train_batch_size_per_learner=99),
        lambda config: config.env_runners(env_to_module_connector=lambda env: None),
        lambda config: config.learners(learner_connector=lambda *spaces: None),
        lambda config: config.callbacks(on_episode_step=lambda **kwargs: None),
        lambda config: config.multi_agent(policies={"a", "b"}, policy_mapping_fn=lambda *_: "a"),
        lambda config: config.evaluation(evaluation_duration="auto"),
        lambda config: config.evaluation(evaluation_duration=100, evaluation_duration_unit="timesteps"),
    ],
)
def test_what_a_user_sets_by_rllibs_own_methods_is_refused_too(setting):
    """They are where the options come from."""
    with pytest.raises(InvalidArgumentError, match="actually: "):
        setting(reach_config()).validate()


@pytest.mark.parametrize("event", UNUSED_EVENTS)
def test_a_callback_for_what_nobody_is_told_of_is_refused(event):
    """As a method of a class."""
    callbacks = type("Mine", (RLlibCallback,), {event: lambda self, **arguments: None})
    with pytest.raises(InvalidArgumentError, match=rf"Mine\.{event}. Use `on_episode_end` or `on_sample_end`"):
        reach_config().callbacks(callbacks).validate()


def test_defaults_pass():
    """Again and again, in a copy, as a dictionary, and as the configuration of an evaluation."""
    config = reach_config().evaluation(evaluation_interval=1, evaluation_config={"explore": False})
    for each in (config, config, config.copy(copy_frozen=False), config.get_evaluation_config_object()):
        each.validate()
    VLAPPOConfig().update_from_dict(config.to_dict()).validate()
