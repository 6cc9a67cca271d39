"""What a checkpoint's files say about its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import LlamaConfig

from policies.openvla.checkpoint import Checkpoint, Shape, checked
from policies.openvla.tokens import NUM_IDS
from policies.openvla.vision import ViTConfig
from vla_envs.errors import InvalidArgumentError

VIT_HEADS = {
    "vit_large_patch14_reg4_dinov2.lvd142m": 16,
    "vit_so400m_patch14_siglip_224": 16,
    "vit_base_patch16_siglip_224": 12,
    "vit_small_patch14_reg4_dinov2.lvd142m": 6,
    "vit_base_patch14_reg4_dinov2.lvd142m": 12,
}
"""timm's name of a vision transformer -> its attention heads, the one size that shapes of tensors do not tell."""

TOWERS = ("vision_backbone.featurizer", "vision_backbone.fused_featurizer")
"""Where the vision transformers' tensors are."""

LLAMA = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "vocab_size": 32064,
    "pad_token_id": 32000,
}
"""Llama 2 of 7B parameters: official configurations name only what differs from it."""
REALS = ("rms_norm_eps", "rope_theta")
"""Those of them that are no counts."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and constants of the network."""

    towers: tuple[ViTConfig, ...]
    """The vision transformers."""
    llama: Mapping[str, Any]
    """Fields of transformers' ``LlamaConfig``."""
    vocabulary_size: int
    """Token ids without the padding of the embedding; the last 256 are the actions."""
    means: tuple[tuple[float, ...], ...]
    """RGB in [0, 1] for each tower, subtracted from its pixels."""
    stds: tuple[tuple[float, ...], ...]
    """What each tower's pixels are divided by."""

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.towers[0].image_size

    @property
    def hidden_size(self) -> int:
        """Width of the language model."""
        return int(self.llama["hidden_size"])

    @property
    def first_action_id(self) -> int:
        """The lowest of the 256 action ids."""
        return self.vocabulary_size - NUM_IDS

    def llama_config(self) -> LlamaConfig:
        """The language model's configuration."""
        return LlamaConfig(**self.llama, attn_implementation="sdpa")


def read_config(checkpoint: Checkpoint, vision_heads: Sequence[int] | None = None) -> NetworkConfig:
    """The network of an official checkpoint; sizes of the towers are those of their tensors.

    Args:
        checkpoint: the opened directory.
        vision_heads: attention heads of each tower, for those not in :data:`VIT_HEADS`.

    Raises:
        InvalidArgumentError: values that are missing, out of range or do not fit each other.
    """
    config = checkpoint.config
    if not config.get("use_fused_vision_backbone", True):
        raise InvalidArgumentError("Expect `use_fused_vision_backbone`, DINOv2 beside SigLIP, actually: false.")
    heads = vision_heads or _known_heads(config)
    if len(heads) != len(TOWERS):
        raise InvalidArgumentError(f"Expect `vision_heads` for {len(TOWERS)} towers, actually: {list(heads)}.")
    text = checked(config.get("text_config", {}), dict, "text_config")
    llama = {**LLAMA, **{key: each for key, each in text.items() if key in LLAMA}}
    _check_llama(llama)
    padding = checked(config.get("pad_to_multiple_of", 64), int, "pad_to_multiple_of")
    if not 0 <= padding <= llama["vocab_size"] - NUM_IDS:
        raise InvalidArgumentError(
            f"Expect `pad_to_multiple_of` to leave {NUM_IDS} of {llama['vocab_size']} ids, actually: {padding}."
        )
    means, stds = _normalisation(checkpoint)
    return NetworkConfig(
        towers=tuple(_tower(checkpoint.shapes, prefix, count) for prefix, count in zip(TOWERS, heads, strict=True)),
        llama=llama,
        vocabulary_size=llama["vocab_size"] - padding,
        means=means,
        stds=stds,
    )


def _known_heads(config: Mapping[str, Any]) -> list[int]:
    names = config.get("timm_model_ids", [])
    if unknown := [name for name in names if name not in VIT_HEADS]:
        raise InvalidArgumentError(
            f"Expect `timm_model_ids` among {sorted(VIT_HEADS)}, or `vision_heads`, actually: {unknown[0]!r}."
        )
    return [VIT_HEADS[name] for name in names]


def _tower(shapes: Mapping[str, Shape], prefix: str, heads: int) -> ViTConfig:
    def shape(name: str) -> Shape:
        if f"{prefix}.{name}" not in shapes:
            raise InvalidArgumentError(f"Expect the checkpoint to hold `{prefix}.{name}`, actually: no such tensor.")
        return shapes[f"{prefix}.{name}"]

    _, num_patches, width = shape("pos_embed")
    if heads < 1 or width % heads:
        raise InvalidArgumentError(f"Expect `vision_heads` that divide the width {width}, actually: {heads}.")
    blocks = {name.split(".")[3] for name in shapes if name.startswith(f"{prefix}.blocks.")}
    return ViTConfig(
        width=width,
        blocks=len(blocks) - 1,
        heads=heads,
        mlp_width=shape("blocks.0.mlp.fc1.bias")[0],
        num_patches=num_patches,
        patch_size=shape("patch_embed.proj.weight")[-1],
        registers=shapes.get(f"{prefix}.reg_token", (1, 0))[1],
        layer_scale=f"{prefix}.blocks.0.ls1.scale_factor" in shapes,
    )


def _check_llama(llama: Mapping[str, Any]) -> None:
    for name in REALS:
        if not checked(llama[name], (int, float), f"text_config.{name}") > 0:
            raise InvalidArgumentError(f"Expect `text_config.{name}` to be above 0, actually: {llama[name]}.")
    for name, value in llama.items():
        if name not in REALS and (not isinstance(value, int) or value < 1):
            raise InvalidArgumentError(f"Expect `text_config.{name}` to be a positive integer, actually: {value!r}.")
    if llama["hidden_size"] % llama["num_attention_heads"]:
        raise InvalidArgumentError(
            f"Expect `text_config.num_attention_heads` to divide the width {llama['hidden_size']}, "
            f"actually: {llama['num_attention_heads']}."
        )


def _normalisation(checkpoint: Checkpoint) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Means and standard deviations, each (towers, 3)."""
    given = checkpoint.preprocessor.get("tvf_normalize_params")
    try:
        means, stds = (tuple(tuple(map(float, each[name])) for each in given) for name in ("mean", "std"))
    except (TypeError, KeyError, ValueError):
        means = stds = ()
    complete = all(len(each) == len(TOWERS) and {len(rgb) for rgb in each} == {3} for each in (means, stds))
    if not complete or min(map(min, stds)) <= 0:
        raise InvalidArgumentError(
            f"Expect `tvf_normalize_params` of {checkpoint.path} to have mean and std of {len(TOWERS)} towers, "
            f"actually: {given}."
        )
    return means, stds
