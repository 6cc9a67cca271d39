"""``vla evaluate``."""

import json
import re
import signal

import pytest

from rllib_configs.cli import main
from rllib_configs.cli.evaluate import advice
from rllib_configs.cli.options import parse_assessment
from rllib_configs.config import Sweep
from rllib_configs.run.interruption import Stopped
from rllib_configs.run.subjects import find_subject


def test_it_wants_the_directory_of_a_run(capsys, tmp_path):
    """The error names what was given."""
    assert main(["evaluate", str(tmp_path)]) == 1
    assert f"actually: {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(("output", "problem"), [("", "be a file"), ("note/result.json", "note is no directory")])
@pytest.mark.parametrize("command", [("evaluate", "expert"), ("bench", "parity")])
def test_an_output_that_cannot_be_written_is_named_before_any_work(capsys, tmp_path, command, output, problem):
    """Not after the last episode."""
    (tmp_path / "note").touch()
    assert main([*command, "--output", str(tmp_path / output)]) == 1
    assert re.search(f"`--output`.*{problem}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("output", "told"), [("a.jsonl", "goes on with a.jsonl"), (None, "kept without --output")], ids=["file", "none"]
)
def test_an_interrupted_evaluation_says_what_is_left_of_it(output, told):
    """By a signal."""
    with pytest.raises(Stopped, match=rf"stopped by SIGTERM\. .*{told}"), advice(output):
        raise Stopped(signal.SIGTERM)


def test_help_says_what_can_be_evaluated(capsys):
    """And an actor's own help which options there are."""
    assert main(["evaluate", "--help"]) == 0
    assert "`expert`" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "expert", "--help"])
    assert stopped.value.code == 0
    assert "--num-episodes" in capsys.readouterr().out


@pytest.mark.parametrize("command", [("evaluate", "expert"), ("play", "expert"), ("compare", "expert", "random")])
def test_the_expert_has_no_options_of_a_policy(capsys, command):
    """They would have no effect."""
    assert main([*command, "--policy.path", "runs/x"]) == 1
    assert "no options of a policy with `expert`" in capsys.readouterr().err


@pytest.mark.parametrize("actor", ["expert", "random"])
def test_only_a_policy_has_a_temperature(capsys, actor):
    """Of the others it would be recorded and have no effect."""
    assert main(["evaluate", actor, "--temperature", "0.5"]) == 1
    assert f"no `temperature` with `{actor}`, actually: 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("play", "expert"), ("compare", "expert", "random")])
def test_perturbations_are_swept_by_the_evaluation_alone(capsys, command):
    """Elsewhere they are wrappers of the environment; an option of no effect would be worse than none."""
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--perturb", "light"])
    assert stopped.value.code == 2
    assert "--perturb" in capsys.readouterr().err


