"""Evaluations from the command line, and what they can be of."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from policies.registry import load_policy
from rllib_configs.config import EnvironmentConfig, Experiment, Measurement, TinyPolicyConfig
from rllib_configs.run import assessment
from rllib_configs.run.assessment import assess, watched
from rllib_configs.run.results import read_results
from rllib_configs.run.subjects import find_subject
from vla_envs.errors import InvalidArgumentError

TABLETOP = EnvironmentConfig(task_id=(0, 9), image_size=16, max_episode_steps=16)


@pytest.fixture
def checkpoint(tmp_path):
    """The directory of a fresh policy, that of no run."""
    torch.manual_seed(0)
    offered = TABLETOP.replace(chunk_size=TinyPolicyConfig.chunk_size, history=TinyPolicyConfig.history)
    load_policy("tiny", config=offered.policy_config()).save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize(("place", "belongs"), [("policy", 1), ("checkpoints/iteration_000005/best", 1), ("a/b", 0)])
def test_a_policy_belongs_to_the_run_that_it_lies_in(checkpoint, tmp_path, place, belongs):
    """Or in one of whose checkpoints; a run that lies somewhere above it says nothing."""
    run = tmp_path / "run"
    shutil.copytree(checkpoint, run / place)
    (run / "config.json").write_text(Experiment(environment=TABLETOP).to_json())
    subject = find_subject(str(run / place))
    assert subject.run == (run if belongs else None)
    assert subject.defaults.environment == (TABLETOP if belongs else EnvironmentConfig())


def successes(results):
    return [each.episode.success for each in results]


def test_the_expert_solves_the_tabletop():
    """Every task, within its own limit."""
    results = assess(find_subject("expert"), Measurement(num_episodes=32))
    assert successes(results) == [True] * 32


def test_chance_solves_next_to_nothing():
    """And is the same at every call."""
    assessment = Measurement(num_episodes=16, environment=TABLETOP)
    first, second = (assess(find_subject("random"), assessment) for _ in range(2))
    assert first == second
    assert successes(first) == [False] * 16


def test_a_checkpoint_of_no_run_is_evaluated(checkpoint):
    """In the environment that is asked for; its kind is read from its files."""
    subject = find_subject(str(checkpoint))
    assert subject.defaults.policy.kind == "tiny"
    assessment = subject.defaults.replace(environment=TABLETOP, num_episodes=4)
    results = assess(subject, assessment)
    assert [each.setup.actor for each in results] == [str(checkpoint)] * 4
    assert results == assess(subject, assessment)


def test_a_policy_that_is_hosted_otherwise_is_another_actor(checkpoint, tmp_path):
    """Its files are the same, and its answers are not."""
    subject = find_subject(str(checkpoint))
    asked = subject.defaults.replace(environment=TABLETOP, num_episodes=2, output=str(tmp_path / "results.jsonl"))
    (result, _) = assess(subject, asked)
    assert result.setup.policy["kind"] == "tiny"
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text().replace('"kind":"tiny"', '"kind":"openvla"'))
    with pytest.raises(InvalidArgumentError, match="policy="):
        assess(subject, asked)


def test_the_setup_says_how_actions_were_chosen(checkpoint):
    """Temperature and seed."""
    subject = find_subject(str(checkpoint))
    hot = subject.defaults.replace(environment=TABLETOP, num_episodes=2, temperature=1.0, seed=3)
    setups = [assess(subject, each)[0].setup for each in (hot, hot.replace(temperature=None))]
    assert [(each.temperature, each.sampling_seed) for each in setups] == [(1.0, 3), (None, 3)]


def test_a_policy_that_does_not_fit_the_environment_is_refused(checkpoint):
    """It would see other cameras than it was made for."""
    subject = find_subject(str(checkpoint))
    other = Measurement(
        environment=TABLETOP.replace(cameras=("wrist",)), policy=subject.defaults.policy, num_episodes=2
    )
    with pytest.raises(InvalidArgumentError, match="`image_keys`"):
        assess(subject, other)


def test_another_policy_in_the_same_place_is_another_actor(checkpoint, tmp_path):
    """Its episodes do not go on with a file of the former."""
    subject = find_subject(str(checkpoint))
    output = str(tmp_path / "a.jsonl")
    assessment = Measurement(
        environment=TABLETOP, policy=subject.defaults.policy, num_episodes=4, num_envs=2, output=output
    )
    assess(subject, assessment)
    policy = load_policy("tiny", path=checkpoint)
    with torch.no_grad():
        next(policy.parameters()).add_(0.1)
    policy.save_pretrained(checkpoint)
    with pytest.raises(InvalidArgumentError, match="sha256"):
        assess(subject, assessment)


@pytest.mark.parametrize("what", ["nothing", "runs/none", "policy"])
def test_only_actors_can_be_evaluated(what, tmp_path, monkeypatch):
    """The error names what was given and what is valid."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy").mkdir()
    with pytest.raises(InvalidArgumentError, match=f"`expert`, `random`.*actually: {what}"):
        find_subject(what)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    """Byte for byte."""
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    command = [sys.executable, "-m", "rllib_configs", "evaluate", "random", "--num-episodes", "400", "--num-envs", "4"]
    subprocess.run([*command, "--output", whole], check=True, capture_output=True)
    process = subprocess.Popen([*command, "--output", killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not killed.is_file() or killed.stat().st_size < 2000:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert killed.read_bytes() != whole.read_bytes()
    subprocess.run([*command, "--output", killed], check=True, capture_output=True)
    assert killed.read_bytes() == whole.read_bytes()
    assert len(read_results(killed)) == 400


def test_a_log_gets_lines_now_and_then(capsys, monkeypatch):
    """Where there is no terminal for a bar; not for what is over at once."""
    assert list(watched(range(20), 20)) == list(range(20))
    assert not capsys.readouterr().err
    monkeypatch.setattr(assessment, "LOG_INTERVAL", 0.0)
    assert list(watched(range(20), 20)) == list(range(20))
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"2 of 20 episodes, 0:00:\d\d left", lines[1])
