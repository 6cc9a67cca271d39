"""Checkpoint directories: what is wrong with one is said by file and tensor, and nothing in it is executed."""

import json
import pickle
import re
import shutil
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers")

from policies.openvla.checkpoint import Checkpoint, load_component
from policies.openvla.oft import ProprioProjector
from policies.registry import load_policy
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError, NonFiniteError

SHARD = "model-00001-of-00001.safetensors"


@pytest.fixture
def checkpoint(random_checkpoint, tmp_path):
    """A copy to damage."""
    return shutil.copytree(random_checkpoint, tmp_path / "checkpoint")


def edit(path, change):
    """Change the JSON object in a file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_tensors(folder, change):
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / SHARD)
    change(tensors)
    save_file(tensors, folder / SHARD)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", SHARD])
def test_a_missing_file_is_named(checkpoint, name):
    """With what to do."""
    (checkpoint / name).unlink()
    with pytest.raises(MissingAssetsError, match=name.replace(".", r"\.")):
        load_policy("openvla", checkpoint)


def test_a_missing_directory_is_named(tmp_path):
    """With the command that downloads one; nothing is downloaded."""
    with pytest.raises(MissingAssetsError, match=r"nowhere\. Download one with: hf download"):
        Checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_json_file_is_named(checkpoint, name, content):
    """Cut short, or something else."""
    (checkpoint / name).write_text(content)
    with pytest.raises(DamagedAssetsError, match=name.replace(".", r"\.")):
        Checkpoint(checkpoint)


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_a_truncated_file_of_tensors_is_named(checkpoint, kept):
    """However much of it is left."""
    content = (checkpoint / SHARD).read_bytes()
    (checkpoint / SHARD).write_bytes(content[:kept])
    with pytest.raises(DamagedAssetsError, match=r"model-00001-of-00001.*cut short"):
        load_policy("openvla", checkpoint)


def test_a_missing_tensor_is_named(checkpoint):
    """Though the index promises it."""
    change_tensors(checkpoint, lambda tensors: tensors.pop("projector.fc2.weight"))
    with pytest.raises(DamagedAssetsError, match=r"model-00001.*'projector\.fc2\.weight'"):
        load_policy("openvla", checkpoint)


def test_a_tensor_that_no_file_has_is_named(checkpoint):
    """And how many there are without it."""
    edit(checkpoint / "model.safetensors.index.json", lambda index: index["weight_map"].pop("projector.fc2.weight"))
    with pytest.raises(DamagedAssetsError, match=r"'projector.fc2.weight' \(of 1 missing\)"):
        load_policy("openvla", checkpoint)


def test_a_tensor_of_another_shape_is_named(checkpoint):
    """With both shapes."""
    change_tensors(checkpoint, lambda tensors: tensors.update({"projector.fc3.bias": torch.zeros(5)}))
    with pytest.raises(DamagedAssetsError, match=r"'projector.fc3.bias' .*shape \(32,\), actually: \(5,\)"):
        load_policy("openvla", checkpoint)


def test_an_index_cannot_point_elsewhere(checkpoint):
    """To a file outside the directory."""
    edit(checkpoint / "model.safetensors.index.json", lambda index: index["weight_map"].update(x="../secret"))
    with pytest.raises(InvalidArgumentError, match=r"\.\./secret"):
        Checkpoint(checkpoint)


def test_a_single_file_needs_no_index(checkpoint):
    """As small models are saved."""
    (checkpoint / SHARD).rename(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors.index.json").unlink()
    assert load_policy("openvla", checkpoint).slots == 7


def test_statistics_of_fine_tuning_replace_the_others(checkpoint):
    """As in the official evaluation."""
    (checkpoint / "dataset_statistics.json").write_text(json.dumps({"mine": {}}))
    assert list(Checkpoint(checkpoint).statistics) == ["mine"]


class Evil:
    """What a pickle may hold."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("content", [pickle.dumps({"fc1.weight": Evil()}), b"", b"no pickle"])
def test_a_component_is_never_executed(tmp_path, capsys, content):
    """What is no file of tensors is refused."""
    path = tmp_path / "proprio_projector--1_checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(DamagedAssetsError, match="proprio_projector--1"):
        load_component(ProprioProjector(8, 32), path)
    assert capsys.readouterr().out == ""