def test_it_prints_a_rate_for_each_task_and_for_all(capsys):
    """With their intervals."""
    assert main(["evaluate", "expert", "--environment.task-id", "0", "9", "--num-episodes", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "success 100.0% [34.2%, 100.0%] over 2 episodes: open the drawer" in lines
    assert "success 100.0% [51.0%, 100.0%] over 4 episodes: all tasks" in lines


class TestProtocol:
    """``--protocol``."""

    @staticmethod
    def parse(subject, *options):
        return parse_assessment("vla evaluate", subject, Sweep(**vars(subject.defaults)), options)

    def test_it_says_where_and_how_long(self):
        """And the recorded initial states are all evaluated: this actor has seen none of them."""
        suite = ("--environment.env-kwargs", "suite=libero_10")
        asked = self.parse(find_subject("expert"), "--protocol", "simplevla_rl", *suite)
        assert asked.environment.id == "VLA-Libero-v0"
        assert asked.environment.max_episode_steps == 512
        assert asked.environment.env_kwargs == {"suite": "libero_10", "settle_steps": 10}
        assert (asked.split, asked.train_ok) == ("all", True)
        assert asked.environment.cameras == ("agentview", "wrist")

    def test_a_keyword_of_another_environment_is_named(self, capsys):
        """Where the id was forgotten, as where it contradicts the protocol."""
        command = ["evaluate", "expert", "--environment.env-kwargs", "suite=libero_object"]
        for options in ([], ["--protocol", "rlinf", "--environment.id", "VLA-Tabletop-v0"]):
            assert main([*command, *options]) == 1
            assert re.search("option .*`suite`.*VLA-Tabletop-v0", capsys.readouterr().err)

    def test_other_options_still_decide(self):
        """As over every default."""
        asked = self.parse(find_subject("expert"), "--protocol", "openvla", "--environment.image-size", "64")
        assert (asked.environment.image_size, asked.environment.max_episode_steps) == (64, 220)

    @pytest.mark.slow
    def test_a_policy_that_was_trained_here_has_seen_half_of_the_states(self, quick_run):
        """Whoever evaluates it on them has to say so."""
        assert not self.parse(find_subject(str(quick_run)), "--protocol", "openvla").train_ok

    @pytest.mark.libero
    def test_the_expert_is_evaluated_under_it(self, libero_assets, capsys, tmp_path):
        """Which the results say."""
        output = tmp_path / "results.jsonl"
        command = ["evaluate", "expert", "--protocol", "rlinf", "--environment.task-id", "3", "--num-episodes", "1"]
        assert main([*command, "--environment.env-kwargs", "suite=libero_object", "--output", str(output)]) == 0
        assert "stand-ins for files of the assets" in capsys.readouterr().out
        environment = json.loads(output.read_text())["setup"]["environment"]
        assert environment["env_kwargs"] == {"suite": "libero_object", "settle_steps": 15}
        assert environment["max_episode_steps"] == 240


@pytest.mark.slow
class TestRun:
    def test_it_finds_what_the_run_found(self, quick_run, capsys, tmp_path):
        """The same episodes, in a file and as a rate with its interval."""
        output = tmp_path / "results.jsonl"
        assert main(["evaluate", str(quick_run), "--num-episodes", "3", "--output", str(output)]) == 0
        assert "success 0.0% [0.0%, 56.1%] over 3 episodes" in capsys.readouterr().out
        results = [json.loads(line) for line in output.read_text().splitlines()]
        assert [each["episode"] for each in results] == json.loads((quick_run / "episodes.json").read_text())["after"]
        assert [each["setup"]["actor"] for each in results] == [str(quick_run / "policy")] * 3

    def test_results_do_not_go_among_the_files_of_the_policy(self, quick_run, capsys):
        """They would make it another one, which the same command would not go on with."""
        output = quick_run / "policy" / "results.jsonl"
        assert main(["evaluate", str(quick_run), "--output", str(output)]) == 1
        assert f"actually: {output} in {quick_run / 'policy'}" in capsys.readouterr().err
        assert not output.exists()

    def test_each_policy_of_a_run_can_be_named(self, quick_run, tmp_path):
        """The environment is that of the run."""
        found = json.loads((quick_run / "episodes.json").read_text())["before"]
        output = tmp_path / "results.jsonl"
        assert main(["evaluate", str(quick_run / "policy_before"), "--num-episodes", "3", "--output", str(output)]) == 0
        assert [json.loads(line)["episode"] for line in output.read_text().splitlines()] == found

    def test_training_states_are_refused_unless_allowed(self, quick_run, capsys):
        """As a table of results should."""
        command = ["evaluate", str(quick_run), "--split", "train", "--num-episodes", "1"]
        assert main(command) == 1
        assert "--train-ok" in capsys.readouterr().err
        assert main([*command, "--train-ok"]) == 0

    def test_it_says_when_a_run_has_not_ended(self, quick_run, capsys, tmp_path):
        """It has a configuration and no policy yet."""
        (tmp_path / "config.json").write_text((quick_run / "config.json").read_text())
        assert main(["evaluate", str(tmp_path)]) == 1
        assert "has no trained policy" in capsys.readouterr().err

    def test_it_names_a_damaged_policy(self, quick_run, capsys, tmp_path):
        """In one line."""
        (tmp_path / "config.json").write_text((quick_run / "config.json").read_text())
        (tmp_path / "policy").mkdir()
        (tmp_path / "policy" / "config.json").write_text((quick_run / "policy" / "config.json").read_text())
        (tmp_path / "policy" / "model.safetensors").write_bytes(b"half")
        assert main(["evaluate", str(tmp_path)]) == 1
        assert str(tmp_path / "policy" / "model.safetensors") in capsys.readouterr().err
