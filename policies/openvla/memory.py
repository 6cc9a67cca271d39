"""How much of a GPU's memory hosting and training a model takes, computed before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import nn

from policies.openvla.config import Dtype, NetworkConfig, ViTConfig
from policies.openvla.lora import LAYERS
from policies.openvla.network import Network
from vla_envs.errors import InvalidArgumentError

PROMPT_TOKENS = 35
"""Mean number of tokens of a LIBERO instruction in its template."""
BYTES: Mapping[Dtype, int] = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Training:
    """A way to train, as far as memory depends on it.

    Raises:
        InvalidArgumentError: every parameter of a bfloat16 network is trained, which a run refuses.
    """

    lora_rank: int = 32
    """Rank of the adapters; 0 trains every parameter."""
    dtype: Dtype = "bfloat16"
    """Type of the network's parameters. What is trained is float32: adapters whatever it is, or every parameter."""
    gradient_checkpointing: bool = False
    """Whether activations are computed twice instead of kept."""
    micro_batch_size: int = 1
    """Number of samples on the GPU at a time."""
    optimizer: Literal["adam", "adam8bit"] = "adam"
    """Optimizer, whose moments are float32, or take a byte a number."""
    reference: bool = False
    """Whether a frozen copy is kept: of the adapters alone, where there are any."""
    num_images: int = 1
    """Number of cameras."""
    slots: int = 56
    """Number of tokens of a chunk in parallel decoding."""

    def __post_init__(self) -> None:
        if not self.lora_rank and self.dtype != "float32":
            raise InvalidArgumentError(
                f"Expect the `dtype` to be 'float32' where every parameter is trained, actually: {self.dtype!r} with "
                "`lora_rank` 0. Train adapters (lora_rank=32), or float32 parameters."
            )


@dataclass(frozen=True)
class Plan:
    """Memory of a training step in bytes, part by part."""

    parameters: int
    adapters: int
    gradients: int
    optimizer: int
    reference: int
    activations: int

    @property
    def total(self) -> int:
        """Sum of all parts; the allocator and CUDA itself take some 5 % more."""
        return sum(getattr(self, each.name) for each in fields(self))


def plan(config: NetworkConfig, training: Training) -> Plan:
    """Compute the memory of a training step from the shapes of all tensors.

    Activations are counted layer by layer, see :func:`activation_bytes`; the rest is exact.

    Args:
        config: sizes of the network, such as those of ``random_checkpoint.SIZES["7b"]``.
        training: way to train it.
    """
    with torch.device("meta"):
        network = Network(config)
    size, trained_size = BYTES[training.dtype], BYTES["float32"]
    parameters = sum(each.numel() for each in network.parameters())
    adapters = sum(_adapter_sizes(network, training.lora_rank))
    trained = adapters if training.lora_rank else parameters
    remembered_size = 1 if training.optimizer == "adam8bit" else trained_size
    return Plan(
        parameters=size * parameters,
        adapters=trained_size * adapters,
        gradients=trained_size * trained,
        optimizer=2 * remembered_size * trained,
        reference=training.reference * (trained_size * adapters if training.lora_rank else size * parameters),
        activations=training.micro_batch_size * activation_bytes(config, training),
    )


def activation_bytes(config: NetworkConfig, training: Training) -> int:
    """Compute the bytes that an update keeps of one sample until its backward pass.

    A block keeps what its norms and matrix products read and what its activations and attention read and give. With
    checkpointing it keeps its input, and one block at a time the rest. The sampled logits come on top, far less.
    """
    size = BYTES[training.dtype]
    llama = config.llama
    sequence = training.num_images * config.towers[0].num_patches + PROMPT_TOKENS + training.slots + 1
    layer = 11 * llama["hidden_size"] + 4 * llama["intermediate_size"]
    total = _kept(layer, llama["hidden_size"], llama["num_hidden_layers"], training.gradient_checkpointing) * sequence
    features = sum(tower.width for tower in config.towers)
    patches = training.num_images * config.towers[0].num_patches
    total += patches * (9 * features + 2 * config.hidden_size)  # the projector's three layers
    for tower in config.towers:
        total += 3 * training.num_images * tower.image_size**2
        tokens = training.num_images * (tower.num_patches + tower.registers + bool(tower.registers))
        total += tokens * _kept(_vision_layer(tower), tower.width, tower.blocks, training.gradient_checkpointing)
    return size * total


def largest_micro_batch(config: NetworkConfig, training: Training, gigabytes: float) -> int:
    """Compute how many samples fit into a GPU of so many ``gigabytes`` (10^9 bytes) at a time; 0 if none does."""
    one = plan(config, training)
    sample = one.activations // training.micro_batch_size
    left = 0.95 * gigabytes * 10**9 - (one.total - one.activations)
    return max(0, int(left // sample))


def _vision_layer(tower: ViTConfig) -> int:
    return (11 if tower.layer_scale else 9) * tower.width + 2 * tower.mlp_width


def _kept(layer: int, width: int, layers: int, checkpointing: bool) -> int:
    """Return how many numbers of a token all layers keep."""
    return layers * width + layer if checkpointing else layers * layer


def _adapter_sizes(network: Network, rank: int) -> Iterator[int]:
    """Yield the number of parameters of each adapter."""
    for name, layer in network.named_modules():
        if name.rsplit(".", 1)[-1] in LAYERS and isinstance(layer, (nn.Linear, nn.Conv2d)):
            outputs = layer.weight.shape[0]
            yield rank * (outputs + layer.weight[0].numel())
