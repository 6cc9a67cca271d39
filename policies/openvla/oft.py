"""OpenVLA-OFT (arXiv 2502.19645): a chunk of actions at once, as discrete tokens or by a regression head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.distributions import ActionDistribution, GaussianDistribution
from policies.heads import BoundedLogStd
from policies.interface import check_computed
from policies.openvla.checkpoint import Checkpoint, load_component
from policies.openvla.config import OpenVLAOptions
from policies.openvla.inputs import Inputs
from policies.openvla.policy import OpenVLAPolicy
from vla_envs.errors import InvalidArgumentError, MissingAssetsError

TARGETS_FIRST = ("robotwin",)
"""Platforms whose environment shows the drive targets of the joints and then their measured positions. Policies were
trained with the targets alone, which is what RoboTwin records as the state of the joints."""


class ParallelOpenVLA(OpenVLAPolicy):
    """A checkpoint of OpenVLA-OFT with discrete tokens, as in SimpleVLA-RL: all of a chunk are decoded at once."""

    kind = "openvla_oft"
    margin = 1e-8

    def __init__(self, checkpoint: Checkpoint, options: OpenVLAOptions) -> None:
        super().__init__(checkpoint, options)
        self.chunk_size = self.platform.chunk_size

    def action_logits(self, inputs: Inputs, action_tokens: Tensor | None = None) -> Tensor:
        """Return float32 logits (B, slots, ids) of each slot, which depend on no other token."""
        return self.network.logits(self._hidden(inputs), *self.ids)

    @torch.no_grad()
    def generate(self, inputs: Inputs, temperature: Tensor | None = None) -> Tensor:
        """Return greedy tokens (B, slots), or sampled ones at a ``temperature`` (B, 1)."""
        distribution = self._distribution(self._hidden(inputs)).at(temperature)
        tokens = distribution.mode() if temperature is None else distribution.sample()
        check_computed(distribution.log_prob(tokens))
        return tokens

    def distribution_and_value(
        self, observations: Mapping[str, Tensor], tokens: Tensor | None = None
    ) -> tuple[ActionDistribution, Tensor]:
        """Return the distribution of each slot, and values."""
        hidden = self._hidden(self._inputs(observations))
        return self._distribution(hidden), self._value(hidden[:, 0])

    def _hidden(self, inputs: Inputs) -> Tensor:
        """Return the hidden states (B, slots, hidden) from which each slot is computed."""
        return self.network.parallel(*self._embed(inputs), self.slots, self.options.end_of_sequence)


class RegressionOpenVLA(ParallelOpenVLA):
    """A checkpoint of OpenVLA-OFT with an L1 regression head, and proprioception where it has a projector for that.

    Tokens are the normalized actions themselves. The head's actions are the means of a normal distribution whose
    standard deviations are learned in group RL alone.

    Raises:
        MissingAssetsError: the checkpoint has no ``action_head--*_checkpoint.pt``.
    """

    kind = "openvla_oft_l1"
    components = ("action_head", "proprio_projector")

    def __init__(self, checkpoint: Checkpoint, options: OpenVLAOptions) -> None:
        super().__init__(checkpoint, options)
        hidden = self.config.hidden_size
        head, projector = map(checkpoint.component, self.components)
        if head is None:
            raise MissingAssetsError(
                f"Expect `{checkpoint.path}` to hold action_head--<step>_checkpoint.pt: none there."
            )
        self.action_head = load_component(L1Head(hidden, self.action_dim), head, "model.")
        self.log_std = BoundedLogStd(self.slots)
        self.proprio_projector: ProprioProjector | None = None
        if projector is not None:
            self.proprio_bounds = self.bounds_of("proprio", options.unnorm_key)
            self.proprio_projector = load_component(ProprioProjector(self.proprio_bounds.dim, hidden), projector)

    def prepare(self, images: Any, instructions: str | Sequence[str], states: Any = None) -> Inputs:
        """Return what the network sees of observations; proprioception is normalized.

        Of a platform of :data:`TARGETS_FIRST`, states may go on behind the numbers that the checkpoint takes.

        Raises:
            InvalidArgumentError: the checkpoint takes proprioception, and ``states`` are missing or of another length.
        """
        states = None if states is None else torch.as_tensor(states, device=self.device)
        inputs = super().prepare(images, instructions, states)._replace(states=None)
        if self.proprio_projector is None:
            return inputs
        if states is not None and self.options.platform in TARGETS_FIRST:
            states = states[:, : self.proprio_bounds.dim]
        if states is None or states.shape[1:] != (self.proprio_bounds.dim,):
            raise InvalidArgumentError(
                f"Expect `states` (B, {self.proprio_bounds.dim}), which this checkpoint takes, "
                f"actually: {None if states is None else tuple(states.shape)}."
            )
        return inputs._replace(states=self.proprio_bounds.normalize(states).float())

    def normalized(self, tokens: Tensor) -> Tensor:
        """Return the tokens (B, slots), which are the numbers themselves."""
        return tokens

    def tokens_of(self, numbers: Tensor) -> Tensor:
        """Return the numbers (B, slots) in float32, which are the tokens themselves."""
        return numbers.float()

    def _write_components(self, folder: Path) -> None:
        head = {f"model.{name}": each for name, each in self.action_head.state_dict().items()}
        torch.save(head, folder / "action_head--0_checkpoint.pt")
        if self.proprio_projector is not None:
            torch.save(self.proprio_projector.state_dict(), folder / "proprio_projector--0_checkpoint.pt")

    def _distribution(self, hidden: Tensor) -> ActionDistribution:
        return GaussianDistribution(self.action_head(hidden.float()), self.log_std())

    def _extra(self, inputs: Inputs) -> Tensor | None:
        return None if self.proprio_projector is None else self.proprio_projector(inputs.states)


class ResidualBlock(nn.Module):
    """A residual layer: what norm, linear layer and ReLU make of its input is added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ffn = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU())

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return hidden + cast(Tensor, self.ffn(hidden))


class L1Head(nn.Module):
    """The head that maps the hidden states of a chunk's slots to normalized actions."""

    def __init__(self, hidden: int, action_dim: int) -> None:
        super().__init__()
        self.action_dim = action_dim
        self.layer_norm1 = nn.LayerNorm(hidden * action_dim)
        self.fc1 = nn.Linear(hidden * action_dim, hidden)
        self.mlp_resnet_blocks = nn.ModuleList(ResidualBlock(hidden) for _ in range(2))
        self.layer_norm2 = nn.LayerNorm(hidden)
        self.fc2 = nn.Linear(hidden, action_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden states (B, slots, H), those of an action side by side, to actions (B, slots) without clipping."""
        features = hidden.unflatten(1, (-1, self.action_dim)).flatten(2)
        features = functional.relu(self.fc1(self.layer_norm1(features)))
        for block in self.mlp_resnet_blocks:
            features = block(features)
        return cast(Tensor, self.fc2(self.layer_norm2(features)).flatten(1))


class ProprioProjector(nn.Module):
    """The projector that maps normalized proprioception to one embedding of the language model."""

    def __init__(self, proprio_dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(proprio_dim, hidden)
        self.fc2 = nn.Linear(hidden, hidden)

    def forward(self, proprio: Tensor) -> Tensor:
        """Map proprioception (B, P) to an embedding (B, 1, hidden)."""
        return cast(Tensor, self.fc2(functional.gelu(self.fc1(proprio)))[:, None])
