"""Which policy a run trains, and how it is loaded."""

from pathlib import Path

import pytest
import torch

from policies.openvla.config import OpenVLAOptions
from policies.registry import load_policy
from rllib_configs.config import DINOv2BertConfig, EnvironmentConfig, Experiment, OpenVLAConfig, TinyPolicyConfig
from tests import two_arm_env
from vla_envs.errors import InvalidArgumentError

TWO_ARMS = EnvironmentConfig(id=two_arm_env.ENV_ID, cameras=("head",), chunk_size=4, image_size=16)


def load(policy, environment):
    return load_policy(**policy.load_keywords(environment))


class TestTiny:
    def test_a_fresh_policy_has_the_head_and_the_history_that_are_asked_for(self):
        """And its environment shows that history."""
        environment = EnvironmentConfig(history=3, chunk_size=8)
        policy = load(TinyPolicyConfig(head="gaussian"), environment)
        assert (policy.config.head, policy.config.history) == ("gaussian", 3)
        observations = environment.wrap(environment.make("train")).observation_space
        assert observations["action_history"].shape == (3, policy.action_dim)

    def test_a_fresh_policy_fits_the_environment(self):
        """Its chunks, its instructions and its cameras."""
        environment = EnvironmentConfig(chunk_size=3, token_length=9, cameras=("agentview", "wrist"))
        config = load(TinyPolicyConfig(), environment).config
        assert (config.chunk_size, config.token_length, config.image_keys) == (3, 9, ("image", "wrist_image"))

    @pytest.mark.parametrize("head", ["tokens", "gaussian"])
    def test_a_fresh_policy_acts_within_the_bounds(self, head):
        """Of every joint."""
        policy = load(TinyPolicyConfig(head=head), TWO_ARMS)
        env = TWO_ARMS.wrap(TWO_ARMS.make("train"))
        observation, _ = env.reset(seed=0)
        sample = policy.get_action_and_value({key: torch.as_tensor(each)[None] for key, each in observation.items()})
        assert all(action in env.action_space for action in policy.decode(sample.tokens).numpy())

    def test_a_checkpoint_brings_its_own_configuration(self):
        """Nothing else is said about the policy, and no environment is made."""
        before = two_arm_env.TwoArmEnv.made
        keywords = TinyPolicyConfig(path="runs/first/policy").load_keywords(TWO_ARMS)
        assert keywords == {"kind": "tiny", "path": str(Path("runs/first/policy").resolve())}
        assert two_arm_env.TwoArmEnv.made == before

    def test_a_head_beside_a_checkpoint_is_refused(self):
        """The checkpoint has one, which would win in silence."""
        with pytest.raises(InvalidArgumentError, match=r"`policy\.head` without `policy\.path`.*'gaussian' with x"):
            TinyPolicyConfig(path="x", head="gaussian")

    def test_a_fresh_policy_has_the_patches_that_are_asked_for(self):
        environment = EnvironmentConfig(chunk_size=8)
        assert load(TinyPolicyConfig(patch_size=8), environment).config.patch_size == 8
        assert load(TinyPolicyConfig(), environment).config.patch_size == 4

    def test_patches_beside_a_checkpoint_are_refused(self):
        """It has been trained on its own."""
        with pytest.raises(InvalidArgumentError, match=r"`policy\.patch_size` without `policy\.path`.*8 with x"):
            TinyPolicyConfig(path="x", patch_size=8)

    def test_a_policy_that_was_saved_has_its_head_in_its_checkpoint(self, tmp_path):
        assert TinyPolicyConfig(head="gaussian").saved_at(tmp_path) == TinyPolicyConfig(path=str(tmp_path))


