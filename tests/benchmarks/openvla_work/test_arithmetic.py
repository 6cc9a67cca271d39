"""The formulas of FLOP and trained numbers against what torch counts in the hosted network."""

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("peft")

from benchmarks.openvla_gpu import RANK, StaticDecoding, build, build_trained, rollout, update
from benchmarks.openvla_work import arithmetic
from policies.openvla.random_checkpoint import SIZES

TINY = SIZES["tiny"]
BATCH = 2
CLOSE = 0.01
"""Relative difference of the formulas from what torch counts."""


@pytest.fixture
def network():
    return build(TINY, "cpu")


def counted(work):
    """FLOP as torch counts them; on the CPU it knows the plainest kernel of the attention alone."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_flop_of_a_chunk(network):
    """The formula is what torch counts."""
    phase = arithmetic.forward_phase(arithmetic.chunk_pass(TINY), BATCH)
    assert phase.flop == pytest.approx(counted(rollout(network, BATCH).run), rel=CLOSE)


def test_flop_of_decoding(network):
    """The prompt, and the steps after it."""
    decoding = StaticDecoding(network, BATCH)
    prompt = arithmetic.forward_phase(arithmetic.prompt_pass(TINY), BATCH)
    assert prompt.flop == pytest.approx(counted(decoding.begin), rel=CLOSE)
    steps = arithmetic.decoding_phases(TINY, BATCH)
    assert sum(each.flop for each in steps) == pytest.approx(sum(counted(decoding.step) for _ in steps), rel=CLOSE)


@pytest.mark.parametrize("rank", [RANK, 0])
def test_flop_and_trained_numbers_of_an_update(rank):
    """Forward, backward, and eight passes over what is trained, in float32: adapters, or all weights."""
    network = build_trained(TINY, "cpu", rank)
    forward_backward, optimizer = arithmetic.update_phases(TINY, BATCH, rank)
    assert forward_backward.flop == pytest.approx(counted(update(network, BATCH).run), rel=CLOSE)
    assert optimizer.bytes == 8 * sum(each.nbytes for each in network.parameters() if each.requires_grad)


def test_the_large_shape_has_the_weights_of_openvla_7b():
    """All but biases, norms, embeddings and the rows of the head that are not computed; and the FLOP of a chunk."""
    work = arithmetic.chunk_pass(SIZES["7b"])
    assert work.weights == pytest.approx(7.24e9, rel=0.01)
    assert work.flop == pytest.approx(5.0e12, rel=0.05)
