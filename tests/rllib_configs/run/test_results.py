"""The file of an evaluation."""

import dataclasses

import pytest

from rllib_configs.run.evaluation import Episode
from rllib_configs.run.results import ResultsFile, Setup, read_results
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


def test_a_torn_file_is_no_result(tmp_path):
    """Of a comparison it would be another number of prompts."""
    write(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_bytes((tmp_path / "a.jsonl").read_bytes()[:-5])
    with pytest.raises(InvalidArgumentError, match="interrupted"):
        read_results(tmp_path / "a.jsonl")
