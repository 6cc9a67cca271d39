"""The policy that group RL starts from, and the demonstrations of the tabletop's expert."""

import re
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from policies.behavior_cloning import Demonstrations
from policies.tiny import TinyConfig, TinyPolicy
from rllib_configs.config import BehaviorCloning, DINOv2BertConfig, EnvironmentConfig, Experiment, TinyPolicyConfig
from rllib_configs.run.cloning import (
    check_expert,
    clone_demonstrations,
    collect,
    load_demonstrations,
    load_initial_policy,
)
from tests import two_arm_env
from tests.rllib_configs.seeker import ENV_ID, ENVIRONMENT
from vla_envs import spec
from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.wrappers.instruction import hash_words

EXPERIMENT = Experiment(
    environment=EnvironmentConfig(task_id=0, image_size=16, chunk_size=4, max_episode_steps=8),
    bc=BehaviorCloning(demonstrations_per_task=1, steps=2),
)
TABLETOP = EnvironmentConfig(task_id=(0, 4), image_size=32, chunk_size=3, token_length=10)
CALM = BehaviorCloning(demonstrations_per_task=1, noise=0.0)


def from_checkpoint(path):
    return EXPERIMENT.replace(policy=TinyPolicyConfig(path=str(path)))


def changed(policy, other):
    return any((mine != yours).any() for mine, yours in zip(policy.parameters(), other.parameters(), strict=True))


def cloned(experiment):
    """The policy before and after cloning, and the steps that cloning took."""
    policy, before, steps = load_initial_policy(experiment), load_initial_policy(experiment), []
    if experiment.clones:
        demonstrations = load_demonstrations(experiment)
        clone_demonstrations(policy, experiment, demonstrations, lambda step, loss: steps.append(step))
    return policy, before, len(steps)


def test_a_fresh_policy_follows_from_the_seed():
    """And from nothing else."""
    assert not changed(load_initial_policy(EXPERIMENT), load_initial_policy(EXPERIMENT))
    assert changed(load_initial_policy(EXPERIMENT), load_initial_policy(EXPERIMENT.replace(seed=1)))


def test_a_fresh_policy_is_cloned_from_demonstrations():
    """As many gradient steps as the experiment says."""
    policy, before, steps = cloned(EXPERIMENT)
    assert changed(policy, before)
    assert steps == 2


@pytest.mark.parametrize("policy", [DINOv2BertConfig(), TinyPolicyConfig(patch_size=8)])
def test_images_that_the_policy_cannot_see_are_refused_with_it(policy):
    """Before there is a directory or a demonstration: no patches of 8 pixels fill 20."""
    environment = EXPERIMENT.environment.replace(image_size=20)
    experiment = EXPERIMENT.replace(environment=environment, policy=policy).resolved()
    with pytest.raises(InvalidArgumentError, match=r"multiples of the 8 .*image-size 16, actually: 20 x 20"):
        load_initial_policy(experiment)


def test_without_demonstrations_nothing_is_cloned():
    """The policy stays fresh."""
    policy, before, steps = cloned(EXPERIMENT.replace(bc=BehaviorCloning(demonstrations_per_task=0)))
    assert not changed(policy, before)
    assert steps == 0


def test_a_checkpoint_is_not_cloned_again(tmp_path):
    """It is the policy to start from."""
    torch.manual_seed(5)
    saved = TinyPolicy(TinyConfig(chunk_size=4))
    saved.save_pretrained(tmp_path)
    policy, _, steps = cloned(from_checkpoint(tmp_path))
    assert not changed(policy, saved)
    assert steps == 0


@pytest.mark.parametrize(
    ("field", "config"),
    [
        ("chunk_size", TinyConfig(chunk_size=5)),
        ("token_length", TinyConfig(chunk_size=4, token_length=9)),
        ("image_keys", TinyConfig(chunk_size=4, image_keys=("image", "wrist_image"))),
    ],
)
def test_a_checkpoint_of_another_environment_is_refused(tmp_path, field, config):
    """The error names both values."""
    TinyPolicy(config).save_pretrained(tmp_path)
    with pytest.raises(InvalidArgumentError, match=re.escape(f"actually: {getattr(config, field)}.")) as error:
        load_initial_policy(from_checkpoint(tmp_path))
    assert f"`{field}`" in str(error.value)


