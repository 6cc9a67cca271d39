"""The file of an evaluation."""

import dataclasses
import subprocess
import sys

import pytest

from rllib_configs.run.evaluation import Episode
from rllib_configs.run.results import ResultsFile, Setup, caveats, read_results
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import Prompt

PROMPTS = [Prompt(task, state) for state in range(3) for task in range(2)]
ENVIRONMENT = {"id": "VLA-Libero-v0", "versions": {"mujoco": "3.3.7"}}
SETUP = Setup("0.2.0", "runs/a/policy", "ab12", {"kind": "tiny"}, None, None, 0, "eval", 2, ENVIRONMENT)


def episode(index: int) -> Episode:
    """One that tells its index."""
    task, state = PROMPTS[index]
    return Episode(f"task {task}", task, state, index % 2 == 0, 10 + index, 80, None, float(index % 2 == 0))


def write(path, setup=SETUP, batches=3):
    """A file with so many batches of two."""
    file = ResultsFile(path, setup, PROMPTS)
    for batch in range(len(file.results) // 2, batches):
        file.append([episode(2 * batch), episode(2 * batch + 1)])
    return file


def test_lines_are_what_was_written(tmp_path):
    """One for each episode, which says what it rests on."""
    written = write(tmp_path / "a.jsonl").results
    assert read_results(tmp_path / "a.jsonl") == written
    assert [each.episode for each in written] == [episode(index) for index in range(6)]
    assert [each.prompt for each in written] == PROMPTS
    assert all(each.setup == SETUP for each in written)


def test_without_a_file_results_are_in_memory():
    """And nowhere else."""
    assert len(write(None).results) == 6


@pytest.mark.parametrize("cut", range(0, 6))
@pytest.mark.parametrize("torn", [0, 1, 30])
def test_an_interrupted_file_ends_as_an_uninterrupted_one(tmp_path, cut, torn):
    """Byte for byte, wherever a kill has cut it."""
    whole, file = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    write(whole)
    lines = whole.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:cut]) + lines[cut][:torn])
    write(file)
    assert file.read_bytes() == whole.read_bytes()


def test_an_episode_without_a_valid_attempt_is_kept_as_none(tmp_path):
    """So that the places of the others stay."""
    file = ResultsFile(tmp_path / "a.jsonl", SETUP, PROMPTS)
    file.append([episode(0), None])
    again = ResultsFile(tmp_path / "a.jsonl", SETUP, PROMPTS)
    assert [each.episode for each in again.results] == [episode(0), None]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"actor": "runs/b/policy"}, "actor='runs/a/policy' instead of 'runs/b/policy'"),
        ({"sha256": "cd34"}, "sha256='ab12' instead of 'cd34'"),
        ({"temperature": 0.6}, "temperature=None instead of 0.6"),
        ({"environment": {**ENVIRONMENT, "versions": {"mujoco": "3.4.0"}}}, "environment=.*3.3.7.*3.4.0"),
    ],
)
def test_a_file_of_another_evaluation_is_refused(tmp_path, change, named):
    """Two actors in one file would be a wrong number."""
    write(tmp_path / "a.jsonl", batches=1)
    before = (tmp_path / "a.jsonl").read_bytes()
    with pytest.raises(InvalidArgumentError, match=named):
        ResultsFile(tmp_path / "a.jsonl", dataclasses.replace(SETUP, **change), PROMPTS)
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_a_file_of_other_prompts_is_refused(tmp_path):
    """Their results would not be those of the same episodes."""
    write(tmp_path / "a.jsonl", batches=1)
    with pytest.raises(InvalidArgumentError, match="other prompts"):
        ResultsFile(tmp_path / "a.jsonl", SETUP, PROMPTS[::-1])


def test_a_whole_file_is_left_as_it_is(tmp_path):
    """Also where the last batch is smaller than the others."""
    setup = dataclasses.replace(SETUP, num_envs=4)
    file = ResultsFile(tmp_path / "a.jsonl", setup, PROMPTS)
    file.append([episode(index) for index in range(4)])
    file.append([episode(4), episode(5)])
    assert len(ResultsFile(tmp_path / "a.jsonl", setup, PROMPTS).results) == 6


