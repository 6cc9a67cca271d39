"""Runs on a robot of two arms: absolute joint targets and three cameras."""

import json

import pytest
import torch

from policies.registry import load_policy
from rllib_configs import presets
from rllib_configs.config import (
    PPO,
    TTRL,
    EnvironmentConfig,
    Evaluation,
    OpenVLAConfig,
    Resources,
    TinyPolicyConfig,
)
from rllib_configs.run.actors import greedy
from rllib_configs.run.evaluation import evaluate, held_out_prompts, provenance, starts_of
from rllib_configs.run.train import load_experiment, train
from rllib_configs.run.video import record
from tests import two_arm_env
from tests.policies.openvla.checkpoints import with_regression_head
from tests.two_arm_env import ARM_HIGH, CAMERAS
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import Prompt

SMALL = presets.libero_ttrl(
    iterations=2,
    environment=EnvironmentConfig(
        id=two_arm_env.ENV_ID,
        image_size=16,
        cameras=CAMERAS,
        chunk_size=4,
        history=1,
        env_kwargs={"task": "open_right", "chunk": "spline"},
    ),
    ttrl=TTRL(n_votes_per_prompt=4),
    ppo=PPO(groups_per_iteration=2, entropy_coeff=0.001),
    resources=Resources(num_env_runners=0, groups_per_env_runner=2),
    evaluation=Evaluation(num_episodes=2, num_envs=2, curve_episodes=2, videos=1),
)


def parameters(folder, kind="tiny"):
    return dict(load_policy(kind, folder).named_parameters())


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("head", ["tokens", "gaussian"])
def test_two_iterations_of_a_tiny_policy(tmp_path, head):
    """Its bounds are saved with it, it learns, and the run says what it rests on."""
    run = train(SMALL.replace(policy=TinyPolicyConfig(head=head)), tmp_path)
    before, after = parameters(run / "policy_before"), parameters(run / "policy")
    assert any(not torch.equal(before[name], each) for name, each in after.items() if name.startswith("vision"))
    config = json.loads((run / "policy" / "config.json").read_text())
    assert config["action_high"] == pytest.approx(2 * ARM_HIGH)
    assert config["image_keys"] == ["image", "wrist_image", "wrist_image_2"]
    assert json.loads((run / "environment.json").read_text())["chunk"] == "spline"
    assert load_experiment(run).environment == SMALL.resolved().environment


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_two_iterations_of_a_checkpoint_for_two_arms(random_checkpoint, tmp_path):
    """Three images and the drive targets in, 25 actions of 14 joints out."""
    checkpoint = with_regression_head(random_checkpoint, tmp_path / "checkpoint", action_dim=14)
    policy = OpenVLAConfig(kind="openvla_oft_l1", path=str(checkpoint), platform="robotwin", lora_rank=4)
    environment = SMALL.environment.replace(chunk_size=25, history=0, image_size=32)
    small = {"n_votes_per_prompt": 2, "base_temperature": 1.0}
    run = train(
        SMALL.replace(
            policy=policy,
            environment=environment,
            ttrl=TTRL(**small),
            ppo=PPO(groups_per_iteration=1, entropy_coeff=0.01),
            resources=Resources(num_env_runners=0, groups_per_env_runner=1),
        ),
        tmp_path / "runs",
    )
    options = json.loads((run / "policy" / "vla_options.json").read_text())
    assert options["image_keys"] == ["image", "wrist_image", "wrist_image_2"]
    before, after = (parameters(run / name, "openvla_oft_l1") for name in ("policy_before", "policy"))
    assert any(not torch.equal(before[name], each) for name, each in after.items())


def test_results_say_what_they_rest_on():
    """Of what an environment with a simulator of its own tells."""
    assert provenance(SMALL.environment) == {
        "id": two_arm_env.ENV_ID,
        "versions": {"two_arms": "1"},
        "shader": "none",
        "chunk": "spline",
    }


def test_tasks_may_have_different_numbers_of_initial_states():
    """Those that have more of them come last, alone."""
    environment = SMALL.environment.replace(env_kwargs={"task": ["open_left", "open_right"]})
    prompts = held_out_prompts(environment)
    assert [each.task_id for each in prompts] == [0, 1, 0, 1, 0, 1, 0]
    assert [each.init_state_id for each in prompts] == [4, 3, 5, 4, 6, 5, 7]


def test_episodes_of_a_task_have_its_name():
    """However its instruction is worded, and when it ended."""
    policy = load_policy(**SMALL.policy.load_keywords(SMALL.environment)).eval()
    prompts = held_out_prompts(SMALL.environment)
    episodes = evaluate(greedy(policy), SMALL.environment, prompts, 3)
    assert [each.task for each in episodes] == ["open_right"] * 3


@pytest.mark.parametrize(("chunk", "frames"), [("spline", 5), ("sequential", 9)])
def test_a_spline_is_recorded_as_one_motion(chunk, frames):
    """16 control steps in chunks of 4; action by action, and two of them a frame, it would be another motion."""
    environment = SMALL.environment.replace(env_kwargs={"task": "open_left", "chunk": chunk})
    policy = load_policy(**SMALL.policy.load_keywords(SMALL.environment)).eval()
    torch.nn.init.zeros_(policy.action_head.mean.weight)
    (clip,) = record(greedy(policy), environment, starts_of([Prompt(0, 5)]), stride=2)
    assert len(clip.frames) == frames


def test_a_checkpoint_of_another_robot_is_refused(tmp_path):
    """Before anything is sampled."""
    load_policy("tiny", config={"chunk_size": 4, "history": 1}).save_pretrained(tmp_path / "policy")
    experiment = SMALL.replace(policy=TinyPolicyConfig(path=str(tmp_path / "policy")))
    with pytest.raises(InvalidArgumentError, match=r"`action_dim` of .* which is 14, actually: 7"):
        train(experiment, tmp_path / "runs")