class TestTargets:
    """Actions with bounds of their own, of which demonstrations use a part."""

    EXPERIMENT = Experiment(
        environment=EnvironmentConfig(id=two_arm_env.ENV_ID, cameras=("head",), image_size=16, chunk_size=4),
        bc=BehaviorCloning(demonstrations_per_task=0, steps=1),
    ).resolved()

    def cloned(self, experiment, target):
        """The policy, cloned from one demonstrated state."""
        with closing(experiment.environment.wrap(experiment.environment.make("train"))) as env:
            observation, _ = env.reset(seed=0)
        shown = Demonstrations(
            observations={key: np.asarray(each)[None] for key, each in observation.items()},
            actions=np.full((1, 4, 14), target, np.float32),
            mask=np.ones((1, 4), np.float32),
        )
        policy = load_initial_policy(experiment)
        clone_demonstrations(policy, experiment, (shown, None), lambda step, loss: None)
        return policy

    def from_checkpoint(self, path):
        return self.EXPERIMENT.replace(policy=TinyPolicyConfig(path=str(path)))

    def test_a_fresh_policy_looks_no_further_than_its_demonstrations(self):
        policy = self.cloned(self.EXPERIMENT, 0.5)
        widest = two_arm_env.ARM_HIGH[0] - two_arm_env.ARM_LOW[0]
        assert policy.config.action_high[0] == pytest.approx(0.5 + 0.01 * widest)
        assert max(policy.config.action_low) < 0.5 < min(policy.config.action_high)

    def test_its_checkpoint_goes_on_with_the_same_bounds(self, tmp_path):
        """Whatever is shown to it then."""
        policy = self.cloned(self.EXPERIMENT, 0.5)
        policy.save_pretrained(tmp_path)
        assert self.cloned(self.from_checkpoint(tmp_path), 0.2).config == policy.config

    def test_a_checkpoint_that_leaves_the_bounds_is_refused(self, tmp_path):
        config = load_initial_policy(self.EXPERIMENT).config
        TinyPolicy(config.replace(action_high=(4.0, *config.action_high[1:]))).save_pretrained(tmp_path)
        with pytest.raises(InvalidArgumentError, match="`action_high`"):
            load_initial_policy(self.from_checkpoint(tmp_path))


def test_a_checkpoint_must_exist(tmp_path):
    """The error names the place."""
    with pytest.raises(MissingAssetsError, match=str(tmp_path)):
        load_initial_policy(from_checkpoint(tmp_path))


def test_an_environment_without_an_expert_cannot_be_cloned():
    """Which is said before a policy is made."""
    environment = EXPERIMENT.environment.replace(id=ENV_ID)
    with pytest.raises(InvalidArgumentError):
        load_initial_policy(EXPERIMENT.replace(environment=environment))


@pytest.fixture(scope="module")
def calm():
    """One undisturbed demonstration of two tasks."""
    return collect(TABLETOP, CALM, seed=0)


@pytest.fixture(scope="module")
def disturbed():
    """The same prompts, pushed off the expert's way."""
    return collect(TABLETOP, CALM.replace(noise=0.3), seed=0)


def first_images(split):
    """The first image of every initial state of a split, for the two tasks."""
    env = gym.make(TABLETOP.id, **TABLETOP.kwargs("all"))
    prompts = [(task, state) for task in TABLETOP.task_id for state in env.unwrapped.init_states(task, split)]
    return [
        env.reset(options={"task_id": task, "init_state_id": state})[0]["image"].tobytes() for task, state in prompts
    ]


def test_rows_fit_the_policy(calm):
    """Observations as the group environment gives them, chunks, and a mask."""
    rows = len(calm)
    assert set(calm.observations) == {"image", "state", "instruction_tokens"}
    assert calm.observations["image"].shape == (rows, 32, 32, 3)
    assert calm.observations["image"].dtype == np.uint8
    assert calm.actions.shape == (rows, 3, 7)
    assert calm.actions.dtype == calm.mask.dtype == np.float32
    assert calm.mask.shape == (rows, 3)


def test_instructions_are_those_of_the_tasks(calm):
    """As word ids, one task after the other."""
    env = gym.make(TABLETOP.id)
    words = np.unique(calm.observations["instruction_tokens"], axis=0)
    expected = {tuple(hash_words(env.unwrapped.tasks[task], 10)) for task in (0, 4)}
    assert {tuple(row) for row in words} == expected


def test_demonstrations_start_at_training_states(calm):
    """And never at one that evaluates."""
    assert calm.observations["image"][0].tobytes() in first_images("train")
    assert calm.observations["image"][0].tobytes() not in first_images("eval")


