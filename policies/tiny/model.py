"""A small token policy: image key points, instruction and proprioception to an action chunk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from policies.interface import Policy
from policies.tiny.config import TinyConfig
from vla_envs.files import atomic_directory
from vla_envs.spec import STATE
from vla_envs.wrappers.tokenize_instruction import INSTRUCTION_TOKENS

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
SHARPNESS = 10.0
"""Factor on the maps before the spatial softmax: fresh maps are so flat that every key point is the centre."""


class TinyPolicy(Policy):
    """The interface of a VLA at a size that learns on a CPU in minutes.

    Each image goes through a small convolutional network that the instruction modulates (FiLM,
    arXiv 1709.07871) and becomes key points (spatial softmax, arXiv 1504.00702); key points,
    instruction and proprioception give ``bins`` logits for every slot of the chunk.

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

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.chunk_size, self.action_dim = config.chunk_size, config.action_dim
        self.language = InstructionEncoder(config)
        self.vision = nn.ModuleDict({key: KeyPointEncoder(config) for key in config.image_keys})
        width = config.hidden
        features = 2 * config.channels[-1] * len(config.image_keys) + len(config.state_scale) + InstructionEncoder.width
        self.trunk = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.action_head = ActionHead(config, self.slots)
        self.value_head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.register_buffer("state_scale", torch.tensor(config.state_scale), persistent=False)
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, config.bins), persistent=False)

    def logits_and_value(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Action logits (B, slots, bins) and values (B,)."""
        language = self.language(observations[INSTRUCTION_TOKENS])
        points = [encoder(observations[key], language) for key, encoder in self.vision.items()]
        state = observations[STATE] * self.state_scale
        hidden = self.trunk(torch.cat([*points, state, language], dim=-1))
        return self.action_head(hidden), self.value_head(hidden)[:, 0]

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, slots) as the centres of their bins, float32 (B, K, A) in [-1, 1]."""
        return self.centres[tokens].unflatten(1, (self.chunk_size, self.action_dim))

    def encode(self, actions: Tensor) -> Tensor:
        """Actions (B, K, A) as the nearest tokens, int64 (B, slots)."""
        scaled = (actions.clamp(-1.0, 1.0) + 1.0) / 2.0 * (self.config.bins - 1)
        return scaled.round().long().flatten(1)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> TinyPolicy:
        """Load a directory that :meth:`save_pretrained` wrote.

        Raises:
            FileNotFoundError: the directory lacks one of its two files.
            ValueError: the weights do not fit the configuration.
        """
        folder = Path(path)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"Expect `{folder}` to hold {CONFIG_FILE} and {WEIGHTS_FILE}, but {name} is missing."
                )
        fields = json.loads((folder / CONFIG_FILE).read_text())
        policy = cls(TinyConfig(**{key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}))
        try:
            policy.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except RuntimeError as error:
            raise ValueError(
                f"The weights in `{folder / WEIGHTS_FILE}` do not fit its configuration: {error}"
            ) from error
        return policy

    def save_pretrained(self, path: str | Path) -> None:
        """Write weights and configuration to a directory, replacing it as a whole."""
        with atomic_directory(Path(path)) as folder:
            (folder / CONFIG_FILE).write_text(json.dumps(dataclasses.asdict(self.config), indent=2))
            save_file({key: each.contiguous() for key, each in self.state_dict().items()}, folder / WEIGHTS_FILE)


class InstructionEncoder(nn.Module):
    """Word ids (B, length) to an embedding (B, 64) that knows the order of the words."""

    width = 64

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, 16, padding_idx=0)
        self.project = nn.Sequential(nn.Linear(16 * config.token_length, self.width), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        """The embedding (B, 64)."""
        return self.project(self.embedding(tokens).flatten(1))


class KeyPointEncoder(nn.Module):
    """An image uint8 (B, H, W, 3) to key points (B, 2 * channels) in [-1, 1], chosen by the instruction."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        first, second, last = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.film = nn.Linear(InstructionEncoder.width, 2 * second)
        self.head = nn.Sequential(nn.Conv2d(second, last, 3, padding=1), nn.ReLU(), nn.Conv2d(last, last, 3, padding=1))

    def forward(self, image: Tensor, language: Tensor) -> Tensor:
        """The key points (B, 2 * channels)."""
        # NHWC storage read as NCHW is PyTorch's channels_last: no copy is needed.
        maps = self.stem(image.permute(0, 3, 1, 2).float() / 127.5 - 1.0)
        scale, shift = self.film(language)[:, :, None, None].chunk(2, dim=1)
        return spatial_softmax(self.head(maps * (1.0 + scale) + shift) * SHARPNESS)


def spatial_softmax(maps: Tensor) -> Tensor:
    """Expected (x, y) of each map (B, C, H, W) read as a distribution over the image: (B, 2C) in [-1, 1]."""
    height, width = maps.shape[2:]
    weights = maps.flatten(2).softmax(-1).unflatten(2, (height, width))
    x = torch.linspace(-1.0, 1.0, width, device=maps.device)
    y = torch.linspace(-1.0, 1.0, height, device=maps.device)
    return torch.cat([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], dim=-1)


class ActionHead(nn.Module):
    """Hidden (B, width) to logits (B, slots, bins): one small code per slot, read out by shared bins."""

    code = 32

    def __init__(self, config: TinyConfig, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self.to_codes = nn.Linear(config.hidden, slots * self.code)
        self.readout = nn.Linear(self.code, config.bins)

    def forward(self, hidden: Tensor) -> Tensor:
        """The logits (B, slots, bins)."""
        return self.readout(self.to_codes(hidden).unflatten(1, (self.slots, self.code)))
