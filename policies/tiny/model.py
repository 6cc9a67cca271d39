"""A small policy: image key points, instruction and proprioception to an action chunk."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from policies.heads import GaussianHead, TokenHead
from policies.layers import ScaledState, check_patches_fill, hidden_layers, spatial_softmax, value_head
from policies.tiny.config import TinyConfig
from policies.waypoint import WayPoint, WayPointPolicy
from vla_envs.spec import STATE
from vla_envs.wrappers.action_history import ACTION_HISTORY
from vla_envs.wrappers.instruction import INSTRUCTION_TOKENS


class TinyPolicy(WayPointPolicy):
    """The interface of a VLA at a size that learns on a CPU in minutes.

    The instruction attends to the patches of each image; where each of its heads looks (a spatial
    softmax, arXiv 1504.00702) is a key point. From key points, instruction, proprioception and past
    actions comes a way point, and from all of them a distribution for every slot of the chunk.

    Raises:
        InvalidArgumentError: the bounds of the configuration are not finite, in order, and one for each dimension.

    Example:
        >>> import torch
        >>> from policies.tiny import TinyConfig, TinyPolicy
        >>> policy = TinyPolicy(TinyConfig())
        >>> observations = {
        ...     "image": torch.zeros(2, 64, 64, 3, dtype=torch.uint8),
        ...     "state": torch.zeros(2, 8),
        ...     "instruction_tokens": torch.ones(2, 24, dtype=torch.int64),
        ... }
        >>> policy.act(observations).shape
        torch.Size([2, 8, 7])
    """

    kind = "tiny"
    config_class = TinyConfig
    config_file = "config.json"
    fits = ("chunk_size", "token_length", "history", "image_keys", "action_dim", "action_low", "action_high")

    config: TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.scaled_state = ScaledState(config.state_scale)
        self.language = InstructionEncoder(config)
        self.vision = nn.ModuleDict({key: KeyPointEncoder(config) for key in config.image_keys})
        features = 2 * config.heads * len(config.image_keys) + InstructionEncoder.width
        features += len(config.state_scale) + config.history * config.action_dim
        self.waypoint = WayPoint(features, config.hidden, config.action_dim, self.has_targets)
        self.trunk = nn.Sequential(*hidden_layers(features + self.waypoint.dim, config.hidden))
        if config.head == "gaussian":
            self.action_head = GaussianHead(config.hidden, self.slots)
        else:
            self.action_head = TokenHead(config.hidden, self.slots, config.bins)
        self.value_head = value_head(config.hidden)

    def check_image_sides(self, height: int, width: int) -> None:
        """Raise where the sides of images are no multiples of a patch's."""
        check_patches_fill(height, width, self.config.patch_size)

    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return what the way point and the trunk are computed from, (B, F)."""
        language = self.language(observations[INSTRUCTION_TOKENS])
        points = [encoder(observations[key], language) for key, encoder in self.vision.items()]
        past = [observations[ACTION_HISTORY].flatten(1)] if self.config.history else []
        return torch.cat([*points, self.scaled_state(observations[STATE]), language, *past], dim=-1)


class InstructionEncoder(nn.Module):
    """Maps word ids (B, length) to an embedding (B, 64) that knows the order of the words."""

    width = 64

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, 16, padding_idx=0)
        self.project = nn.Sequential(nn.Linear(16 * config.token_length, self.width), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the embedding (B, 64)."""
        return self.project(self.embedding(tokens).flatten(1))


class KeyPointEncoder(nn.Module):
    """Maps an image uint8 (B, H, W, 3) to key points (B, 2 * heads) in [-1, 1], where the instruction looks."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        channels = config.channels
        self.heads, self.patch_size = config.heads, config.patch_size
        self.patches = nn.Conv2d(3, channels, self.patch_size, stride=self.patch_size)
        self.context = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.keys = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))
        self.queries = nn.Linear(InstructionEncoder.width, config.heads * channels)

    def forward(self, image: Tensor, language: Tensor) -> Tensor:
        """Return the key points (B, 2 * heads)."""
        _, height, width, _ = image.shape
        check_patches_fill(height, width, self.patch_size)
        # NHWC storage read as NCHW is PyTorch's channels_last: no copy is needed.
        patches = self.patches(image.permute(0, 3, 1, 2).float() / 127.5 - 1.0)
        maps = patches + self.context(patches)
        keys = self.keys(maps.flatten(2).transpose(1, 2))
        queries = self.queries(language).unflatten(1, (self.heads, -1))
        attention = queries @ keys.transpose(1, 2)
        return spatial_softmax(attention.unflatten(2, maps.shape[2:]))
