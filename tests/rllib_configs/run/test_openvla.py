"""Group RL of a hosted checkpoint, from the official directory to the exported one."""

import json
import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from policies.registry import load_policy
from rllib_configs import presets
from rllib_configs.cli import main
from rllib_configs.config import PPO, TTRL, EnvironmentConfig, Evaluation, OpenVLAConfig, Resources
from rllib_configs.run.actors import greedy
from rllib_configs.run.cloning import load_initial_policy
from rllib_configs.run.evaluation import evaluate, held_out_prompts, read_episodes, success_rate
from rllib_configs.run.results import read_results
from rllib_configs.run.train import load_experiment, resume, train
from tests.policies.openvla.observing import observe
from tests.rllib_configs import dice_env
from vla_envs.errors import InvalidArgumentError

SMALL = presets.libero_ttrl(
    iterations=2,
    checkpoint_interval=1,
    environment=EnvironmentConfig(id="VLA-Tabletop-v0", task_id=(0, 1), image_size=32, max_episode_steps=16),
    ttrl=TTRL(n_votes_per_prompt=2),
    # Random weights succeed at nothing: an entropy bonus is what moves them.
    ppo=PPO(groups_per_iteration=1, entropy_coeff=0.01, reference_kl="loss"),
    resources=Resources(num_env_runners=0, groups_per_env_runner=1),
    evaluation=Evaluation(num_episodes=2, num_envs=2, curve_episodes=2, videos=1),
)


def hosted(kind, path, **changes):
    """The small run of a checkpoint with adapters."""
    return SMALL.replace(policy=OpenVLAConfig(kind=kind, path=str(path), lora_rank=4), **changes)


def logits(kind, folder):
    """Of fixed observations."""
    policy = load_policy(kind, folder)
    inputs = policy._inputs(observe(2))
    extra = [torch.zeros(2, policy.slots, dtype=torch.int64)] if kind == "openvla" else []
    with torch.no_grad():
        return policy.action_logits(inputs, *extra)


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("kind", ["openvla", "openvla_oft"])
def test_a_run_goes_on_and_ends_where_an_uninterrupted_one_does(random_checkpoint, tmp_path, kind):
    """Adapters, heads and Adam's moments are part of a checkpoint; what is exported has learned."""
    whole = train(hosted(kind, random_checkpoint, iterations=3), tmp_path / "whole")
    parted = train(hosted(kind, random_checkpoint), tmp_path / "parted")
    halfway = logits(kind, parted / "policy")
    resume(parted, iterations=3)
    assert torch.equal(logits(kind, parted / "policy"), logits(kind, whole / "policy"))
    assert not torch.equal(logits(kind, parted / "policy"), halfway)
    assert not torch.equal(logits(kind, whole / "policy_before"), halfway)
    assert torch.equal(logits(kind, whole / "policy_before"), logits(kind, random_checkpoint))
    assert (parted / "before_after.mp4").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_reported_episodes_are_those_of_the_saved_policies(random_checkpoint, tmp_path):
    """Rounded into bfloat16 weights, adapters acted otherwise than in the table and the choice of the best."""
    evaluation = Evaluation(num_episodes=8, num_envs=4, curve_episodes=8, videos=0)
    environment = SMALL.environment.replace(id=dice_env.ENV_ID)
    policy = OpenVLAConfig(kind="openvla_oft", path=str(random_checkpoint), lora_rank=4, dtype="bfloat16")
    run = train(
        SMALL.replace(policy=policy, environment=environment, evaluation=evaluation, iterations=1), tmp_path / "runs"
    )
    reported = read_episodes(run)
    assert reported["after"] != reported["before"]
    assert main(["evaluate", str(run), "--num-episodes", "8", "--output", str(tmp_path / "results.jsonl")]) == 0
    assert [each.episode for each in read_results(tmp_path / "results.jsonl")] == reported["after"]
    best, experiment = load_policy(policy.kind, run / "best"), load_experiment(run)
    episodes = evaluate(
        greedy(best), experiment.environment, held_out_prompts(experiment.environment, num_episodes=8), 4
    )
    assert episodes == max(reported["before"], reported["after"], key=success_rate)