def test_a_component_inside_a_real_file_is_not_executed_either(tmp_path, capsys):
    """The container of torch holds a pickle."""
    path = tmp_path / "action_head--1_checkpoint.pt"
    torch.save({"fc1.weight": Evil()}, path)
    with pytest.raises(DamagedAssetsError, match="action_head--1"):
        load_component(ProprioProjector(8, 32), path)
    assert capsys.readouterr().out == ""


def test_a_component_of_another_size_is_named(tmp_path):
    """With what does not fit."""
    torch.save(ProprioProjector(8, 16).state_dict(), tmp_path / "projector.pt")
    with pytest.raises(DamagedAssetsError, match=r"projector\.pt.*size mismatch for fc1\.weight"):
        load_component(ProprioProjector(8, 32), tmp_path / "projector.pt")


def test_names_of_parallel_training_are_understood(tmp_path):
    """`module.` in front changes nothing."""
    saved = ProprioProjector(8, 32)
    torch.save({f"module.{name}": each for name, each in saved.state_dict().items()}, tmp_path / "projector.pt")
    loaded = load_component(ProprioProjector(8, 32), tmp_path / "projector.pt")
    assert torch.equal(loaded.fc2.weight, saved.fc2.weight)


def test_a_file_that_inflates_is_refused_unread(tmp_path):
    """torch would take the memory that a few compressed bytes claim."""
    torch.save({"fc1.weight": torch.zeros(10**6)}, tmp_path / "whole.pt")
    path = tmp_path / "action_head--1_checkpoint.pt"
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small:
        for each in whole.infolist():
            small.writestr(each.filename, whole.read(each))
    assert path.stat().st_size < 10**4
    with pytest.raises(DamagedAssetsError, match=r"action_head--1.* claims to hold 400\d{4} bytes, more than it has"):
        load_component(ProprioProjector(8, 32), path)


def test_quantized_weights_are_refused(checkpoint, tmp_path):
    """As numbers they are other weights: bytes of bitsandbytes have the shape of what they stand for."""
    name = "language_model.model.layers.0.mlp.up_proj.weight"
    change_tensors(checkpoint, lambda tensors: tensors.update({name: tensors[name].to(torch.int8)}))
    with pytest.raises(InvalidArgumentError, match=rf"{SHARD}.*actually: I8 for '{name}'.*bitsandbytes"):
        load_policy("openvla", checkpoint)
    state = {name: each.to(torch.int8) for name, each in ProprioProjector(8, 32).state_dict().items()}
    torch.save(state, tmp_path / "projector.pt")
    with pytest.raises(DamagedAssetsError, match=r"projector\.pt.*no floating point.*quantized"):
        load_component(ProprioProjector(8, 32), tmp_path / "projector.pt")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vla_options.json", {"platform": "mars"}, "`platform` to be 'libero' or 'robotwin', actually: 'mars'"),
        ("vla_options.json", {"vision_head": [2, 3]}, "Did you mean `vision_heads`"),
        ("vla_options.json", {"lora_rank": "8"}, "`lora_rank` to be a valid integer, actually: '8'"),
        ("vla_options.json", {"kind": 7}, "saved by, 7, actually: 'openvla'"),
        ("config.json", {"norm_stats": 3}, "`norm_stats` to be an object, actually: 3"),
        ("config.json", {"text_config": {"rope_theta": []}}, "`text_config.rope_theta` to be a number"),
        ("preprocessor_config.json", {"tvf_normalize_params": 1}, "`tvf_normalize_params` to have mean and std"),
        ("dataset_statistics.json", {"random": {"action": {"q01": "x", "q99": [1.0]}}}, "lists of numbers"),
        ("dataset_statistics.json", {"random": []}, "`statistics of random` to be an object"),
    ],
)
def test_a_value_of_a_wrong_kind_is_named_with_its_file(checkpoint, name, change, message):
    """Whichever of the files it stands in."""
    path = checkpoint / name
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.is_file() else {}), **change}))
    with pytest.raises(InvalidArgumentError, match=f"{re.escape(name)}.*{message}"):
        load_policy("openvla", checkpoint)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(checkpoint, bad):
    """With their name and their file."""
    change_tensors(checkpoint, lambda tensors: tensors[sorted(tensors)[0]].view(-1)[0].fill_(bad))
    loaded = Checkpoint(checkpoint)
    with pytest.raises(NonFiniteError, match=rf"1 of \d+ in '{sorted(loaded.shapes)[0]}' are not. `{checkpoint}"):
        list(loaded.tensors(loaded.shapes))
