"""Everything about a run, its file, and its translation to RLlib."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rllib_configs import VLAPPOConfig, presets
from rllib_configs.config import (
    PPO,
    TTRL,
    BehaviorCloning,
    DINOv2BertConfig,
    EnvironmentConfig,
    Evaluation,
    Experiment,
    OpenVLAConfig,
    Resources,
    TinyPolicyConfig,
)
from rllib_configs.config.environment import DECIDED, OPTIONS
from tests import two_arm_env
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import NSR

OTHER_VALUES = {
    "id": two_arm_env.ENV_ID,
    "task_id": (1, 2),
    "cameras": ("agentview", "wrist"),
    "max_episode_steps": 7,
    "env_kwargs": {"chunk": "spline"},
    "wrappers": ("PerturbObservations(noise=True)",),
    "chunk_size": 3,
    "instruction": "text",
    "history": 2,
    "n_samples_per_prompt": 3,
    "temperature_range": 0.5,
    "target_diversity": 0.5,
    "temperature_decay": 0.9,
    "prompts": "curriculum",
    "reward": "success",
    "rule": "agreement",
    "outcome": "noisy_success",
    "noise": 0.1,
    "vote_weight": "speed",
    "vote_share": 0.5,
    "min_confidence_ratio": 0.9,
    "use_env_fallback": False,
    "select": "efficiency",
    "log_detailed_metrics": False,
    "rollout_data_dir": "rollouts",
    "adv_estimator": "rloo",
    "dynamic_sampling": True,
    "optimizer": "adam8bit",
    "micro_batch_size": 8,
    "ratio_level": "trajectory",
    "loss_agg_mode": "seq-mean-token-mean",
    "clip_param_high": 0.3,
    "reference_kl": "loss",
    "reference_kl_target": 0.1,
    "nsr": NSR(positive_weight=0.5),
    "gamma": 0.5,
    "lr_decay_iterations": 1000,
    "lambda_": 0.5,
    "sample_timeout_s": 60.0,
    "target_kl": 0.02,
    "vf_clip_range": 0.2,
}
"""A value other than the default, for fields that no 1 can be added to."""

CRITIC_ALONE = ("gamma", "lambda_", "vf_loss_coeff", "vf_clip_range", "vf_warmup_iterations")

BASES = {
    "env_kwargs": Experiment(environment=EnvironmentConfig(id=two_arm_env.ENV_ID)),
    "reference_kl_target": Experiment(ppo=PPO(reference_kl="loss")),
    "reference_kl_coeff": Experiment(ppo=PPO(reference_kl="loss")),
    "nsr": Experiment(ppo=PPO(adv_estimator="grpo_nsr")),
    **dict.fromkeys(CRITIC_ALONE, Experiment(ppo=PPO(adv_estimator="gae"))),
    **{each.name: Experiment(ttrl=TTRL(reward="vote")) for each in dataclasses.fields(TTRL)},
    "noise": Experiment(ttrl=TTRL(reward="vote", outcome="noisy_success")),
    "cluster_tolerance": Experiment(ttrl=TTRL(reward="vote", rule="agreement", outcome="final_state_cluster")),
    "select": Experiment(ttrl=TTRL(reward="vote", n_samples_per_prompt=3)),
    "n_verdicts": Experiment(ttrl=TTRL(reward="vote", rule="denoise")),
}
"""Where a field has a meaning."""

TRANSLATED = [
    (part, each.name)
    for part, kind in {"environment": EnvironmentConfig, "ttrl": TTRL, "ppo": PPO, "resources": Resources}.items()
    for each in dataclasses.fields(kind)
    if each.name != "torch_threads"  # which is the run's own
]

PARTS = {
    "": Experiment,
    "bc.": BehaviorCloning,
    "ttrl.": TTRL,
    "ppo.": PPO,
    "environment.": EnvironmentConfig,
    "resources.": Resources,
    "evaluation.": Evaluation,
}
BOUNDED = [
    f"{section}{each.name}"
    for section, kind in PARTS.items()
    for each in dataclasses.fields(kind)
    if re.search(r"Positive|NonNegative|Probability|Decay|LearningRate|Annotated\[float", str(each.type))
]
"""Fields of numbers that have bounds."""


def with_field(name, value, experiment=None):
    """The default experiment, or another one, with another value of a dotted field."""
    experiment = experiment or Experiment()
    part, _, field = name.rpartition(".")
    if not part:
        return experiment.replace(**{field: value})
    return experiment.replace(**{part: getattr(experiment, part).replace(**{field: value})})


def translated(experiment):
    """What RLlib gets, as text to compare; of the wrappers, what they make of an environment."""
    config = experiment.to_rllib().to_dict()
    spec, env_config = config.pop("_rl_module_spec"), dict(config.pop("env_config"))
    wrapped = env_config.pop("wrap")(EnvironmentConfig().make("train"))
    rest = sorted(config.items(), key=lambda item: str(item[0]))
    return repr([rest, spec.model_config, env_config, str(wrapped), wrapped.observation_space])


@pytest.mark.parametrize(("part", "name"), TRANSLATED)
def test_every_option_reaches_rllib(part, name):
    """An option without an effect would be a lie."""
    experiment = BASES.get(name, Experiment())
    old = getattr(getattr(experiment, part), name)
    changed = with_field(f"{part}.{name}", OTHER_VALUES[name] if name in OTHER_VALUES else old + 1, experiment)
    assert translated(changed) != translated(experiment)


def test_the_same_experiment_gives_the_same_configuration():
    """Otherwise the differences above would mean nothing."""
    assert translated(Experiment()) == translated(Experiment())


def test_the_seed_reaches_rllib():
    """Runners and learners start from it."""
    assert Experiment(seed=5).to_rllib().seed == 5


def test_groups_train_on_training_states():
    config = Experiment(ttrl=TTRL(n_votes_per_prompt=4)).to_rllib()
    assert isinstance(config, VLAPPOConfig)
    assert config.env_config["split"] == "train"
    assert config.group_size == 4


@pytest.mark.parametrize("name", BOUNDED)
def test_every_number_has_a_bound_below(name):
    """The error names the field as the command line does, apart from dashes."""
    with pytest.raises(InvalidArgumentError, match=rf"^Expect the `{name}` to be (at least|above) 0, actually: -1\.$"):
        with_field(name, -1)


def test_those_are_most_numbers():
    """The test above would pass by blindness otherwise."""
    assert {"iterations", "ppo.lr", "ttrl.noise", "bc.speed", "resources.num_learners"} <= set(BOUNDED)
    assert len(BOUNDED) > 50


@pytest.mark.parametrize("name", ["", ".", "..", "../../x", "/tmp/x", "a/b", "a/"])
def test_the_name_is_that_of_one_directory(name):
    """A run stays under its root."""
    with pytest.raises(InvalidArgumentError, match="`name`"):
        Experiment(name=name)


class TestResolved:
    def test_the_environment_offers_what_the_policy_takes(self):
        tiny, hosted = Experiment().resolved(), Experiment(policy=OpenVLAConfig(path="x")).resolved()
        assert (tiny.environment.chunk_size, tiny.environment.instruction) == (8, "words")
        assert (hosted.environment.chunk_size, hosted.environment.instruction) == (1, "text")
        assert (tiny.environment.history, hosted.environment.history) == (0, 0)
        assert Experiment(policy=DINOv2BertConfig()).resolved().environment.history == 5

    def test_unless_something_else_is_said(self):
        said = Experiment(environment=EnvironmentConfig(chunk_size=3, instruction="text", history=2))
        assert said.resolved() == said


class TestClonesExpert:
    @pytest.mark.parametrize(
        ("experiment", "clones"),
        [
            (Experiment(), True),
            (Experiment(bc=BehaviorCloning(demonstrations_per_task=0)), False),
            (Experiment(policy=TinyPolicyConfig(path="x")), False),
        ],
    )
    def test_a_fresh_policy_with_demonstrations_is_cloned(self, experiment, clones):
        assert experiment.clones_expert is clones


class TestFile:
    @pytest.fixture
    def path(self, tmp_path) -> Path:
        """Of a file of a run."""
        return tmp_path / "config.json"

    @pytest.mark.parametrize("name", sorted(presets.PRESETS))
    @pytest.mark.parametrize("resolve", [False, True])
    def test_every_preset_comes_back(self, path, name, resolve):
        """Also with what it takes from its policy, as a run writes it down."""
        preset = presets.PRESETS[name]()
        path.write_text((preset.resolved() if resolve else preset).to_json())
        assert Experiment.from_json(path) == (preset.resolved() if resolve else preset)

    @given(
        st.builds(
            Experiment,
            name=st.from_regex(r"[a-z]+", fullmatch=True),
            time_limit_minutes=st.none() | st.floats(0, 1e6),
            environment=st.builds(
                EnvironmentConfig,
                task_id=st.none() | st.integers(0, 9) | st.lists(st.integers(0, 9)),
                cameras=st.lists(st.sampled_from(["agentview", "wrist"]), unique=True),
                env_kwargs=st.dictionaries(
                    st.text().filter(lambda name: name not in {*OPTIONS, *DECIDED}),
                    st.none() | st.booleans() | st.text() | st.tuples(st.integers()),
                ),
                wrappers=st.sampled_from([(), ("PerturbObservations(noise=True)",)]),
            ),
            policy=st.builds(TinyPolicyConfig, path=st.none() | st.text())
            | st.builds(
                OpenVLAConfig,
                kind=st.sampled_from(["openvla", "openvla_oft", "openvla_oft_l1"]),
                vision_heads=st.none() | st.lists(st.integers(1, 16)),
                autocast=st.booleans(),
            ),
            ppo=st.builds(
                PPO,
                lr=st.floats(1e-12, 1.0),
                adv_estimator=st.just("grpo_nsr"),
                nsr=st.builds(NSR, positive_weight=st.floats(0.0, 9.0)),
            ),
        )
    )
    def test_whatever_can_be_said_comes_back(self, tmp_path_factory, experiment):
        path = tmp_path_factory.getbasetemp() / "config.json"
        path.write_text(experiment.to_json())
        assert Experiment.from_json(path) == experiment

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"test_time_rl": True}, "Experiment has no field `test_time_rl`"),
            ({"environment": {"suite": "libero_goal"}}, "no field `environment.suite`"),
            ({"ppo": {"nsr": {"weight": 1.0}}}, "no field `ppo.nsr.weight`"),
            ({"ppo": {"nsr": 3}}, "Expect the `ppo.nsr` to be an object, actually: 3"),
            ({"policy": {"kind": "tiny", "lora_rank": 4}}, "no field `policy.tiny.lora_rank`"),
            ({"ppo": {"lerning_rate": 1.0, "clip_parm": 1}}, "`ppo.clip_parm`. Did you mean `clip_param`"),
            ({"policy": {"kind": "tiny", "pth": "x"}}, "no field `policy.tiny.pth`. Did you mean `path`"),
            ({"policy": {"kind": "openvla", "lora_rnk": 4}}, "`policy.openvla.lora_rnk`. Did you mean `lora_rank`"),
            ({}, "Experiment lacks its field `name`"),
            ({"architectures": ["LlamaForCausalLM"], "hidden_size": 4096}, "no field `architectures`"),
            ({"policy": {"kind": "huge"}}, "'huge' .* expected tags: 'tiny', 'dinov2_bert', 'causal_lm', 'openvla'"),
            ({"environment": {"wrappers": ["Nothing()"]}}, "Expect the `environment.wrappers` to be one of"),
            ({"name": "../x"}, "Expect the `name` to be that of one directory, actually: '../x'"),
        ],
    )
    def test_what_it_cannot_hold_is_named(self, path, changes, problem):
        """Unknown fields in every depth."""
        path.write_text(json.dumps(changes))
        with pytest.raises(InvalidArgumentError, match=rf"^{re.escape(str(path))} is damaged or of another.*{problem}"):
            Experiment.from_json(path)


@pytest.mark.parametrize("reward", ["efficiency", "success", "vote"])
@pytest.mark.parametrize(
    "wrapper", ["NoisySuccess(p=0.1)", "EfficiencyReward()", "ShapedReward(weights={'steps': 1.0})"]
)
def test_wrappers_that_pay_need_a_reward_that_listens(reward, wrapper):
    """With any other one they would do nothing, and nothing would say so."""
    environment = EnvironmentConfig(wrappers=(wrapper,))
    with pytest.raises(InvalidArgumentError, match=r"`ttrl\.reward` to be 'env' .*actually: "):
        Experiment(environment=environment, ttrl=TTRL(reward=reward))
    assert Experiment(environment=environment, ttrl=TTRL(reward="env")).environment == environment


def test_a_hosted_policy_decodes_chunks_of_its_own_size():
    """One action repeated to fill a chunk would be no chunk of the policy's."""
    experiment = Experiment(environment=EnvironmentConfig(chunk_size=4), policy=OpenVLAConfig(path="x"))
    with pytest.raises(InvalidArgumentError, match=r"`environment\.chunk_size` to be None or .*1, actually: 4"):
        experiment.resolved()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"history": 5}, r"`environment\.history` with policy:tiny or policy:dinov2-bert alone, .*actually: 5"),
        ({"token_length": 9}, r"`environment\.token_length` with environment\.instruction=words alone"),
    ],
)
def test_a_hosted_policy_is_not_shown_what_it_does_not_look_at(environment, message):
    """Past actions, and a number of word ids where it reads the text."""
    experiment = Experiment(environment=EnvironmentConfig(**environment), policy=OpenVLAConfig(path="x"))
    with pytest.raises(InvalidArgumentError, match=message):
        experiment.resolved()


@pytest.mark.parametrize("changes", [{"num_gpus_per_env_runner": 0.5}, {"sample_timeout_s": 60.0}])
def test_options_of_sampling_processes_need_some(changes):
    """In the driver they would do nothing."""
    with pytest.raises(InvalidArgumentError, match=r"with resources\.num_env_runners above 0 alone"):
        Resources(num_env_runners=0, **changes)
