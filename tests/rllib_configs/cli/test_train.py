"""``vla train``: presets, options over their values, and ``--resume``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_configs.cli import main
from rllib_configs.cli.train import parse_experiment
from rllib_configs.config import OpenVLAConfig, TinyPolicyConfig
from rllib_configs.presets import PRESETS
from rllib_configs.run.train import load_experiment
from vla_envs.errors import InvalidArgumentError, VLAEnvsError

ROOT = Path(__file__).resolve().parents[3]
HOSTED = ["policy:openvla", "--policy.path", "somewhere"]


class TestParseExperiment:
    @pytest.mark.parametrize("preset", sorted(PRESETS))
    def test_without_options_it_is_the_preset(self, preset):
        assert parse_experiment(preset, []) == PRESETS[preset]()

    @pytest.mark.parametrize("preset", sorted(PRESETS))
    def test_the_number_of_trajectories_arrives_in_the_algorithm(self, preset):
        """Said once; a hosted policy needs no simulator to be configured."""
        n = (PRESETS[preset]().ttrl.n_samples_per_prompt or 4) + 1
        config = parse_experiment(preset, ["--ttrl.n-votes-per-prompt", str(n), *HOSTED]).to_rllib()
        config.validate()
        groups = PRESETS[preset]().resources.groups_per_env_runner
        assert (config.group_size, config.num_envs_per_env_runner) == (n, n * groups)

    @pytest.mark.libero
    @pytest.mark.usefixtures("libero_assets")
    def test_also_with_the_fresh_policy_of_libero(self):
        """As the help of the Makefile says."""
        config = parse_experiment("libero_ttrl", ["--ttrl.n-votes-per-prompt", "5"]).to_rllib()
        config.validate()
        assert config.group_size == 5

    @pytest.mark.parametrize(
        ("options", "read"),
        [
            ("--iterations 3", lambda it: it.iterations == 3),
            ("--time-limit-minutes None", lambda it: it.time_limit_minutes is None),
            ("--environment.task-id 2 3", lambda it: it.environment.task_id == (2, 3)),
            ("--environment.task-id 2", lambda it: it.environment.task_id in (2, (2,))),
            ("--environment.cameras agentview wrist", lambda it: it.environment.cameras == ("agentview", "wrist")),
            (
                "--ttrl.reward env --environment.wrappers NoisySuccess(p=0.1) EfficiencyReward()",
                lambda it: it.environment.wrappers == ("NoisySuccess(p=0.1)", "EfficiencyReward()"),
            ),
            ("--ttrl.reward vote --ttrl.rule label", lambda it: (it.ttrl.reward, it.ttrl.rule) == ("vote", "label")),
            ("--ttrl.reward vote --ttrl.no-use-env-fallback", lambda it: not it.ttrl.use_env_fallback),
            (
                "--ppo.adv-estimator grpo_nsr --ppo.nsr.positive-weight 0.5",
                lambda it: it.ppo.nsr.positive_weight == 0.5,
            ),
            ("--ppo.adv-estimator gae --ppo.lambda_ 0.5", lambda it: it.ppo.lambda_ == 0.5),
            ("--policy.head gaussian", lambda it: it.policy == TinyPolicyConfig(head="gaussian")),
            (
                "--iterations 3 policy:tiny --policy.head gaussian",
                lambda it: (it.iterations, it.policy) == (3, TinyPolicyConfig(head="gaussian")),
            ),
            (
                "policy:openvla --policy.path x --policy.kind openvla_oft --policy.lora-rank 4",
                lambda it: it.policy == OpenVLAConfig(path="x", kind="openvla_oft", lora_rank=4),
            ),
        ],
    )
    def test_options_go_over_the_values_of_the_preset(self, options, read):
        assert read(parse_experiment("tabletop_ttrl", options.split()))

    def test_keywords_of_the_environment_go_over_those_of_the_preset(self):
        """Values are JSON, or else texts."""
        options = ["--environment.env-kwargs", "task=stack_blocks_three", "shadows=false", 'seeds={"a": [1]}', "root="]
        experiment = parse_experiment("robotwin_ttrl", options)
        assert experiment.environment.env_kwargs == {
            "task": "stack_blocks_three",
            "chunk": "spline",
            "shadows": False,
            "seeds": {"a": [1]},
            "root": "",
        }

    def test_an_unknown_preset_names_the_valid_ones(self):
        with pytest.raises(InvalidArgumentError, match=r"`preset` to be one of 'tabletop_ttrl', .*actually: 'nothing'"):
            parse_experiment("nothing", [])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("--ppo.lr -1", r"^Expect the `ppo\.lr` to be above 0, actually: -1\.0\.$"),
            ("--ppo.lr nan", r"^Expect the `ppo\.lr` to be a finite number, actually: nan\.$"),
            ("--evaluation.num-envs 0", r"^Expect the `evaluation\.num_envs` to be above 0, actually: 0\.$"),
            ("--ppo.nsr.positive-weight -1", r"^Expect the `positive_weight` to be .* at least 0, actually: -1\.0"),
            ("--environment.cameras nose", r"^Expect the `environment\.cameras` to be one of 'agentview', .*'nose'"),
            ("--environment.wrappers Foo()", r"^Expect the `environment\.wrappers` to be one of .*actually: 'Foo'"),
            ("--name a/b", "^Expect the `name` to be that of one directory, actually: 'a/b'"),
            ("policy:openvla --policy.lora-rank -3", r"^Expect the `policy\.lora_rank` to be at least 0, actually: -3"),
        ],
    )
    def test_a_value_that_is_not_valid_is_named(self, options, message):
        """What was given, and what is valid."""
        with pytest.raises(VLAEnvsError, match=message):
            parse_experiment("tabletop_ttrl", options.split())

    def test_options_of_cloning_beside_a_checkpoint_are_refused(self):
        """It is taken as it is; those of the preset stand by."""
        with pytest.raises(VLAEnvsError, match=r"`bc` without `policy\.path`.*steps=7.* with x"):
            parse_experiment("tabletop_ttrl", ["--policy.path", "x", "--bc.steps", "7"])
        assert parse_experiment("tabletop_ttrl", ["--policy.path", "x"]).bc == PRESETS["tabletop_ttrl"]().bc

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ("--ttrl.votes 5", ["--ttrl.votes", "--ttrl.n-votes-per-prompt"]),
            ("--iterations many", ["--iterations", "'many'"]),
            ("--iterations 2.5", ["--iterations", "'2.5'"]),
            ("--ttrl.reward fame", ["'fame'", "'efficiency', 'success', 'env', 'vote'"]),
            ("--environment.suite libero_goal", ["--environment.suite"]),
            ("--environment.env-kwargs suite", ["KEY=VALUE", "'suite'"]),
            ("--policy.lora-rank 4", ["--policy.lora-rank"]),
            ("policy:huge", ["policy:huge", "policy:tiny, policy:dinov2-bert, policy:causal-lm, policy:openvla"]),
            ("--resources.num-envs-per-env-runner 4", ["--resources.num-envs-per-env-runner"]),
        ],
    )
    def test_what_is_no_option_or_no_such_value_is_named(self, capsys, options, said):
        """With the code of a usage error, and what is valid beside it."""
        with pytest.raises(SystemExit) as stop:
            parse_experiment("tabletop_ttrl", options.split())
        assert stop.value.code == 2
        output = " ".join("".join(capsys.readouterr()).replace("│", " ").split())
        assert all(each in output for each in said)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_preset_they_are_listed(capsys, arguments):
    """And how to go on, or to go on with a run."""
    assert main(["train", *arguments]) == 0
    output = capsys.readouterr().out
    assert "\n  tabletop_ttrl        GRPO on success over groups of 8 trajectories" in output
    assert all(f"\n  {name} " in output for name in PRESETS)
    assert "vla train --resume RUN" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["tabletop_ttrl", "--environment.id", "VLA-Foo-v0"],
        ["tabletop_ttrl", "--environment.env-kwargs", "suite=libero_goal"],
        ["tabletop_ttrl", "--environment.wrappers", "DiscretizeActions()"],
        ["tabletop_ttrl", "--ttrl.n-votes-per-prompt", "1"],
        ["tabletop_ttrl", "--policy.path", "nope"],
        ["tabletop_ttrl", "--ppo.lr", "0"],
        ["tabletop_ttrl", "policy:openvla"],
    ],
)
def test_a_mistake_ends_in_one_line(capsys, tmp_path, monkeypatch, arguments):
    """And leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("vla train: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_one_line_without_the_notices_of_rllib(tmp_path):
    """In a process of its own, as a person runs it."""
    command = [sys.executable, "-m", "rllib_configs.cli", "train", "tabletop_ttrl", "--policy.path", "nope"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("vla train: ")
    assert run.stderr.count("\n") == 1


class TestResume:
    def test_other_options_are_refused_with_the_reason(self, capsys):
        """And with the command of a new run."""
        assert main(["train", "tabletop_ttrl", "--resume", "runs/first", "--ppo.lr", "1"]) == 1
        error = capsys.readouterr().err
        assert "results are those of one experiment" in error
        assert "actually: tabletop_ttrl --ppo.lr 1." in error
        assert "--policy.path runs/first/policy" in error

    def test_only_a_run_can_be_resumed(self, tmp_path, capsys):
        """The error names what was given."""
        assert main(["train", f"--resume={tmp_path}"]) == 1
        assert f"actually: {tmp_path}" in capsys.readouterr().err

    def test_a_run_of_another_version_is_named(self, tmp_path, capsys):
        """In one line that says how to go on."""
        (tmp_path / "config.json").write_text('{"test_time_rl": true}')
        assert main(["train", "--resume", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"vla train: {tmp_path / 'config.json'} is damaged or of another version")
        assert error.count("\n") == 1


def test_weights_and_biases_must_be_installed_to_be_asked_for(capsys, tmp_path, monkeypatch):
    """Which is said before anything is written."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "tabletop_ttrl", "--wandb-project", "robots"]) == 1
    assert "pip install 'vla-envs[wandb]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
class TestRun:
    def test_it_is_that_of_the_options(self, quick_run):
        """Five trajectories of a prompt, and nothing else said about their number."""
        experiment = load_experiment(quick_run)
        assert (experiment.name, experiment.iterations) == ("quick", 1)
        assert experiment.environment.task_id in (0, (0,))
        assert experiment.environment.chunk_size == 8
        assert experiment.ttrl.n_votes_per_prompt == 5
        header, _, row = (quick_run / "progress.csv").read_text().splitlines()
        assert dict(zip(header.split(","), row.split(","), strict=True))["rollout/trajectories"] == "5.0"

    def test_it_leaves_its_results(self, quick_run):
        """Under `runs` in the working directory."""
        assert {"policy", "success.md", "before_after.mp4"} <= {path.name for path in quick_run.iterdir()}
