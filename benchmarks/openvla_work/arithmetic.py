"""The arithmetic and the traffic of OpenVLA that no implementation can do without, from the sizes of its network.

A linear layer takes 2 FLOP per weight and token. The attention of a block takes 4 x queries x keys x width, for scores
and weighted sums; causal masks spare nothing. What recomputing activations adds is not counted.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from policies.openvla.config import BINS, PLATFORMS, NetworkConfig
from policies.openvla.memory import BYTES, PROMPT_TOKENS, Training, plan

WEIGHT_BYTES = BYTES["bfloat16"]
STEPS = PLATFORMS["libero"].action_dim
"""Tokens of one action."""
SLOTS = PLATFORMS["libero"].chunk_size * STEPS
"""Tokens of a chunk."""


class Layers(NamedTuple):
    """Linear layers of the same shape."""

    tokens: int
    """Tokens of a sample that go through each."""
    inputs: int
    outputs: int
    number: int
    adapted: bool = True
    """Whether every token goes through an adapter beside it."""
    pixels: bool = False
    """Whether inputs are pixels, which need no gradient."""

    @property
    def weights(self) -> int:
        """Number of weights of all, without the biases."""
        return self.inputs * self.outputs * self.number

    @property
    def flop(self) -> int:
        """FLOP of the forward pass."""
        return 2 * self.tokens * self.weights

    def update_flop(self, rank: int) -> int:
        """FLOP of an update of the adapters, or at rank 0 of the weights.

        A backward pass has the forward's FLOP for the gradients of inputs, and again for those of weights that are
        trained.
        """
        if not rank:
            return (3 - self.pixels) * self.flop
        low, high = (2 * self.tokens * self.number * rank * each for each in (self.inputs, self.outputs))
        return (2 - self.pixels) * self.flop + self.adapted * ((3 - self.pixels) * low + 3 * high)


class Pass(NamedTuple):
    """A sample's way through the network, or through a part of it."""

    layers: list[Layers]
    attention: int
    """FLOP of the attention."""

    @property
    def flop(self) -> int:
        """FLOP of the forward pass."""
        return sum(each.flop for each in self.layers) + self.attention

    @property
    def weights(self) -> int:
        """Number of weights of all layers."""
        return sum(each.weights for each in self.layers)


class Phase(NamedTuple):
    """Work that ends before the next begins."""

    flop: float
    bytes: float
    """Bytes that are read and written at least."""


def prompt_length(config: NetworkConfig) -> int:
    """Tokens before the answer: patches of one image, and the text with the token that is the first slot."""
    return config.towers[0].num_patches + PROMPT_TOKENS


def chunk_pass(config: NetworkConfig) -> Pass:
    """Image to the logits of a chunk, whose sequence ends with its slots and the end-of-sequence token."""
    length = prompt_length(config) + SLOTS + 1
    return _joined(_vision(config), _language(config, length, length, SLOTS))


def prompt_pass(config: NetworkConfig) -> Pass:
    """Image to the logits of the first token."""
    length = prompt_length(config)
    return _joined(_vision(config), _language(config, length, length, 1))


def forward_phase(work: Pass, batch: int) -> Phase:
    """A forward pass, in which every weight is read once."""
    return Phase(batch * work.flop, WEIGHT_BYTES * work.weights)


def decoding_phases(config: NetworkConfig, batch: int) -> list[Phase]:
    """The steps after the prompt: every weight is read in each, and keys and values of what came before."""
    phases = []
    for keys in range(prompt_length(config) + 1, prompt_length(config) + STEPS):
        work = _language(config, 1, keys, 1)
        cached = 2 * keys * config.hidden_size * config.llama["num_hidden_layers"]
        phases.append(Phase(batch * work.flop, WEIGHT_BYTES * (work.weights + batch * cached)))
    return phases


def update_phases(config: NetworkConfig, batch: int, rank: int) -> list[Phase]:
    """Forward and backward of a chunk, then the optimizer.

    The backward pass of attention has twice the FLOP of its forward pass. Weights are read in both passes, those that
    are trained as float32. For each trained number the gradient is written and read, and the number and Adam's two
    moments are read and written.

    Args:
        config: sizes of the network.
        batch: samples.
        rank: of the adapters that are trained; 0 trains all weights.
    """
    work = chunk_pass(config)
    flop = 3 * work.attention + sum(each.update_flop(rank) for each in work.layers)
    training = Training(lora_rank=rank, dtype="bfloat16" if rank else "float32")
    read = 2 * BYTES[training.dtype] * work.weights
    return [Phase(batch * flop, read), Phase(0, 8 * plan(config, training).gradients)]


def _joined(first: Pass, second: Pass) -> Pass:
    return Pass(first.layers + second.layers, first.attention + second.attention)


def _vision(config: NetworkConfig) -> Pass:
    """Both vision transformers and the projector, for one image."""
    layers, attention, patches = [], 0, config.towers[0].num_patches
    for tower in config.towers:
        width, tokens = tower.width, patches + tower.registers + bool(tower.registers)
        layers += [Layers(patches, 3 * tower.patch_size**2, width, 1, pixels=True)]
        layers += [Layers(tokens, width, 3 * width, tower.blocks), Layers(tokens, width, width, tower.blocks)]
        layers += [Layers(tokens, width, tower.mlp_width, 2 * tower.blocks)]
        attention += 4 * tokens**2 * width * tower.blocks
    features = sum(tower.width for tower in config.towers)
    widths = (features, 4 * features, config.hidden_size, config.hidden_size)
    layers += [Layers(patches, *pair, 1) for pair in itertools.pairwise(widths)]
    return Pass(layers, attention)


def _language(config: NetworkConfig, tokens: int, keys: int, answers: int) -> Pass:
    """The language model, and its head for as many ``answers``."""
    hidden, blocks = config.hidden_size, config.llama["num_hidden_layers"]
    layers = [
        Layers(tokens, hidden, hidden, 4 * blocks),
        Layers(tokens, hidden, config.llama["intermediate_size"], 3 * blocks),
        # The rows of the head's adapter are multiplied out once for all answers, which is next to nothing.
        Layers(answers, hidden, BINS, 1, adapted=False),
    ]
    return Pass(layers, 4 * tokens * keys * hidden * blocks)
