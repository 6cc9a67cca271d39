"""``vla compare``."""

import json
import shutil

import imageio.v2 as imageio
import pytest

from rllib_configs.cli import main
from rllib_configs.run.video import CAPTION, TILE
from tests.rllib_configs.run.test_page import read

TASKS = ["--environment.task-id", "0", "9"]


@pytest.fixture
def files(tmp_path):
    """Results of the expert and of chance on the same eight prompts."""
    for actor in ("expert", "random"):
        output = str(tmp_path / f"{actor}.jsonl")
        assert main(["evaluate", actor, *TASKS, "--num-episodes", "8", "--output", output]) == 0
    return tmp_path


def test_two_files_are_compared_to_their_ends(files, capsys):
    """With the difference, its interval and tests, and where the outcomes differ."""
    capsys.readouterr()
    assert main(["compare", str(files / "random.jsonl"), str(files / "expert.jsonl")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [
        "A  success 0.0% [0.0%, 32.4%] over 8 episodes: random",
        "B  success 100.0% [67.6%, 100.0%] over 8 episodes: expert",
    ]
    assert "B - A  +100.0 points of success on 8 prompts: both 0, A alone 0, B alone 8, neither 0" in printed
    assert "for prompts fixed before   [+35.1, +100.0], exact McNemar test p = 0.0078" in printed
    assert "  B alone: open the drawer (9, initial state 50)" in printed


def test_a_file_is_compared_with_itself(files, capsys):
    """There is no difference."""
    assert main(["compare", *[str(files / "expert.jsonl")] * 2]) == 0
    assert "for prompts fixed before   [-32.4, +32.4], exact McNemar test p = 1" in capsys.readouterr().out


def test_recipes_are_compared_by_their_training_seeds(files, capsys):
    """How far the seeds spread stands beside how far evaluations do."""
    for seed, name in enumerate(("good", "bad")):
        for each in ("expert", "random"):
            shutil.copy(files / f"{each}.jsonl", files / f"{name}_{each}{seed}.jsonl")
    shutil.copy(files / "expert.jsonl", files / "good_random1.jsonl")
    capsys.readouterr()
    (files / "good_random0.jsonl").unlink()
    assert main(["compare", str(files / "bad_*"), str(files / "good_*")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("A  mean success 50.0% of 2 training seeds (100.0%, 0.0%): ")
    assert (
        printed[1] == "   8 episodes each; standard deviation 70.7 points; chance on single prompts gives rise to 25.0"
    )
    assert printed[2].startswith("B  mean success 100.0% of 2 training seeds")
    assert printed[4].startswith("B - A  +50.0 points, over training seeds [-")


@pytest.mark.parametrize(
    ("options", "problem"), [(["--films", "1"], "files of results without options"), ([], "of the same prompts")]
)
def test_seeds_that_cannot_be_compared_are_refused(files, capsys, tmp_path, options, problem):
    """Options have no effect on files, and rates over other prompts say nothing."""
    fewer = tmp_path / "other.jsonl"
    assert main(["evaluate", "expert", *TASKS, "--num-episodes", "4", "--output", str(fewer)]) == 0
    shutil.copy(fewer, tmp_path / "other2.jsonl")
    assert main(["compare", str(files / "*.jsonl"), str(tmp_path / "oth*"), *options]) == 1
    assert problem in capsys.readouterr().err


def test_a_recipe_has_several_seeds(files, capsys):
    """One run says nothing about the next."""
    assert main(["compare", str(files / "exp*"), str(files / "ran*")]) == 1
    assert "at least two training seeds" in capsys.readouterr().err


def test_an_actor_is_evaluated_on_the_prompts_of_a_file(files, capsys):
    """As many, and in its environment."""
    capsys.readouterr()
    assert main(["compare", str(files / "random.jsonl"), "random"]) == 0
    assert "both 0, A alone 0, B alone 0, neither 8" in capsys.readouterr().out


def test_a_file_is_copied_beside_the_other_results(files, capsys, tmp_path):
    """So that the directory is one comparison, and the same command goes on with it."""
    command = ["compare", str(files / "random.jsonl"), "random", "--output", str(tmp_path)]
    assert main(command) == main(command) == 0
    assert (tmp_path / "a.jsonl").read_text() == (files / "random.jsonl").read_text()
    assert main(["report", str(tmp_path)]) == 0
    assert main(["compare", str(tmp_path / "a.jsonl"), "random", "--output", str(tmp_path)]) == 0


def test_a_large_difference_ends_the_evaluation_early(capsys, tmp_path):
    """Both files hold what was run, whole batches, and can be gone on with; their page counts what was compared."""
    command = ["compare", "random", "expert", *TASKS, "--num-envs", "8", "--output", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "decided after 20 prompts, evidence 20.2 (20 decides)" in printed
    assert "for prompts fixed before   nothing, because the difference has ended it" in printed
    assert [len((tmp_path / "out" / f"{each}.jsonl").read_text().splitlines()) for each in "ab"] == [24, 24]
    assert main(["report", str(tmp_path / "out")]) == 0
    texts = read(tmp_path / "out" / "report.html").texts
    assert texts[texts.index("prompts: both succeed, A alone, B alone, neither") + 1] == "0, 0, 20, 0"
    assert "none, because the difference has ended the comparison" in texts
    assert "exact McNemar test, for prompts fixed before" not in texts
    assert main(["compare", *[str(tmp_path / "out" / f"{each}.jsonl") for each in "ab"]]) == 1
    assert "ended by the comparison that it belongs to" in capsys.readouterr().err


def test_prompts_with_different_outcomes_are_filmed(capsys, tmp_path):
    """In the directory of the results, and in the page about them."""
    command = ["compare", "random", "expert", *TASKS, "--num-episodes", "4", "--output", str(tmp_path), "--films", "2"]
    assert main([*command, "--environment.max-episode-steps", "60"]) == 0
    assert f"film in {tmp_path / 'flipped.mp4'}" in capsys.readouterr().out
    height, width, _ = imageio.mimread(tmp_path / "flipped.mp4", memtest=False)[0].shape
    assert (height, width) == (2 * (TILE + CAPTION), 72 + 2 * TILE)
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "elsewhere" / "page.html")]) == 0
    assert "<video" in (tmp_path / "elsewhere" / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["expert", "random", "--films", "2"], "`films` with `output`"),
        (["expert", "random", "--environment.task-id", "0", "--split", "train"], "--train-ok"),
        (["expert", "nothing"], "actually: nothing, which does not exist"),
        (["expert"], "A and B, actually: expert alone"),
    ],
)
def test_what_cannot_be_compared_is_named(arguments, problem, capsys):
    """In one line."""
    assert main(["compare", *arguments]) == 1
    assert problem in capsys.readouterr().err


