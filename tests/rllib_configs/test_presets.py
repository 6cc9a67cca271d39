"""Ready experiments."""

import pytest

from rllib_configs import presets
from rllib_configs.config import DINOv2BertConfig, OpenVLAConfig, TinyPolicyConfig

NAMES = sorted(presets.PRESETS)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_after_itself(name):
    """As on the command line."""
    assert presets.PRESETS[name]().name == name


@pytest.mark.parametrize("name", NAMES)
def test_its_environment_takes_its_keywords(name):
    presets.PRESETS[name]().environment.check_registered()


@pytest.mark.parametrize("name", NAMES)
def test_every_field_can_be_replaced(name):
    """By keyword."""
    preset = presets.PRESETS[name]
    assert preset(seed=9, iterations=2).replace(name="mine") == preset().replace(seed=9, iterations=2, name="mine")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [2, 5])
def test_any_number_of_trajectories_will_do(name, n):
    """Environments, temperatures and group size follow from it."""
    preset = presets.PRESETS[name](policy=OpenVLAConfig(path="somewhere"))  # whose configuration needs no simulator
    trained = None if preset.ttrl.n_samples_per_prompt is None else n - 1
    config = preset.replace(ttrl=preset.ttrl.replace(n_votes_per_prompt=n, n_samples_per_prompt=trained)).to_rllib()
    config.validate()
    assert config.group_size == n
    assert config.ttrl.temperatures().shape == (n,)
    assert config.num_envs_per_env_runner == n * preset.resources.groups_per_env_runner


@pytest.mark.parametrize(
    "name", ["tabletop_ttrl", "tabletop_ppo", pytest.param("libero_ttrl", marks=pytest.mark.libero)]
)
def test_rllib_takes_it_as_it_is(name, request):
    """With the fresh policy, which fits the environment."""
    if "libero" in name:
        request.getfixturevalue("libero_assets")
    preset = presets.PRESETS[name]()
    assert isinstance(preset.policy, TinyPolicyConfig)
    preset.to_rllib().validate()


def test_plain_ppo_knows_no_groups():
    """Single trajectories at temperature 1, the environment's reward, and a critic, on as many trajectories."""
    plain, groups = presets.tabletop_ppo(), presets.tabletop_ttrl()
    config = plain.to_rllib()
    assert (config.group_size, config.adv_estimator, config.ttrl.reward) == (1, "gae", "env")
    assert config.ttrl.temperatures().tolist() == [1.0]
    assert plain.ppo.groups_per_iteration == groups.ppo.groups_per_iteration * groups.ttrl.n_votes_per_prompt


def test_the_second_stage_after_cloning_is_ppo_with_its_usual_settings():
    """A critic that learns first and within limits, updates that end at a KL, and narrower actions every iteration."""
    preset = presets.tabletop_bc_ppo()
    config = preset.to_rllib()
    config.validate()
    assert isinstance(preset.policy, DINOv2BertConfig)
    assert preset.clones
    assert (config.adv_estimator, config.gamma, config.lambda_, config.vf_loss_coeff) == ("gae", 0.99, 0.95, 0.5)
    assert (config.clip_param, config.num_epochs, config.minibatch_size, config.target_kl) == (0.2, 4, 64, 0.02)
    assert config.vf_warmup_iterations > 0 < config.vf_clip_range
    assert config.group_size == 1 > config.ttrl.temperature_decay
