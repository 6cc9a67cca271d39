"""A policy of DINOv2, BERT and proprioception, with a Gaussian over chunks of actions and a critic."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from policies.dinov2_bert.config import Architecture, DINOv2BertOptions, Training
from policies.dinov2_bert.encoders import TextEncoder, VisionEncoder
from policies.dinov2_bert.pretrained import architecture
from policies.heads import GaussianHead
from policies.layers import ScaledState, check_patches_fill, hidden_layers, spatial_softmax, value_head
from policies.lora import add_adapters
from policies.waypoint import WayPoint, WayPointPolicy
from vla_envs.spec import STATE
from vla_envs.wrappers.action_history import ACTION_HISTORY
from vla_envs.wrappers.instruction import INSTRUCTION_BYTES

HEADS = 16
"""Number of places in an image that an instruction looks at."""
PROJECTED = 64
"""Width to which instructions and past actions are brought before they are fused."""


class DINOv2BertPolicy(WayPointPolicy):
    """Images by DINOv2 and instructions by BERT, fused with proprioception and past actions.

    The instruction attends to the patches of each image: every head gives the place where it looks (a spatial
    softmax, arXiv 1504.00702) and the features that it sees there.

    Args:
        config: a :class:`~policies.dinov2_bert.DINOv2BertOptions`, whose pretrained encoders are loaded, or what a
            saved policy is made of.

    Raises:
        InvalidArgumentError: bounds of actions that are not finite, in order, and one for each dimension, or a
            pretrained encoder of another model.
        MissingAssetsError: a pretrained encoder is not there.
        DamagedAssetsError: its weights are damaged.
        NonFiniteError: a weight is NaN or infinite.

    Example:
        >>> import torch
        >>> from policies.dinov2_bert import DINOv2BertOptions, DINOv2BertPolicy
        >>> from vla_envs.wrappers.instruction import encode_instruction
        >>> policy = DINOv2BertPolicy(DINOv2BertOptions())
        >>> observations = {
        ...     "image": torch.zeros(2, 64, 64, 3, dtype=torch.uint8),
        ...     "state": torch.zeros(2, 8),
        ...     "action_history": torch.zeros(2, 5, 7),
        ...     "instruction_bytes": torch.from_numpy(encode_instruction("open the drawer")).repeat(2, 1),
        ... }
        >>> policy.act(observations).shape
        torch.Size([2, 8, 7])
    """

    kind = "dinov2_bert"
    config_class = Architecture
    config_file = "dinov2_bert.json"
    fits = ("chunk_size", "history", "image_keys", "action_dim", "action_low", "action_high")

    config: Architecture

    def __init__(self, config: Architecture) -> None:
        vision = text = None
        if isinstance(config, DINOv2BertOptions):
            vision, text = config.pretrained_vision, config.pretrained_text
            config = architecture(config)
        super().__init__(config)
        self.vision = VisionEncoder(config.vision, vision)
        self.text = TextEncoder(config.text, text)
        _prepare(self.vision.model, config.vision_training, config.lora_rank)
        _prepare(self.text.model, config.text_training or "full", config.lora_rank)
        self.scaled_state = ScaledState(config.state_scale)
        self.language = nn.Sequential(nn.Linear(self.text.width, PROJECTED), nn.ReLU())
        self.looks = nn.ModuleDict({key: Look(self.vision.width, PROJECTED) for key in config.image_keys})
        features = Look.num_features * len(config.image_keys) + PROJECTED + len(config.state_scale)
        if config.history:
            past = config.history * config.action_dim
            self.past = nn.Sequential(nn.Linear(past, PROJECTED), nn.ReLU())
            features += PROJECTED
        self.waypoint = WayPoint(features, config.hidden, config.action_dim, self.has_targets)
        self.trunk = nn.Sequential(*hidden_layers(features + self.waypoint.dim, config.hidden))
        self.action_head = GaussianHead(config.hidden, self.slots, config.std)
        self.value_head = value_head(config.hidden)

    def check_image_sides(self, height: int, width: int) -> None:
        """Raise where the sides of images are no multiples of a patch's."""
        check_patches_fill(height, width, self.vision.patch_size)

    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return what the way point and the trunk are computed from, (B, F)."""
        language = self.language(self.text(observations[INSTRUCTION_BYTES]))
        keys = self.config.image_keys
        # One pass for all cameras, whose images have one size.
        patches = self.vision(torch.cat([observations[key] for key in keys])).chunk(len(keys))
        seen = [self.looks[key](each, language) for key, each in zip(keys, patches, strict=True)]
        past = [self.past(observations[ACTION_HISTORY].flatten(1))] if self.config.history else []
        return torch.cat([*seen, language, self.scaled_state(observations[STATE]), *past], dim=-1)


class Look(nn.Module):
    """What an instruction (B, language) finds in the patches of an image (B, rows, columns, width)."""

    values = 8
    """Number of features that a head sees where it looks."""
    num_features = HEADS * (2 + values)

    def __init__(self, width: int, language: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.keys = nn.Linear(width, PROJECTED)
        self.seen = nn.Linear(width, self.values)
        self.queries = nn.Linear(language, HEADS * PROJECTED)

    def forward(self, patches: Tensor, language: Tensor) -> Tensor:
        """Return the place that each head looks at, and what it sees there, (B, features)."""
        patches = self.norm(patches)
        queries = self.queries(language).unflatten(1, (HEADS, PROJECTED))
        attention = torch.einsum("bhd,brcd->bhrc", queries, self.keys(patches))
        weights = attention.flatten(2).softmax(-1)
        seen = weights @ self.seen(patches).flatten(1, 2)
        return torch.cat([spatial_softmax(attention), seen.flatten(1)], dim=-1)


def _prepare(model: nn.Module, training: Training, rank: int) -> None:
    """Freeze an encoder, or give its linear layers adapters, where not all of it is trained."""
    if training == "lora":
        add_adapters(model, rank, [name for name, each in model.named_modules() if isinstance(each, nn.Linear)])
    elif training == "frozen":
        model.requires_grad_(False)
