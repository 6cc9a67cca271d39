"""The configuration of VLAPPO."""

import pytest

from rllib_configs.algorithm import VLAPPO, VLAPPOConfig
from rllib_configs.algorithm.callbacks import GroupCallback
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.learner import VLALearner
from tests.rllib_configs.setups import reach_config
from vla_envs.errors import InvalidArgumentError


def test_defaults_replace_those_of_rllib_that_bias_or_break_groups():
    """Rounds of whole trajectories, no silent time-out, no logits for a KL to the old policy."""
    config = VLAPPOConfig()
    assert config.algo_class is VLAPPO
    assert config.env_runner_cls is GroupEnvRunner
    assert config.callbacks_class is GroupCallback
    assert config.learner_class is VLALearner
    assert config.sample_timeout_s is None
    assert not config.use_kl_loss


def test_groups_sets_what_is_given_and_nothing_else():
    """The rest keeps its value, None included."""
    config = VLAPPOConfig().groups(adv_estimator="rloo", clip_param_high=0.3)
    config.groups(groups_per_iteration=5, clip_param_high=None)
    assert (config.adv_estimator, config.groups_per_iteration, config.clip_param_high) == ("rloo", 5, None)
    assert config.trajectory_reward == VLAPPOConfig().trajectory_reward


def test_group_settings_survive_a_copy():
    """RLlib copies and freezes configurations on their way."""
    config = reach_config(adv_estimator="rloo", groups_per_iteration=7)
    frozen = config.copy()
    frozen.freeze()
    copied = frozen.copy(copy_frozen=False)
    assert (copied.adv_estimator, copied.groups_per_iteration, copied.group_size) == ("rloo", 7, 4)


def test_group_size_is_that_of_the_environments():
    """One where none is set."""
    assert reach_config(group_size=4).group_size == 4
    assert VLAPPOConfig().group_size == 1


def test_a_sound_configuration_passes():
    """As every other test here changes one thing about it."""
    reach_config().validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adv_estimator": "nsr"}, r"`adv_estimator`.*'grpo'.*'gae', actually: 'nsr'"),
        ({"trajectory_reward": "speed"}, r"`trajectory_reward`.*'efficiency', 'success', actually: 'speed'"),
        ({"num_envs": 6, "group_size": 4}, r"`group_size` to divide.*\(6\), actually: 4"),
        ({"env_config": {"mode": "lockstep"}}, r"`mode` to be 'hold'.*actually: 'lockstep'"),
        ({"group_size": 1}, r"`group_size` of at least 2 for 'grpo', actually: 1"),
        ({"groups_per_iteration": 0}, r"`groups_per_iteration` to be at least 1, actually: 0"),
    ],
)
def test_unsound_groups_are_refused_before_anything_is_built(changes, message):
    """The error names the setting, its value and what is valid."""
    with pytest.raises(InvalidArgumentError, match=message):
        reach_config(**changes).validate()


def test_a_critic_needs_no_siblings():
    """Groups of one are plain PPO."""
    reach_config(adv_estimator="gae", group_size=1).validate()
