"""A small policy: image key points, instruction and proprioception to an action chunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from policies.distributions import ActionDistribution, negative_log_likelihood
from policies.heads import GaussianHead, TokenHead
from policies.interface import Policy, check_finite
from policies.tensor_files import Shape, read_tensors, shapes_in, write_tensors
from policies.tiny.bounds import ActionBounds
from policies.tiny.config import TinyConfig
from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.files import atomic_directory
from vla_envs.spec import STATE
from vla_envs.wrappers.action_history import ACTION_HISTORY
from vla_envs.wrappers.instruction import INSTRUCTION_TOKENS

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PROCESSOR_FILE = "preprocessor_config.json"
"""What no tiny policy has, and every checkpoint of OpenVLA."""

MADE_FOR = ("chunk_size", "token_length", "history", "image_keys", "action_dim", "action_low", "action_high")
"""Fields of the configuration that the environment has to fit."""

WAYPOINT_DIM = 3
"""Largest dimension of the way point, which is where the chunk leads: the sum of the displacements dx dy dz (or of all
numbers of shorter actions), or of actions with bounds of their own, which are targets, the last one."""
WAYPOINT_SCALE = 4.0
"""Displacement in action units per unit of the way point, which brings it to order one."""
WAYPOINT_WEIGHT = 200.0
"""Weight of the way point's squared error beside the negative log-likelihood (nats per token)."""


