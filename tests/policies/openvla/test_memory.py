"""The memory of a training step, against tensors that are really kept."""

import dataclasses

import pytest
import torch

pytest.importorskip("transformers")

from policies.openvla.memory import Training, activation_bytes, largest_micro_batch, plan
from policies.openvla.random_checkpoint import SIZES
from policies.registry import load_policy
from tests.policies.openvla.observing import observe
from vla_envs.errors import InvalidArgumentError

FLOAT32 = Training(lora_rank=4, dtype="float32")


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_parameters_and_what_is_trained_are_exact(random_checkpoint, lora_rank):
    """To the last number of the network."""
    policy = load_policy("openvla_oft", random_checkpoint, {"lora_rank": lora_rank})
    parts = plan(SIZES["tiny"], dataclasses.replace(FLOAT32, lora_rank=lora_rank))
    sizes = {name: each.numel() for name, each in policy.network.named_parameters()}
    adapters = sum(size for name, size in sizes.items() if "lora_" in name)
    trained = sum(each.numel() for each in policy.network.parameters() if each.requires_grad)
    assert parts.adapters == 4 * adapters
    assert parts.parameters == 4 * (sum(sizes.values()) - adapters)
    assert (parts.gradients, parts.optimizer) == (4 * trained, 8 * trained)


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_activations_are_those_that_autograd_keeps(random_checkpoint, gradient_checkpointing):
    """Within a third: attention's own notes, and the head, are not counted."""
    options = {"gradient_checkpointing": gradient_checkpointing}
    policy, kept = load_policy("openvla_oft", random_checkpoint, options), {}
    parameters = {each.untyped_storage().data_ptr() for each in policy.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    observations = observe(4)
    tokens = torch.full((4, policy.slots), policy.ids[0])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logp = policy.evaluate_actions(observations, tokens)[1]
    training = dataclasses.replace(FLOAT32, gradient_checkpointing=gradient_checkpointing)
    if gradient_checkpointing:  # one block at a time is recomputed, of which nothing is kept yet
        assert sum(kept.values()) <= 4 * activation_bytes(SIZES["tiny"], training) * 4 / 3
    else:
        assert sum(kept.values()) / 4 == pytest.approx(activation_bytes(SIZES["tiny"], training), rel=1 / 3)
    assert logp.requires_grad


def test_the_numbers_of_openvla_7b():
    """15 GB of parameters; adapters of rank 32 are 109 million."""
    parts = plan(SIZES["7b"], Training())
    assert parts.parameters / 1e9 == pytest.approx(15.0, abs=0.1)
    assert parts.adapters / 4 == pytest.approx(109.1e6, rel=1e-3)


def test_what_a_run_refuses_is_not_planned():
    """Every parameter of a bfloat16 network, whose small steps would be rounded away."""
    with pytest.raises(InvalidArgumentError, match=r"'float32' where every parameter .*'bfloat16' with `lora_rank` 0"):
        Training(lora_rank=0, dtype="bfloat16")


def test_the_largest_micro_batch_fits_and_the_next_does_not():
    """With a twentieth of the memory left to the allocator."""
    most = largest_micro_batch(SIZES["7b"], Training(), 80.0)
    totals = [plan(SIZES["7b"], Training(micro_batch_size=most + more)).total for more in (0, 1)]
    assert totals[0] <= 0.95 * 80e9 < totals[1]


def test_options_that_save_or_cost_memory_are_counted():
    """A byte of each moment in place of four; a reference as large as the model, or as its adapters."""
    full = dataclasses.replace(FLOAT32, lora_rank=0)
    plain, small, referred = (
        plan(SIZES["tiny"], dataclasses.replace(full, **changes))
        for changes in ({}, {"optimizer": "adam8bit"}, {"reference": True})
    )
    assert small.optimizer == plain.optimizer / 4
    assert (plain.reference, referred.reference) == (0, plain.parameters)
    adapted = plan(SIZES["tiny"], dataclasses.replace(FLOAT32, reference=True))
    assert adapted.reference == adapted.adapters


def test_nothing_fits_where_the_parameters_do_not():
    """And not a negative number of samples."""
    assert largest_micro_batch(SIZES["7b"], Training(lora_rank=0, dtype="float32"), 24.0) == 0
