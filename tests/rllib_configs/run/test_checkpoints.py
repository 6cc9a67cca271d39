"""Checkpoints are whole, checked, and few."""

import json
import logging
import shutil

import pytest
import torch

from policies.registry import load_policy
from policies.tiny import TinyConfig, TinyPolicy
from rllib_configs.run import checkpoints as checkpoints_module
from rllib_configs.run.checkpoints import Checkpoints, RunState
from rllib_configs.run.report import CurvePoint
from vla_envs.errors import InvalidArgumentError, NonFiniteError


class Executed:
    """Pickles as a call, which a loader of plain data refuses."""

    def __reduce__(self):
        return print, ("executed",)


def state_at(iteration):
    return RunState(iteration, 1.5, [0.25, None][:iteration], [CurvePoint(0, 1, 4)])


def training_state(iteration):
    momentum = torch.full((3,), float(iteration))
    return {"optimizer": {"state": [momentum, 7]}, "cursor": iteration, "name": "adam", "rate": 0.5}


@pytest.fixture
def policy():
    torch.manual_seed(0)
    return TinyPolicy(TinyConfig(chunk_size=2, token_length=6, bins=16, hidden=8))


@pytest.fixture
def checkpoints(tmp_path, policy):
    """Of iterations 1 to 3, of which the last two are kept."""
    kept = Checkpoints(tmp_path, kept=2)
    for iteration in (1, 2, 3):
        kept.save(policy, training_state(iteration), state_at(iteration))
    return kept


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_only_the_last_are_kept(checkpoints):
    """And nothing half written beside them."""
    assert names(checkpoints) == ["iteration_000002", "iteration_000003"]


def test_the_newest_is_read_back(checkpoints):
    """Where the run was, and what its algorithm knew."""
    newest = checkpoints.newest()
    assert newest.path.name == "iteration_000003"
    assert newest.state == state_at(3)
    restored = newest.training_state()
    assert torch.equal(restored["optimizer"]["state"].pop(0), torch.full((3,), 3.0))
    assert restored == {"optimizer": {"state": [7]}, "cursor": 3, "name": "adam", "rate": 0.5}


def test_the_policy_can_be_loaded_by_itself(checkpoints, policy):
    """As any saved policy."""
    loaded = load_policy("tiny", path=checkpoints.newest().path / "policy")
    assert all(torch.equal(*pair) for pair in zip(loaded.parameters(), policy.parameters(), strict=True))


def test_saving_an_iteration_again_replaces_it(checkpoints, policy):
    """A run that has been evaluated at its end knows more than before."""
    checkpoints.save(policy, training_state(8), state_at(3))
    assert checkpoints.newest().training_state()["cursor"] == 8
    assert names(checkpoints) == ["iteration_000002", "iteration_000003"]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["training.pt", "run.json", "sha256.json", "policy/model.safetensors"])
def test_a_damaged_one_is_passed_over_with_a_warning(checkpoints, caplog, damage, name):
    """That names it; the one before takes its place."""
    damage(checkpoints.folder / "iteration_000003" / name)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.newest().state.iteration == 2
    assert "iteration_000003 is damaged" in caplog.text
    assert name == "sha256.json" or name in caplog.text


def test_a_flipped_bit_of_the_best_weights_is_found(checkpoints, policy):
    """Before anything is loaded from the checkpoint."""
    policy.save_pretrained(checkpoints.best)
    path = checkpoints.save(policy, training_state(4), state_at(4))
    assert checkpoints.newest().path == path
    weights = path / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + bytes([weights.read_bytes()[-1] ^ 1]))
    assert checkpoints.newest().state.iteration == 3


@pytest.mark.parametrize("content", ["[]", "null", "3", '[["a"]]', "{"])
def test_checksums_that_are_none_are_damage(checkpoints, content):
    """Whatever JSON they are."""
    (checkpoints.newest().path / "sha256.json").write_text(content)
    assert checkpoints.newest().state.iteration == 2