class TestDINOv2Bert:
    def test_a_fresh_policy_acts_in_its_environment(self):
        """Within the bounds of every joint, by the instruction's text and the actions before."""
        environment = Experiment(environment=TWO_ARMS, policy=DINOv2BertConfig(std=None)).resolved().environment
        policy = load(DINOv2BertConfig(std=None), environment)
        env = environment.wrap(environment.make("train"))
        observation, _ = env.reset(seed=0)
        sample = policy.get_action_and_value({key: torch.as_tensor(each)[None] for key, each in observation.items()})
        assert all(action in env.action_space for action in policy.decode(sample.tokens).numpy())
        assert (policy.config.history, policy.config.std) == (5, None)

    def test_pretrained_encoders_are_found_from_any_directory(self, monkeypatch, tmp_path):
        """A name on the hub, which is none, stays as it is."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "dinov2").mkdir()
        config = DINOv2BertConfig(vision="dinov2", text="google-bert/bert-base-uncased")
        loaded = config.load_keywords(TWO_ARMS)["config"]
        assert loaded["pretrained_vision"] == str(tmp_path / "dinov2")
        assert loaded["pretrained_text"] == "google-bert/bert-base-uncased"

    @pytest.mark.parametrize("option", [{"std": 0.3}, {"vision": "x"}, {"lora_rank": 4}, {"text_training": "lora"}])
    def test_options_of_a_fresh_policy_beside_a_checkpoint_are_refused(self, option):
        """The checkpoint has its own, which would win in silence."""
        with pytest.raises(InvalidArgumentError, match=rf"`policy\.{next(iter(option))}` with a fresh policy"):
            DINOv2BertConfig(path="x", **option)

    def test_a_policy_that_was_saved_holds_all_the_rest(self, tmp_path):
        saved = DINOv2BertConfig(std=0.3, vision="x").saved_at(tmp_path)
        assert saved == DINOv2BertConfig(path=str(tmp_path))


class TestOpenVLA:
    def test_what_the_checkpoint_was_saved_with_goes_before_what_the_environment_says(self):
        """And what is asked for before both."""
        environment = EnvironmentConfig(env_kwargs={"suite": "libero_goal"}, cameras=("agentview", "wrist"))
        keywords = OpenVLAConfig(path="x", lora_rank=4, unnorm_key="mine").load_keywords(environment)
        assert keywords["config"] == {
            "unless_saved": {"image_keys": ("image", "wrist_image"), "unnorm_key": "libero_goal"},
            "lora_rank": 4,
            "unnorm_key": "mine",
        }

    def test_an_option_that_is_given_counts_for_a_saved_policy_although_it_is_the_usual_one(
        self, random_checkpoint, tmp_path
    ):
        """Who trained in bfloat16 goes on in float32, as an error of ours says to."""
        saved = {"dtype": "bfloat16", "image_transform": "processor", "lora_rank": 4}
        load_policy("openvla", random_checkpoint, saved).save_pretrained(tmp_path / "policy")
        config = OpenVLAConfig(path=str(tmp_path / "policy"), dtype="float32", unnorm_key="random")
        options = load(config, EnvironmentConfig()).options
        assert (options.dtype, options.image_transform, options.lora_rank) == ("float32", "processor", 4)

    def test_chunks_are_those_of_the_platform_that_the_policy_was_saved_with(self, tmp_path):
        """Unless another one is asked for."""
        (tmp_path / "vla_options.json").write_text('{"platform": "robotwin"}')
        assert OpenVLAConfig(kind="openvla_oft", path=str(tmp_path)).chunk_size == 25
        assert OpenVLAConfig(kind="openvla_oft", path=str(tmp_path), platform="libero").chunk_size == 8

    def test_no_environment_is_made(self):
        """Its simulator may be elsewhere."""
        before = two_arm_env.TwoArmEnv.made
        experiment = Experiment(environment=TWO_ARMS.replace(chunk_size=None), policy=OpenVLAConfig(path="x"))
        experiment.to_rllib()
        assert two_arm_env.TwoArmEnv.made == before

    @pytest.mark.parametrize(
        ("options", "chunk_size"),
        [
            ({"kind": "openvla"}, 1),
            ({"kind": "openvla_oft"}, 8),
            ({"kind": "openvla_oft_l1"}, 8),
            ({"kind": "openvla_oft", "platform": "robotwin"}, 25),
        ],
    )
    def test_chunks_are_as_long_as_the_platform_has_them(self, options, chunk_size):
        assert OpenVLAConfig(**options).chunk_size == chunk_size

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"lora_rank": -1}, r"`policy\.lora_rank` to be at least 0, actually: -1"),
            ({"kind": "tiny"}, r"`policy\.kind` to be 'openvla', 'openvla_oft' or 'openvla_oft_l1', actually: 'tiny'"),
            ({"image_keys": ()}, r"`policy\.image_keys` .*actually: \(\)"),
            ({"dtype": "float16"}, r"`policy\.dtype` to be 'float32' or 'bfloat16', actually: 'float16'"),
        ],
    )
    def test_its_options_are_checked(self, options, message):
        """When they are said, not when the network is loaded."""
        with pytest.raises(InvalidArgumentError, match=message):
            OpenVLAConfig(**options)

    def test_every_option_of_a_hosted_checkpoint_is_there(self):
        assert issubclass(OpenVLAConfig, OpenVLAOptions)


@pytest.mark.parametrize("policy", [TinyPolicyConfig, DINOv2BertConfig, OpenVLAConfig])
def test_a_checkpoint_is_found_from_any_directory(monkeypatch, tmp_path, policy):
    """Tune gives its workers other ones."""
    monkeypatch.chdir(tmp_path)
    keywords = policy(path="runs/first/policy").load_keywords(EnvironmentConfig())
    assert keywords["path"] == str(tmp_path / "runs" / "first" / "policy")


@pytest.mark.parametrize("policy", [TinyPolicyConfig, DINOv2BertConfig, OpenVLAConfig])
def test_the_policy_of_a_run_is_found_in_its_directory(tmp_path, policy):
    """What `vla bc` has left is named as a whole."""
    (tmp_path / "policy").mkdir()
    assert policy(path=str(tmp_path)).load_keywords(EnvironmentConfig())["path"] == str(tmp_path / "policy")


def test_the_base_of_adapters_is_found_from_any_directory_and_not_needed_once_saved(monkeypatch, tmp_path):
    """What a run saves has its weights beside it, and a `base` would be refused."""
    monkeypatch.chdir(tmp_path)
    policy = OpenVLAConfig(path="adapters", base="base")
    assert policy.load_keywords(EnvironmentConfig())["config"]["base"] == str(tmp_path / "base")
    saved = policy.saved_at(Path("runs/first/policy_before"))
    assert (saved.path, saved.base) == (str(tmp_path / "runs" / "first" / "policy_before"), None)
