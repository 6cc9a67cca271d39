"""Which environment a run trains on, its keywords, its wrappers and its spaces."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeAwareObservation

from rllib_configs.config import EnvironmentConfig
from rllib_configs.config.environment import parse_wrapper
from tests import two_arm_env
from tests.rllib_configs import seeker
from tests.two_arm_env import ARM_HIGH, ARM_LOW
from vla_envs import wrappers
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import GroupStart
from vla_envs.spec import ACTION_DIM
from vla_envs.wrappers import (
    ActionChunk,
    ActionHistory,
    EfficiencyReward,
    EncodeInstruction,
    NoisySuccess,
    ResizeImages,
    TokenizeInstruction,
)

TWO_ARMS = EnvironmentConfig(id=two_arm_env.ENV_ID, cameras=("head",), chunk_size=4, image_size=16)

START = GroupStart(0, seed=0)


def wrappers_of(env):
    """Their classes from outside to inside, without those that Gymnasium adds."""
    classes = []
    while isinstance(env, gym.Wrapper):
        classes.append(type(env))
        env = env.env
    return [each for each in classes if not each.__module__.startswith("gymnasium.")]


class TestKeywords:
    def test_unset_options_are_left_to_the_environment(self):
        """Not every id has suites."""
        given = {"split": "eval", "task_id": None, "image_size": 64, "cameras": ("agentview",)}
        assert EnvironmentConfig().kwargs("eval") == given

    def test_no_task_is_every_task(self):
        """The default of an environment may be a single one; those without the keyword are left alone."""
        assert EnvironmentConfig(id="VLA-Libero-v0").kwargs("train")["task_id"] is None
        assert "task_id" not in EnvironmentConfig(id=two_arm_env.ENV_ID).kwargs("train")

    def test_those_of_a_simulator_reach_it(self):
        given = {"task": ["a", "b"], "shadows": False}
        environment = EnvironmentConfig(id="VLA-RoboTwin-v0", env_kwargs=given)
        assert environment.kwargs("train").items() >= given.items()
        assert not {"root", "chunk"} & environment.kwargs("train").keys()

    @pytest.mark.parametrize("name", ["root", "seeds"])
    def test_places_are_found_from_any_directory(self, monkeypatch, tmp_path, name):
        """Tune gives its workers other ones."""
        monkeypatch.chdir(tmp_path)
        environment = EnvironmentConfig(env_kwargs={name: "./there/it/is", "task": "stack_blocks_two"})
        assert environment.kwargs("train")[name] == str(tmp_path / "there" / "it" / "is")
        assert environment.kwargs("train")["task"] == "stack_blocks_two"

    @pytest.mark.parametrize("value", [{1, 2}, object(), float("nan")])
    def test_those_that_no_file_can_hold_are_refused(self, value):
        """A run has to write down what it did."""
        with pytest.raises(InvalidArgumentError, match=r"`environment\.env_kwargs` to be .* JSON .*actually: \{'task'"):
            EnvironmentConfig(env_kwargs={"task": value})

    def test_they_are_what_the_file_of_a_run_gives_back(self):
        assert EnvironmentConfig(env_kwargs={"task": ("a", "b")}).env_kwargs == {"task": ["a", "b"]}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"env_kwargs": {"suite": "tabletop"}}, "the option `suite`, actually: 'VLA-Tabletop-v0'"),
            ({"env_kwargs": {"task_config": "demo_clean"}}, "the option `task_config`, actually: 'VLA-Tabletop-v0'"),
            ({"id": "CartPole-v1"}, "the option `split`, actually: 'CartPole-v1'"),
            ({"id": "nowhere:VLA-Foo-v0"}, "actually: 'nowhere:VLA-Foo-v0'"),
            ({"id": "VLA-Foo-v0"}, "`VLA-Foo` doesn't exist"),
        ],
    )
    def test_an_environment_that_does_not_fit_is_named(self, options, message):
        """Before it is made."""
        with pytest.raises((InvalidArgumentError, gym.error.UnregisteredEnv), match=message):
            EnvironmentConfig(**options).check_registered()

    @pytest.mark.parametrize(
        "environment",
        [
            seeker.ENVIRONMENT,
            EnvironmentConfig(id="VLA-Libero-v0", env_kwargs={"suite": "libero_goal"}),
            EnvironmentConfig(id="VLA-RoboTwin-v0", env_kwargs={"task_config": "demo_clean"}),
        ],
    )
    def test_environments_of_the_contract_fit(self, environment):
        """Also one that another module registers, which RLlib's workers then import."""
        environment.check_registered()
        module, _, name = environment.id.rpartition(":")
        assert environment.qualified_id == f"{module or 'vla_envs'}:{name}"

    def test_checking_makes_no_environment(self):
        """Its simulator may be elsewhere."""
        before = two_arm_env.TwoArmEnv.made
        TWO_ARMS.check_registered()
        assert two_arm_env.TwoArmEnv.made == before