def test_a_plan_is_what_the_expert_then_does(calm):
    """Undisturbed, the second action of a row is the first of the next."""
    both = calm.mask[:-1, 1] == 1
    assert both.sum() > 20
    np.testing.assert_allclose(calm.actions[:-1, 1][both], calm.actions[1:, 0][both], atol=1e-6)


def test_slow_demonstrations_are_longer(calm):
    """At half the expert's speed, no translation is faster than that."""
    slow = collect(TABLETOP, CALM.replace(speed=0.5), seed=0)
    assert np.abs(slow.actions[..., :3]).max() == 0.5
    assert len(slow) > 1.5 * len(calm)


def test_masks_cut_the_end_of_a_demonstration(calm):
    """Ones, then zeros: 3, 2, 1 actions before each of the two ends, and nothing in the rest."""
    lengths = calm.mask.sum(1)
    np.testing.assert_array_equal(calm.mask, np.arange(3) < lengths[:, None])
    assert (lengths < 3).sum() == 4
    assert lengths[-3:].tolist() == [3.0, 2.0, 1.0]
    assert not calm.actions[calm.mask == 0].any()


def test_disturbances_show_states_off_the_way(calm, disturbed):
    """The expert answers from there, and takes longer."""
    assert len(disturbed) > len(calm)
    start = len(calm) // 8
    assert (disturbed.observations["state"][start] != calm.observations["state"][start]).any()


def test_disturbed_rotations_show_how_to_level_the_hand(calm):
    """The hand tilts in the next state, and the expert turns it back by just that."""
    turned = collect(TABLETOP, CALM.replace(rotation_noise=0.3), seed=0)
    assert not calm.actions[:, :, 3:6].any()
    tilts = spec.RADIANS_PER_UNIT * np.linalg.norm(turned.actions[1:, 0, 3:5], axis=1)
    states = Rotation.from_rotvec(turned.observations["state"][1:, 3:6]).apply([0.0, 0.0, 1.0])
    np.testing.assert_allclose(tilts, np.arccos(np.clip(-states[:, 2], -1.0, 1.0)), rtol=0.01, atol=1e-3)
    assert 0.05 < tilts.mean() < 0.4


def test_disturbed_demonstrations_solve_their_task(disturbed):
    """Both end before the 80 steps of a failure."""
    _, lengths = np.unique(disturbed.observations["instruction_tokens"], axis=0, return_counts=True)
    assert len(lengths) == 2
    assert lengths.max() < 80


def test_the_same_seed_gives_the_same_demonstrations(disturbed):
    """Bit for bit; another seed draws other states."""
    again = collect(TABLETOP, CALM.replace(noise=0.3), seed=0)
    other = collect(TABLETOP, CALM.replace(noise=0.3), seed=1)
    np.testing.assert_array_equal(again.actions, disturbed.actions)
    np.testing.assert_array_equal(again.observations["image"], disturbed.observations["image"])
    assert (other.observations["image"][0] != disturbed.observations["image"][0]).any()


def test_demonstrations_are_those_of_version_0_1_0():
    """Which numbers came from tasks 0 to 3 then: the same seed still gives the same initial policy."""
    environment = TABLETOP.replace(task_id=(0, 1, 2, 3), chunk_size=8, token_length=24)
    rows = collect(environment, BehaviorCloning(demonstrations_per_task=2), seed=0)
    assert (len(rows), rows.mask.sum(), rows.observations["instruction_tokens"].sum()) == (366, 2133, 3_600_957)
    assert rows.actions.sum(dtype=float) == pytest.approx(1332.01818, abs=1e-3)
    assert rows.observations["state"].sum(dtype=float) == pytest.approx(1171.83341, abs=1e-3)
    assert rows.observations["image"].sum(dtype=float) == pytest.approx(213_305_885, rel=1e-5)
    assert rows.actions[100, 0, :3] == pytest.approx([0.09417684, -0.4374062, -0.6463881], abs=1e-5)


def test_there_are_only_so_many_training_states():
    """The error names their number."""
    with pytest.raises(InvalidArgumentError, match="at most 50 demonstrations per task, actually: 51"):
        check_expert(TABLETOP, CALM.replace(demonstrations_per_task=51))


def test_an_environment_without_an_expert_is_refused():
    """The error says what to do instead."""
    with pytest.raises(InvalidArgumentError, match=r"VLA-Seek-v0.*--policy\.path"):
        check_expert(ENVIRONMENT, CALM)
