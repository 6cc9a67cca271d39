"""What OpenVLA-OFT and actor-critic training add to the language model."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Norm, linear and ReLU beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ffn = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU())

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., width) to the same."""
        return hidden + cast(Tensor, self.ffn(hidden))


class L1Head(nn.Module):
    """Hidden states of a chunk's slots to normalised actions, as OpenVLA-OFT regresses them (arXiv 2502.19645)."""

    def __init__(self, hidden: int, action_dim: int) -> None:
        super().__init__()
        self.action_dim = action_dim
        self.layer_norm1 = nn.LayerNorm(hidden * action_dim)
        self.fc1 = nn.Linear(hidden * action_dim, hidden)
        self.mlp_resnet_blocks = nn.ModuleList(ResidualBlock(hidden) for _ in range(2))
        self.layer_norm2 = nn.LayerNorm(hidden)
        self.fc2 = nn.Linear(hidden, action_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden (B, slots, H), the slots of an action side by side, to actions (B, slots), not clipped."""
        features = hidden.unflatten(1, (-1, self.action_dim)).flatten(2)
        features = functional.relu(self.fc1(self.layer_norm1(features)))
        for block in self.mlp_resnet_blocks:
            features = block(features)
        return cast(Tensor, self.fc2(self.layer_norm2(features)).flatten(1))


class ProprioProjector(nn.Module):
    """Normalised proprioception to one embedding of the language model."""

    def __init__(self, proprio_dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(proprio_dim, hidden)
        self.fc2 = nn.Linear(hidden, hidden)

    def forward(self, proprio: Tensor) -> Tensor:
        """(B, P) to (B, 1, hidden)."""
        return cast(Tensor, self.fc2(functional.gelu(self.fc1(proprio)))[:, None])


class ValueHead(nn.Module):
    """Hidden state at the first action slot to the critic's estimate (RLinf's sizes)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(hidden, 512), nn.GELU(), nn.Linear(512, 128), nn.GELU(), nn.Linear(128, 1, bias=False)
        )
        torch.nn.init.zeros_(cast(nn.Linear, self.mlp[-1]).weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, H) to float32 (B,)."""
        return cast(Tensor, self.mlp(hidden)[:, 0].float())