def test_files_take_no_options(files, capsys):
    """They would have no effect."""
    assert main(["compare", str(files / "random.jsonl"), str(files / "expert.jsonl"), "--seed", "1"]) == 1
    assert "no options with two files, actually: --seed 1" in capsys.readouterr().err


def test_files_of_other_tasks_are_refused(files, capsys):
    """Prompts of the same indices are other ones in another suite."""
    text = (files / "expert.jsonl").read_text()
    (files / "other.jsonl").write_text(text.replace('"task":"open the drawer"', '"task":"turn on the stove"'))
    assert main(["compare", str(files / "expert.jsonl"), str(files / "other.jsonl")]) == 1
    assert "the same tasks, actually: 'open the drawer' and 'turn on the stove'" in capsys.readouterr().err


def test_prompts_without_a_valid_episode_are_said(files, capsys):
    """They are in no pair."""
    lines = (files / "expert.jsonl").read_text().splitlines()
    lost = {**json.loads(lines[2]), "episode": None}
    lines[2] = json.dumps(lost)
    (files / "lost.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["compare", str(files / "expert.jsonl"), str(files / "lost.jsonl")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "1 of 8 prompts gave no valid episode and are left out." in printed
    assert "B - A  +0.0 points of success on 7 prompts: both 7, A alone 0, B alone 0, neither 0" in printed


def test_files_of_other_prompts_are_refused(files, capsys):
    """Pairs would be none."""
    output = str(files / "more.jsonl")
    assert main(["evaluate", "expert", *TASKS, "--num-episodes", "10", "--output", output]) == 0
    assert main(["compare", output, str(files / "expert.jsonl")]) == 1
    assert "10 and 8 that differ" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_says_what_can_be_compared(arguments, capsys):
    """And what happens then."""
    assert main(["compare", *arguments]) == 0
    assert "usage: vla compare A B" in capsys.readouterr().out
