"""What a checkpoint says about its network."""

import json
import re
import shutil

import pytest

pytest.importorskip("transformers")

from policies.openvla.checkpoint import Checkpoint
from policies.openvla.config import read_config, read_normalization
from policies.openvla.random_checkpoint import SIZES
from vla_envs.errors import InvalidArgumentError


def config_of(checkpoint, vision_heads=None):
    """The network that the files of a checkpoint describe."""
    return read_config(checkpoint.config, checkpoint.shapes, vision_heads)


@pytest.fixture
def changed(random_checkpoint, tmp_path):
    """``changed(name, **fields)``: the checkpoint with other fields in a JSON file."""

    def change(name, **fields):
        folder = shutil.copytree(random_checkpoint, tmp_path / "checkpoint")
        content = {**json.loads((folder / name).read_text()), **fields}
        (folder / name).write_text(json.dumps(content))
        return Checkpoint(folder)

    return change


def test_sizes_are_those_that_were_written(random_checkpoint):
    """All but the heads of the vision transformers are in the files."""
    assert config_of(Checkpoint(random_checkpoint), (2, 3)) == SIZES["tiny"]


def test_what_official_files_leave_out_is_llama_2(changed):
    """They name the vocabulary alone."""
    config = config_of(changed("config.json", text_config={"vocab_size": 32064}), (2, 3))
    assert config.llama["num_hidden_layers"] == 32
    assert (config.hidden_size, config.vocabulary_size, config.first_action_id) == (4096, 32000, 31744)


def test_heads_of_the_official_vision_transformers_are_known(changed):
    """By timm's names; 16 do not divide the widths of these."""
    names = ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"]
    checkpoint = changed("config.json", timm_model_ids=names)
    assert [tower.heads for tower in config_of(checkpoint).towers] == [16, 16]


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (None, "`timm_model_ids` among .*, or `vision_heads`, actually: 'random'"),
        ((2,), "`vision_heads` for 2 towers, actually: .2."),
        ((2, 5), "divide the width 48, actually: 5"),
        ((0, 3), "divide the width 32, actually: 0"),
    ],
)
def test_heads_that_cannot_be_are_refused(random_checkpoint, heads, message):
    """Another number of heads would run, and give other features."""
    with pytest.raises(InvalidArgumentError, match=message):
        config_of(Checkpoint(random_checkpoint), heads)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_fused_vision_backbone": False}, "actually: {'use_fused_vision_backbone': False}"),
        ({"timm_override_act_layers": [None, "quick_gelu"]}, "actually: {'timm_override_act_layers': .None, 'quick_g"),
        ({"n_action_bins": 128}, "'n_action_bins': 256.*, actually: {'n_action_bins': 128}"),
        ({"quantization_config": {"load_in_4bit": True}}, "actually: {'quantization_config': {'load_in_4bit': True}}"),
        ({"image_sizes": [224]}, "{'image_sizes': .224, 224.}, actually: {'image_sizes': .224.}"),
        ({"image_sizes": [384, 384]}, "{'image_sizes': .224, 224.}, actually: {'image_sizes': .384, 384.}"),
        ({"text_config": None}, "`text_config` to be an object, actually: None"),
        ({"pad_to_multiple_of": "64"}, "`pad_to_multiple_of` to be an integer, actually: '64'"),
        ({"pad_to_multiple_of": -64}, "leave 256 of 32064 ids, actually: -64"),
        ({"pad_to_multiple_of": 32000}, "leave 256 of 32064 ids, actually: 32000"),
    ],
)
def test_values_that_cannot_be_are_refused(changed, fields, message):
    """By the field's name."""
    with pytest.raises(InvalidArgumentError, match=message):
        config_of(changed("config.json", **fields), (2, 3))


@pytest.mark.parametrize(
    ("text_config", "message"),
    [
        ({"num_hidden_layers": -1}, "`text_config.num_hidden_layers` to be a positive integer, actually: -1"),
        ({"hidden_size": "big"}, "`text_config.hidden_size` to be a positive integer, actually: 'big'"),
        ({"rms_norm_eps": "x"}, "`text_config.rms_norm_eps` to be a number, actually: 'x'"),
        ({"rope_theta": 0}, "`text_config.rope_theta` to be above 0, actually: 0"),
        ({"hidden_size": 33, "num_attention_heads": 2}, "divide the width 33, actually: 2"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changed, text_config, message):
    """By the field's name."""
    with pytest.raises(InvalidArgumentError, match=message):
        config_of(changed("config.json", text_config=text_config), (2, 3))


@pytest.mark.parametrize(
    "params",
    [
        None,
        "x",
        [],
        [{"mean": [0.5] * 3, "std": [0.0] * 3}] * 2,
        [{"mean": [0.5] * 3, "std": [0.5] * 3}],
        [{"mean": [0.5] * 3}] * 2,
        [{"mean": ["0.5"] * 3, "std": [0.5] * 3}] * 2,
        [{"mean": [0.5] * 3, "std": [True] * 3}] * 2,
    ],
)
def test_a_normalization_that_is_not_there_is_refused(changed, params):
    """Both transformers need a mean and a standard deviation."""
    with pytest.raises(InvalidArgumentError, match="`tvf_normalize_params` to have mean and std of 2 towers"):
        read_normalization(changed("preprocessor_config.json", tvf_normalize_params=params).preprocessor, 224)


@pytest.mark.parametrize(
    "fields",
    [
        {"image_resize_strategy": "letterbox"},
        {"tvf_do_letterbox": True},
        {"interpolations": ["bilinear", "bicubic"]},
        {"input_sizes": [[3, 224, 224]]},
        {"input_sizes": [[3, 384, 384]] * 2},
    ],
)
def test_images_that_were_made_otherwise_are_refused(changed, fields):
    """The network would look at other images than it was trained on."""
    with pytest.raises(InvalidArgumentError, match=f"actually: {re.escape(str(fields))}"):
        read_normalization(changed("preprocessor_config.json", **fields).preprocessor, 224)