class TinyPolicy(Policy):
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

    state_scale: Tensor

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.chunk_size, self.action_dim = config.chunk_size, config.action_dim
        self.language = InstructionEncoder(config)
        self.vision = nn.ModuleDict({key: KeyPointEncoder(config) for key in config.image_keys})
        features = 2 * config.heads * len(config.image_keys) + InstructionEncoder.width
        features += len(config.state_scale) + config.history * config.action_dim
        self.bounds = ActionBounds(config.action_dim, config.action_low, config.action_high)
        self.has_targets = config.action_low is not None or config.action_high is not None
        waypoint_dim = config.action_dim if self.has_targets else min(WAYPOINT_DIM, config.action_dim)
        self.waypoint = nn.Sequential(*_hidden_layers(features, config.hidden), nn.Linear(config.hidden, waypoint_dim))
        self.trunk = nn.Sequential(*_hidden_layers(features + waypoint_dim, config.hidden))
        if config.head == "gaussian":
            self.action_head = GaussianHead(config.hidden, self.slots)
        else:
            self.action_head = TokenHead(config.hidden, self.slots, config.bins)
        self.value_head = nn.Sequential(nn.Linear(config.hidden, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1))
        self.register_buffer("state_scale", torch.tensor(config.state_scale), persistent=False)

    @property
    def made_for(self) -> dict[str, Any]:
        """What the policy asks of its environment."""
        return {name: getattr(self.config, name) for name in MADE_FOR}

    @property
    def description(self) -> dict[str, Any]:
        """Keywords of :func:`~policies.registry.load_policy` for a policy of the same configuration."""
        return {"kind": "tiny", "config": dataclasses.asdict(self.config)}

    def distribution_and_value(
        self, observations: Mapping[str, Tensor], tokens: Tensor | None = None
    ) -> tuple[ActionDistribution, Tensor]:
        """Return the distribution over tokens (B, slots), each independent of the others, and values (B,)."""
        hidden, _ = self._hidden(observations)
        return self.action_head(hidden), self.value_head(hidden)[:, 0]

    def cloning_loss(self, observations: Mapping[str, Tensor], actions: Tensor, mask: Tensor) -> Tensor:
        """Return the negative log-likelihood of the demonstrated tokens plus the squared error of the way point.

        The likelihood of fine bins says little about distances: without the way point the key
        points take ten times as many steps to find what the instruction names.
        """
        hidden, waypoint = self._hidden(observations)
        error = (waypoint - self._demonstrated_waypoint(actions, mask)).square().mean()
        likelihood_loss = negative_log_likelihood(self.action_head(hidden), self.encode(actions), mask)
        return likelihood_loss + WAYPOINT_WEIGHT * error

    def decode(self, tokens: Tensor) -> Tensor:
        """Return the actions of tokens (B, slots), float32 (B, K, A) within their bounds."""
        return self.bounds.restore(self.action_head.decode(tokens).unflatten(1, (self.chunk_size, self.action_dim)))

    def encode(self, actions: Tensor) -> Tensor:
        """Return the nearest tokens (B, slots) of actions (B, K, A)."""
        return self.action_head.encode(self.bounds.normalize(actions).flatten(1))

    def _demonstrated_waypoint(self, actions: Tensor, mask: Tensor) -> Tensor:
        """Return where the existing actions of a chunk lead, (B, W) of order one."""
        if not self.has_targets:
            return (actions * mask[..., None]).sum(1)[:, :WAYPOINT_DIM] / WAYPOINT_SCALE
        last = mask.sum(1).long() - 1
        return self.bounds.normalize(actions)[torch.arange(len(actions)), last]

    def _hidden(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the trunk's output (B, hidden) and the way point (B, W)."""
        language = self.language(observations[INSTRUCTION_TOKENS])
        points = [encoder(observations[key], language) for key, encoder in self.vision.items()]
        past = [observations[ACTION_HISTORY].flatten(1)] if self.config.history else []
        features = torch.cat([*points, self._scaled_state(observations), language, *past], dim=-1)
        waypoint = self.waypoint(features)
        return self.trunk(torch.cat([waypoint, features], dim=-1)), waypoint

    def _scaled_state(self, observations: Mapping[str, Tensor]) -> Tensor:
        state = observations[STATE]
        # A state of one number would be repeated to any length.
        if state.shape[1:] != self.state_scale.shape:
            raise InvalidArgumentError(
                f"Expect the `{STATE}` to have the {len(self.state_scale)} numbers of `state_scale`, "
                f"actually: {tuple(state.shape[1:])}."
            )
        return state * self.state_scale

    @classmethod
    def from_pretrained(cls, path: str | Path) -> TinyPolicy:
        """Load a directory that :meth:`save_pretrained` wrote.

        Raises:
            MissingAssetsError: the directory lacks its configuration or its weights.
            InvalidArgumentError: the directory is of another model, or its configuration is damaged, of another
                version, or does not fit the weights.
            DamagedAssetsError: the weights are damaged.
            NonFiniteError: a weight is NaN or infinite.
        """
        folder = Path(path)
        if (folder / PROCESSOR_FILE).is_file():
            raise InvalidArgumentError(
                f"Expect a policy of the kind 'tiny', actually: `{folder}`, whose {PROCESSOR_FILE} is of a language "
                "model. Host OpenVLA's checkpoints as such: policy:openvla on the command line."
            )
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise MissingAssetsError(
                    f"Expect `{folder}` to hold {CONFIG_FILE} and {WEIGHTS_FILE}, but {name} is missing."
                )
        config, path = TinyConfig.from_json(folder / CONFIG_FILE), folder / WEIGHTS_FILE
        _check_shapes(config, shapes_in(path), path)
        policy = cls(config)
        policy.load_state_dict(dict(read_tensors(path)))
        check_finite(policy.named_parameters(), f"`{path}` is of a training that failed: take an earlier one.")
        return policy

    def save_pretrained(self, path: str | Path) -> None:
        """Write weights and configuration to a directory, replacing it as a whole.

        Raises:
            NonFiniteError: a weight is NaN or infinite; what was there stays.
        """
        check_finite(self.named_parameters(), f"Nothing is written to {path}.")
        with atomic_directory(Path(path)) as folder:
            (folder / CONFIG_FILE).write_text(self.config.to_json())
            write_tensors(folder / WEIGHTS_FILE, self.state_dict())


def _check_shapes(config: TinyConfig, given: Mapping[str, Shape], path: Path) -> None:
    """Raise where a file's tensors are not those of a configuration; no memory is taken for either."""
    try:
        with torch.device("meta"):
            expected = {name: tuple(each.shape) for name, each in TinyPolicy(config).state_dict().items()}
    except KeyError as error:  # torch's modules have no names with dots
        file = path.with_name(CONFIG_FILE)
        raise InvalidArgumentError(f"`{file}` has `image_keys` that cannot be: {error}") from error
    if wrong := sorted(name for name in {*expected, *given} if expected.get(name) != given.get(name)):
        raise InvalidArgumentError(
            f"`{path}` does not fit {CONFIG_FILE} beside it. Expect {wrong[0]!r} (of {len(wrong)}) to have the shape "
            f"{expected.get(wrong[0])}, actually: {given.get(wrong[0])}."
        )


def _hidden_layers(inputs: int, width: int) -> list[nn.Module]:
    return [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]


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
        channels, patch = config.channels, config.patch_size
        self.heads = config.heads
        self.patches = nn.Conv2d(3, channels, patch, stride=patch)
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
        # NHWC storage read as NCHW is PyTorch's channels_last: no copy is needed.
        patches = self.patches(image.permute(0, 3, 1, 2).float() / 127.5 - 1.0)
        maps = patches + self.context(patches)
        keys = self.keys(maps.flatten(2).transpose(1, 2))
        queries = self.queries(language).unflatten(1, (self.heads, -1))
        attention = queries @ keys.transpose(1, 2)
        return spatial_softmax(attention.unflatten(2, maps.shape[2:]))


def spatial_softmax(maps: Tensor) -> Tensor:
    """Return the expected (x, y) of each map (B, C, H, W), read as a distribution: (B, 2C) in [-1, 1]."""
    height, width = maps.shape[2:]
    weights = maps.flatten(2).softmax(-1).unflatten(2, (height, width))
    x = torch.linspace(-1.0, 1.0, width, device=maps.device)
    y = torch.linspace(-1.0, 1.0, height, device=maps.device)
    return torch.cat([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], dim=-1)