def test_one_of_another_version_is_passed_over(checkpoints):
    """Its checksums are right, but nobody knows what it means."""
    newest = checkpoints.folder / "iteration_000003"
    (newest / "run.json").write_text('{"iteration": "third"}')
    sums = checkpoints_module._checksums(newest)
    (newest / "sha256.json").write_text(json.dumps(sums))
    assert checkpoints.newest().state.iteration == 2


def test_without_a_sound_one_the_error_says_what_was_looked_at(checkpoints):
    """And how to begin."""
    for path in checkpoints.folder.iterdir():
        (path / "training.pt").unlink()
    with pytest.raises(InvalidArgumentError) as error:
        checkpoints.newest()
    assert "iteration_000003 (missing or not as written: training.pt); iteration_000002" in str(error.value)
    assert "vla train" in str(error.value)


def test_an_empty_folder_is_named(tmp_path):
    """A run that was killed before its first checkpoint."""
    with pytest.raises(InvalidArgumentError, match="nothing is there"):
        Checkpoints(tmp_path, kept=2).newest()


def test_an_interrupted_one_is_never_seen(checkpoints, policy, monkeypatch):
    """What was there stays as it was."""
    monkeypatch.setattr(torch, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        checkpoints.save(policy, training_state(4), state_at(4))
    assert names(checkpoints) == ["iteration_000002", "iteration_000003"]
    assert checkpoints.newest().state.iteration == 3


def test_a_resumed_course_replaces_the_one_it_left(checkpoints, policy):
    """Of a later checkpoint, which was damaged, nothing stays."""
    (checkpoints.folder / "iteration_000003" / "training.pt").unlink()
    shutil.copytree(checkpoints.folder / "iteration_000003", checkpoints.folder / "iteration_000009")
    checkpoints.save(policy, training_state(3), state_at(3))
    assert names(checkpoints) == ["iteration_000002", "iteration_000003"]
    assert checkpoints.newest().state.iteration == 3


def test_nothing_in_a_checkpoint_is_executed(checkpoints, policy, capsys):
    """Only plain data is loaded."""
    checkpoints.save(policy, {"file": Executed()}, state_at(4))
    with pytest.raises(Exception, match="weights_only"):
        checkpoints.newest().training_state()
    assert "executed" not in capsys.readouterr().out


def test_the_best_policy_comes_back_with_its_checkpoint(checkpoints, policy):
    """A later best one belongs to a course that the resumed run leaves."""
    policy.save_pretrained(checkpoints.best)
    checkpoints.save(policy, training_state(4), state_at(4))
    expected = (checkpoints.best / "model.safetensors").read_bytes()
    TinyPolicy(TinyConfig(chunk_size=2, token_length=6, bins=16, hidden=9)).save_pretrained(checkpoints.best)
    assert (checkpoints.best / "model.safetensors").read_bytes() != expected
    checkpoints.restore_best(checkpoints.newest())
    assert (checkpoints.best / "model.safetensors").read_bytes() == expected


@pytest.mark.parametrize("place", ["policy", "training state"])
def test_what_is_not_finite_is_not_written(checkpoints, policy, place):
    """And pushes no sound checkpoint out."""
    state = training_state(4)
    (state["optimizer"]["state"][0] if place == "training state" else next(policy.parameters()).data).fill_(torch.nan)
    before = names(checkpoints)
    with pytest.raises(NonFiniteError):
        checkpoints.save(policy, state, state_at(4))
    assert names(checkpoints) == before


def test_a_checkpoint_that_is_not_finite_is_passed_over(checkpoints, policy, monkeypatch, caplog):
    """An earlier version has written it."""
    bad = training_state(4)
    bad["optimizer"]["state"][0][1] = torch.inf
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "check_finite", lambda *_: None)
        checkpoints.save(policy, bad, state_at(4))
    assert checkpoints.newest().path.name == "iteration_000003"
    assert "1 of 3 in 'optimizer.state.0' are not" in caplog.text
