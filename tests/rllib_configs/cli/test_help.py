"""The help of every command: it answers at once, and a stranger understands it."""

import argparse
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_configs.cli import COMMANDS, assets, bench, doctor, main, report, seeds
from rllib_configs.cli.compare import Compared
from rllib_configs.cli.options import field_docs
from rllib_configs.cli.play import Play
from rllib_configs.cli.train import Resumption
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
    Sweep,
    TinyPolicyConfig,
)
from rllib_configs.presets import PRESETS
from vla_envs.group import NSR

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"ray", "torch", "transformers", "mujoco", "sapien", "scipy", "robosuite", "matplotlib"}
CALLS = [
    "--help",
    "train --help",
    "train tabletop_ttrl --help",
    "train libero_spatial_grpo policy:openvla --help",
    "evaluate --help",
    "compare --help",
    "play --help",
    "report --help",
    "doctor --help",
    "seeds --help",
    "assets --help",
    "bench --help",
]
OPTIONS = (
    Experiment,
    EnvironmentConfig,
    TinyPolicyConfig,
    DINOv2BertConfig,
    OpenVLAConfig,
    BehaviorCloning,
    TTRL,
    PPO,
    NSR,
    Resources,
    Evaluation,
    report.Arguments,
    Sweep,
    Compared,
    Play,
    Resumption,
)
UNEXPLAINED = {"environment", "policy", "bc", "ttrl", "ppo", "nsr", "resources", "evaluation", "kind"}
"""Fields that are explained by their class; the kind of the tiny policy is no option."""


def help_of(capsys, *arguments):
    """What a command prints, in one line."""
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def assert_is_a_sentence(text):
    """Or several, that need no neighbor to be understood."""
    assert re.match(r"[A-Z]", text), text
    assert text.endswith("."), text
    assert not re.search(r":(data|class|func|meth|mod|attr):", text), text
    assert not re.match(r"(Its|Their|Of|The same)\b", text), text
    assert len(text.split()) > 2, text


@pytest.mark.parametrize("call", CALLS)
def test_it_imports_nothing_heavy(call):
    """In a fresh process, of which Python itself tells what it imports."""
    command = [sys.executable, "-X", "importtime", "-m", "rllib_configs.cli", *call.split()]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    assert {"rllib_configs", "gymnasium"} <= imported
    assert not HEAVY & imported


@pytest.mark.parametrize("preset", ["tabletop_ttrl", "tabletop_ppo"])
def test_that_of_the_tabletop_speaks_of_nothing_else(capsys, preset):
    assert not re.search("libero|robotwin|openvla|lora|sapien|mujoco", help_of(capsys, "train", preset), re.IGNORECASE)


def test_every_field_of_a_preset_is_an_option(capsys):
    """With its default."""
    output = help_of(capsys, "train", "libero_ttrl")
    for option in ("--iterations INT", "--environment.env-kwargs", "--ttrl.n-votes-per-prompt INT", "--policy.path"):
        assert option in output
    assert 'suite="libero_spatial"' in output


def test_those_of_a_hosted_checkpoint_are_there_when_it_is_named(capsys):
    output = help_of(capsys, "train", "libero_ttrl", "policy:openvla")
    assert "--policy.lora-rank {None}|INT Rank of the adapters" in output
    assert "(default: as the checkpoint was saved, or else float32)" in output


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.__name__)
def test_every_option_is_explained_in_sentences(options):
    docs = field_docs(options)
    assert {each.name for each in dataclasses.fields(options)} - docs.keys() <= UNEXPLAINED
    for text in docs.values():
        assert_is_a_sentence(text)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.__name__)
def test_every_group_of_options_has_a_sentence_above_it(options):
    assert_is_a_sentence(" ".join(options.__doc__.partition("\n\n")[0].split()))


@pytest.mark.parametrize("command", [assets, doctor, seeds], ids=lambda module: module.__name__)
def test_every_argument_is_explained_in_sentences(command):
    parser = command.parser()
    assert_is_a_sentence(parser.description)
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            assert_is_a_sentence(action.help)


def test_bench_is_explained_in_sentences():
    parity = pytest.importorskip("rllib_configs.cli.bench_parity", reason="the extra libero is not installed")
    for text in [*bench.BENCHES.values(), parity.Arguments.__doc__, *field_docs(parity.Arguments).values()]:
        assert_is_a_sentence(text)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_sentence(name):
    assert_is_a_sentence(COMMANDS[name])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_a_sentence_of_its_own(name):
    assert_is_a_sentence(" ".join(PRESETS[name].__doc__.split()))


@pytest.mark.parametrize("text", ["Its weight.", "Adam's.", "a name", "A name of :data:`PLATFORMS`.", "No stop at all"])
def test_what_is_no_sentence_is_seen(text):
    """The tests above would pass by blindness otherwise."""
    with pytest.raises(AssertionError):
        assert_is_a_sentence(text)