@pytest.mark.slow
@pytest.mark.libero
@pytest.mark.usefixtures("local_ray", "libero_assets")
def test_two_iterations_on_libero(random_checkpoint, tmp_path):
    """Real episodes; images of both cameras go through the pipeline of the official evaluation."""
    environment = presets.libero_ttrl().environment.replace(cameras=("agentview", "wrist"), max_episode_steps=8)
    checkpoint = with_suite(random_checkpoint, tmp_path / "checkpoint", "libero_spatial_no_noops")
    run = train(hosted("openvla_oft", checkpoint, environment=environment), tmp_path / "runs")
    options = json.loads((run / "policy" / "vla_options.json").read_text())
    assert options["image_keys"] == ["image", "wrist_image"]
    assert options["unnorm_key"] == "libero_spatial"
    assert load_experiment(run).environment.chunk_size == 8
    assert not torch.equal(logits("openvla_oft", run / "policy"), logits("openvla_oft", run / "policy_before"))


def with_suite(source, target, name):
    """The checkpoint with statistics under the name that OpenVLA-OFT gives them."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    config["norm_stats"] = {name: config["norm_stats"]["random"]}
    (target / "config.json").write_text(json.dumps(config))
    (target / "vla_options.json").write_text(json.dumps({"vision_heads": [2, 3]}))
    return target


def test_the_environment_offers_what_the_policy_takes(random_checkpoint):
    """One action a timestep, and the instruction as text."""
    resolved = hosted("openvla", random_checkpoint).resolved().environment
    assert (resolved.chunk_size, resolved.instruction) == (1, "text")
    assert presets.tabletop_ttrl().resolved().environment.instruction == "words"
    observation, _ = resolved.wrap(resolved.make("train")).reset(seed=0)
    assert observation["instruction_bytes"].dtype == np.uint8


def test_a_chunk_of_another_length_is_refused(random_checkpoint, tmp_path):
    """OpenVLA gives one action at a time."""
    environment = SMALL.environment.replace(chunk_size=8)
    with pytest.raises(InvalidArgumentError, match=r"`environment\.chunk_size` to be None or .* 1, actually: 8"):
        train(hosted("openvla", random_checkpoint, environment=environment), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_training_what_bfloat16_would_round_away_is_refused(random_checkpoint, tmp_path):
    """Before a directory is made; adapters are float32 whatever the network is."""
    policy = OpenVLAConfig(kind="openvla", path=str(random_checkpoint), dtype="bfloat16")
    with pytest.raises(InvalidArgumentError, match=r"to be float32, .* --policy\.autocast"):
        train(SMALL.replace(policy=policy), tmp_path)
    assert list(tmp_path.iterdir()) == []
    load_initial_policy(SMALL.replace(policy=policy.replace(lora_rank=4)).resolved())


def test_a_hosted_kind_without_a_checkpoint_is_refused(tmp_path):
    """Before a directory is made."""
    with pytest.raises(InvalidArgumentError, match="`path` of a checkpoint for the kind 'openvla'"):
        train(SMALL.replace(policy=OpenVLAConfig()), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.libero
def test_one_command_evaluates_a_checkpoint_on_libero(libero_assets, random_checkpoint, tmp_path, capsys):
    """Under the protocol of its own code; the results name the settings and the weights."""
    output = tmp_path / "results.jsonl"
    follow = [
        "--protocol",
        "openvla_oft",
        "--policy.kind",
        "openvla_oft",
        "--environment.env-kwargs",
        "suite=libero_goal",
    ]
    less = ["--environment.task-id", "7", "--num-episodes", "2", "--environment.max-episode-steps", "16"]
    assert main(["evaluate", str(random_checkpoint), *follow, *less, "--output", str(output)]) == 0
    assert "over 2 episodes" in capsys.readouterr().out
    one, other = read_results(output)
    assert (one.episode.steps, other.prompt) == (16, (7, 1))
    assert one.setup.environment["image_size"] == 256
    assert one.setup.sha256 is not None


@pytest.mark.usefixtures("libero_assets")
@pytest.mark.libero
def test_a_checkpoint_is_compared_with_chance(random_checkpoint, tmp_path, capsys):
    """In the same environment, though only one of them has options of a policy."""
    follow = ["--protocol", "openvla_oft", "--policy.kind", "openvla_oft", "--output", str(tmp_path / "out")]
    less = ["--environment.task-id", "0", "--num-episodes", "2", "--environment.max-episode-steps", "8"]
    assert main(["compare", str(random_checkpoint), "random", *follow, *less]) == 0
    assert "both 0, A alone 0, B alone 0, neither 2" in capsys.readouterr().out
    setups = [read_results(tmp_path / "out" / f"{each}.jsonl")[0].setup for each in "ab"]
    assert [each.policy and each.policy["kind"] for each in setups] == ["openvla_oft", None]
    assert [each.protocol for each in setups] == ["openvla_oft"] * 2