@pytest.mark.parametrize("damage", ["{", "[]", '{"index": 0}', "\xff"])
def test_a_damaged_line_is_named(tmp_path, damage):
    """In the middle no kill leaves one."""
    (tmp_path / "a.jsonl").write_text(f"{damage}\n")
    with pytest.raises(InvalidArgumentError, match=r"results of `vla evaluate`.*a\.jsonl"):
        ResultsFile(tmp_path / "a.jsonl", SETUP, PROMPTS)


@pytest.mark.parametrize("batches", [1, 2])
def test_an_interrupted_file_is_no_result(tmp_path, batches):
    """It would be another number of prompts; cut between two lines it looks whole."""
    write(tmp_path / "a.jsonl", batches=batches)
    with pytest.raises(InvalidArgumentError, match=rf"has {2 * batches} of 6, because it was interrupted"):
        read_results(tmp_path / "a.jsonl")
    assert len(read_results(tmp_path / "a.jsonl", whole=False)) == 2 * batches


def test_a_torn_last_line_is_no_result(tmp_path):
    """What a kill has left of it."""
    write(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_bytes((tmp_path / "a.jsonl").read_bytes()[:-5])
    with pytest.raises(InvalidArgumentError, match="has 5 of 6"):
        read_results(tmp_path / "a.jsonl")


def test_an_empty_file_is_no_result(tmp_path):
    """That of an evaluation that has not come far."""
    ResultsFile(tmp_path / "a.jsonl", SETUP, PROMPTS)
    with pytest.raises(InvalidArgumentError, match="has none"):
        read_results(tmp_path / "a.jsonl")


def test_more_prompts_go_on_with_a_file(tmp_path):
    """Which is whole then."""
    first = ResultsFile(tmp_path / "a.jsonl", SETUP, PROMPTS[:4])
    for begin in (0, 2):
        first.append([episode(begin), episode(begin + 1)])
    assert len(read_results(tmp_path / "a.jsonl")) == 4
    assert read_results(tmp_path / "a.jsonl") != write(tmp_path / "a.jsonl").results
    assert [each.prompt for each in read_results(tmp_path / "a.jsonl")] == PROMPTS


@pytest.mark.parametrize("other", [SETUP, dataclasses.replace(SETUP, actor="random")])
def test_files_that_were_joined_are_no_result(tmp_path, other):
    """Of one actor or of two."""
    write(tmp_path / "a.jsonl")
    write(tmp_path / "b.jsonl", other)
    (tmp_path / "c.jsonl").write_bytes((tmp_path / "a.jsonl").read_bytes() + (tmp_path / "b.jsonl").read_bytes())
    with pytest.raises(InvalidArgumentError, match="of several, or not in order"):
        read_results(tmp_path / "c.jsonl")


def test_two_processes_do_not_write_one_file(tmp_path):
    """The second one is told so, and the file stays as it was."""
    path = tmp_path / "a.jsonl"
    write(path, batches=1)
    before = path.read_bytes()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, 2); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InvalidArgumentError, match="no other process writes"):
            ResultsFile(path, SETUP, PROMPTS)
        holder.communicate(b"\n")
    assert path.read_bytes() == before
    assert len(write(path).results) == 6


def test_prompts_without_a_valid_episode_are_said(tmp_path):
    """Once, where several evaluations lack them."""
    file = ResultsFile(None, SETUP, PROMPTS)
    file.append([None, episode(1)])
    other = ResultsFile(None, SETUP, PROMPTS)
    other.append([None, None])
    assert caveats(SETUP, file.results) == ["1 of 2 prompts gave no valid episode and are left out."]
    assert caveats(SETUP, file.results, other.results) == ["2 of 2 prompts gave no valid episode and are left out."]
    stand_ins = dataclasses.replace(SETUP, environment={**ENVIRONMENT, "stand_ins": ["a", "b"]})
    assert caveats(stand_ins) == ["2 stand-ins for files of the assets: images are not the official ones."]
