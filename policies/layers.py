"""Layers that several policies are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import STATE


class ScaledState(nn.Module):
    """Proprioception (B, P), each number times a factor that brings it to order one.

    Args:
        factors: P factors.

    Raises:
        InvalidArgumentError: a state of another length.

    Example:
        >>> ScaledState((10.0, 1.0))(torch.tensor([[0.25, 3.0]])).tolist()
        [[2.5, 3.0]]
    """

    factors: Tensor

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors), persistent=False)

    def forward(self, state: Tensor) -> Tensor:
        """Return the scaled state (B, P)."""
        # A state of one number would be repeated to any length.
        if state.shape[1:] != self.factors.shape:
            raise InvalidArgumentError(
                f"Expect the `{STATE}` to have the {len(self.factors)} numbers of `state_scale`, "
                f"actually: {tuple(state.shape[1:])}."
            )
        return state * self.factors


def hidden_layers(inputs: int, width: int) -> list[nn.Module]:
    """Return two fully connected layers, each with its ReLU."""
    return [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]


def value_head(width: int) -> nn.Sequential:
    """Return a critic, which maps features (B, width) to (B, 1)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


def spatial_softmax(maps: Tensor) -> Tensor:
    """Return the expected (x, y) of each map (B, C, H, W), read as a distribution: (B, 2C) in [-1, 1]."""
    height, width = maps.shape[2:]
    weights = maps.flatten(2).softmax(-1).unflatten(2, (height, width))
    x = torch.linspace(-1.0, 1.0, width, device=maps.device)
    y = torch.linspace(-1.0, 1.0, height, device=maps.device)
    return torch.cat([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], dim=-1)


def check_patches_fill(height: int, width: int, patch_size: int) -> None:
    """Raise where square patches do not fill an image, whose border a policy would not see.

    Raises:
        InvalidArgumentError: the sides are no multiples of a patch's.
    """
    if height % patch_size or width % patch_size:
        nearest = max(1, round(width / patch_size)) * patch_size
        raise InvalidArgumentError(
            f"Expect images whose sides are multiples of the {patch_size} pixels of a patch, such as "
            f"--environment.image-size {nearest}, actually: {height} x {width}."
        )