class TestSpaces:
    def test_the_robot_of_an_environment_is_that_of_its_spaces(self):
        """Bounds to the last bit, and a factor for each number of the state."""
        config = TWO_ARMS.policy_config()
        assert config["action_dim"] == 14
        np.testing.assert_array_equal(np.float32(config["action_low"]), np.float32(2 * ARM_LOW))
        np.testing.assert_array_equal(np.float32(config["action_high"]), np.float32(2 * ARM_HIGH))
        assert config["state_scale"] == (1.0,) * 28

    @pytest.mark.parametrize("environment", [seeker.ENVIRONMENT, EnvironmentConfig()])
    def test_a_single_arm_needs_no_bounds(self, environment):
        config = environment.policy_config()
        assert (config["action_dim"], config["action_low"], config["action_high"]) == (ACTION_DIM, None, None)
        assert "state_scale" not in config

    def test_lists_are_as_good_as_tuples(self):
        environment = EnvironmentConfig(id=two_arm_env.ENV_ID, cameras=["head"], max_episode_steps=7)
        assert environment.policy_config()["action_dim"] == 14

    def test_wrappers_are_put_around_it(self):
        """What is wrong with one shows before a run has a directory."""
        with pytest.raises(InvalidArgumentError, match="actually: 2"):
            EnvironmentConfig(wrappers=("NoisySuccess(p=2)",)).policy_config()


class TestWrap:
    def test_chunks_are_inside_and_what_the_policy_reads_outside(self):
        """Rewards and perturbations between see chunks, and the history what was executed."""
        environment = EnvironmentConfig(
            chunk_size=4, history=2, image_size=16, wrappers=("NoisySuccess(p=0.25)", "EfficiencyReward")
        )
        env = environment.wrap(environment.make("train"))
        assert wrappers_of(env) == [TokenizeInstruction, ActionHistory, EfficiencyReward, NoisySuccess, ActionChunk]
        assert env.action_space.shape == (4, ACTION_DIM)

    @pytest.mark.parametrize(
        ("instruction", "outermost", "key"),
        [
            ("words", TokenizeInstruction, "instruction_tokens"),
            (None, TokenizeInstruction, "instruction_tokens"),
            ("text", EncodeInstruction, "instruction_bytes"),
        ],
    )
    def test_the_instruction_is_observed_as_the_policy_reads_it(self, instruction, outermost, key):
        environment = EnvironmentConfig(instruction=instruction)
        env = environment.wrap(environment.make("train"))
        assert wrappers_of(env) == [outermost]
        assert key in env.observation_space.spaces

    def test_the_history_is_as_long_as_asked_for(self):
        environment = EnvironmentConfig(history=3)
        env = environment.wrap(environment.make("train"))
        assert env.observation_space["action_history"].shape == (3, ACTION_DIM)

    def test_a_wrapper_that_makes_tokens_is_refused(self):
        """Policies decode their tokens themselves."""
        environment = EnvironmentConfig(wrappers=("DiscretizeActions()",))
        with pytest.raises(InvalidArgumentError, match=r"leave the action space a Box.*DiscretizeActions\(\)"):
            environment.wrap(environment.make("train"))

    def test_groups_are_wrapped_alike(self):
        """Each environment of them, with the reward that the wrapper gives."""
        environment = EnvironmentConfig(
            chunk_size=4, image_size=16, max_episode_steps=8, wrappers=("ShapedReward(weights={'steps': 0.5})",)
        )
        envs = environment.make_vec("train", 2, group_size=2)
        envs.reset_to([START])
        stand_still = np.zeros(envs.action_space.shape, np.float32)
        assert [envs.step(stand_still)[1].tolist() for _ in range(2)] == [[0.0, 0.0], [-0.5, -0.5]]

    def test_a_group_sees_one_perturbation(self):
        """Its trajectories are compared with each other."""
        plain = EnvironmentConfig(chunk_size=4, image_size=16)
        perturbed = plain.replace(wrappers=("PerturbObservations(light=True, severity=1.0)",))
        images = [each.make_vec("train", 2, group_size=2).reset_to([START])[0]["image"] for each in (plain, perturbed)]
        for image in images:
            np.testing.assert_array_equal(image[0], image[1])
        assert (images[0] != images[1]).any()


