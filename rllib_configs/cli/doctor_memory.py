"""``vla doctor --model openvla-7b``: what training a model takes of a GPU, before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from policies.openvla.memory import Training, largest_micro_batch, plan
from policies.openvla.random_checkpoint import SIZES
from vla_envs.errors import InvalidArgumentError

ALL = Training(lora_rank=0, dtype="float32", gradient_checkpointing=True)
"""Every parameter, which only float32 ones are."""
WAYS: Mapping[str, Training] = {
    "adapters of rank 32": Training(),
    "the same, activations computed twice": Training(gradient_checkpointing=True),
    "all parameters": ALL,
    "the same, beside a reference": replace(ALL, reference=True),
    "all parameters, Adam in 8 bits": replace(ALL, optimizer="adam8bit"),
}
"""What it is called -> how it trains."""


def memory_table(gigabytes: float) -> Iterator[str]:
    """Lines of the table for openvla-7b, decoding chunks in parallel from one image.

    Raises:
        InvalidArgumentError: no memory at all.
    """
    if not gigabytes > 0:
        raise InvalidArgumentError(f"Expect `--gpu` to be above 0 (GB), actually: {gigabytes}.")
    yield f"openvla-7b on {gigabytes:g} GB"
    yield f"  {'in GB':<38}{'model + adapters + gradients + Adam + reference':<50}{'timestep':<10}timesteps that fit"
    for name, training in WAYS.items():
        parts = plan(SIZES["7b"], training)
        fixed = (parts.parameters, parts.adapters, parts.gradients, parts.optimizer, parts.reference)
        most = largest_micro_batch(SIZES["7b"], training, gigabytes)
        yield (
            f"  {name:<38}{' + '.join(f'{each / 1e9:.1f}' for each in fixed):<50}"
            f"{parts.activations / 1e9:<10.2f}{most or 'does not fit'}"
        )
    yield "Computed from the shapes of all tensors. --ppo.micro-batch-size is at most the number that fits."
