"""``vla seeds``, on the fake checkout."""

from __future__ import annotations

import json

import pytest

from rllib_configs.cli import main
from tests.vla_envs.robotwin.fake_checkout import write_checkout
from vla_envs.robotwin import RoboTwinEnv

TASK = "stack_blocks_two"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The fake checkout."""
    pytest.importorskip("yaml", reason="the extra robotwin is not installed")
    return write_checkout(tmp_path_factory.mktemp("fake") / "checkout")


def seeds_in(path):
    return json.loads(path.read_text())[TASK]["success_seeds"]


def test_finds_seeds_of_both_splits_and_goes_on(root, tmp_path, capsys):
    """Those that the expert solves, in order, without scenes that do not come to rest; later ones are added."""
    command = ["seeds", TASK, "--root", str(root), "--output", str(tmp_path), "--count"]
    assert main([*command, "6"]) == 0
    train, evaluate = (seeds_in(tmp_path / f"{split}_seeds.json") for split in ("train", "eval"))
    assert len(train) == len(evaluate) == 6
    assert train == sorted(train)
    assert 100_000 <= train[0] < train[-1] <= 100_010
    assert min(evaluate) >= 100_100_000
    left_out = set(range(train[0], train[-1])) - set(train)  # one seed in seven
    said = capsys.readouterr().out
    assert left_out
    assert all(f"train {seed} is left out: " in said for seed in left_out)
    assert main([*command, "7", "--split", "train"]) == 0
    assert seeds_in(tmp_path / "train_seeds.json")[:6] == train
    assert "7 train seeds" in capsys.readouterr().out.splitlines()[-1]


def test_two_robots(root, tmp_path, monkeypatch):
    """Their seeds are kept by themselves."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = ["seeds", TASK, "--root", str(root), "--count", "1", "--embodiment", "single", "single", "0.6"]
    assert main(command) == 0
    assert len(list(tmp_path.glob("vla_envs/robotwin-seeds/single-single-0.6/demo_clean/*_seeds.json"))) == 2
    assert main([*command[:-1], "far"]) == 1


def test_the_environment_finds_them_by_itself(root, tmp_path, monkeypatch):
    """In the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["seeds", TASK, "--root", str(root), "--count", "1"]) == 0
    env = RoboTwinEnv(TASK, root)
    assert [env.num_init_states(task_id) for task_id in env.task_ids] == [2]
    assert env.metadata["seeds"][0].startswith(str(tmp_path))


def test_a_cache_that_cannot_be_written_is_named_before_the_search(root, tmp_path, monkeypatch, capsys):
    """Here a file has the name of its folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").touch()
    assert main(["seeds", TASK, "--root", str(root), "--count", "1"]) == 1
    assert "cache is no directory. Name another with --output.\n" in capsys.readouterr().err