class TestParseWrapper:
    @pytest.mark.parametrize(
        ("call", "wrapper", "kwargs"),
        [
            ("NoisySuccess(p=0.25)", NoisySuccess, {"p": 0.25}),
            ("EfficiencyReward()", EfficiencyReward, {}),
            ("EfficiencyReward", EfficiencyReward, {}),
            ("vla_envs.wrappers:NoisySuccess(p=1)", NoisySuccess, {"p": 1}),
            ("gymnasium.wrappers:TimeAwareObservation(flatten=False)", TimeAwareObservation, {"flatten": False}),
            ("ResizeImages(size=32)", ResizeImages, {"size": 32}),
            (" NoisySuccess( p = -0.5 ) ", NoisySuccess, {"p": -0.5}),
            ("vla_envs.wrappers:NoisySuccess(p='a:b')", NoisySuccess, {"p": "a:b"}),
            ("NoisySuccess(p=[1, (2, None), {'a': True}])", NoisySuccess, {"p": [1, (2, None), {"a": True}]}),
        ],
    )
    def test_a_call_is_its_class_and_its_keywords(self, call, wrapper, kwargs):
        assert parse_wrapper(call) == (wrapper, kwargs)

    @pytest.mark.parametrize("name", wrappers.__all__)
    def test_every_wrapper_of_the_package_has_a_name(self, name):
        """If it asks for keywords, the error says which."""
        try:
            assert parse_wrapper(name)[0] is getattr(wrappers, name)
        except InvalidArgumentError as error:
            assert "missing a required argument" in str(error)  # noqa: PT017  (either is right)

    @pytest.mark.parametrize("call", ["Noisy(p=1)", "noisysuccess(p=1)", "__import__('os').system('x')", "", "(", "1"])
    def test_an_unknown_name_lists_those_that_there_are(self, call):
        with pytest.raises(
            InvalidArgumentError, match=r"`environment\.wrappers` to be one of 'ActionChunk', .*actually"
        ):
            EnvironmentConfig(wrappers=(call,))

    @pytest.mark.parametrize(
        "call",
        [
            "NoisySuccess(0.25)",
            "NoisySuccess(**{'p': 1})",
            "NoisySuccess(p=1, p=2)",
            "NoisySuccess(q=1)",
            "NoisySuccess()",
            "NoisySuccess(env=3, p=1)",
            "NoisySuccess(p=1)(p=1)",
            "NoisySuccess(p=1).env",
            "NoisySuccess(p=1); 1",
            "NoisySuccess(p=1) or 1",
            "NoisySuccess(p=1",
            "NoisySuccess(p=1)\0",
            "nowhere:NoisySuccess(p=1)",
            ".relative:NoisySuccess(p=1)",
            "vla_envs.wrappers:Nothing()",
            "os:system(command='x')",
            "builtins:eval(source='1')",
            "gymnasium:Env()",
        ],
    )
    def test_what_is_no_such_call_is_named(self, call):
        """In one line, before an environment is made."""
        with pytest.raises(InvalidArgumentError, match="to be a call such as") as error:
            EnvironmentConfig(wrappers=(call,))
        assert repr(call) in str(error.value)

    @pytest.mark.parametrize(
        "value",
        [
            "__import__('pathlib').Path('{trace}').touch()",
            "[__import__('pathlib').Path('{trace}').touch()]",
            "(lambda: open('{trace}', 'w'))()",
            "open('{trace}', 'w')",
            "[open('{trace}', 'w') for _ in '1']",
            "f\"{{open('{trace}', 'w')}}\"",
            "(x := open('{trace}', 'w'))",
            "''.__class__",
            "p",
        ],
    )
    def test_nothing_is_executed(self, tmp_path, value):
        """Configurations are passed on by others."""
        call = f"NoisySuccess(p={value.format(trace=tmp_path / 'trace')})"
        with pytest.raises(InvalidArgumentError, match="literals as keywords"):
            parse_wrapper(call)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("value", ["(" * 10**5, "[" * 10**4 + "]" * 10**4, "-" * 10**5 + "1", "9" * 10**5])
    def test_nesting_without_end_is_an_error_like_others(self, value):
        with pytest.raises(InvalidArgumentError, match="literals as keywords"):
            parse_wrapper(f"NoisySuccess(p={value})")


@pytest.mark.parametrize("name", ["split", "image_size", "task_id", "max_episode_steps", "mode", "wrap"])
def test_no_keyword_has_a_second_value(name):
    """That of the split would have evaluations start from training states, in silence."""
    with pytest.raises(InvalidArgumentError, match=rf"`environment\.env_kwargs` .*actually: {name}\."):
        EnvironmentConfig(env_kwargs={name: "train"})
