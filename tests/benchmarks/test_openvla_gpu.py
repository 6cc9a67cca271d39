"""The benchmark of OpenVLA on a GPU: its network, its arithmetic, and its table on the CPU."""

import sys

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("peft")

from benchmarks import openvla_gpu
from benchmarks.openvla_gpu import Bench, Decoding, Measured, Phase, Work, build
from policies.openvla.network import Network
from policies.openvla.random_checkpoint import SIZES

SMALL = openvla_gpu.SHAPES["small"]
BATCH = 2
CLOSE = 0.03
"""Relative difference of the formulas from what torch counts."""


@pytest.fixture
def network():
    return build(SMALL, "cpu")


@pytest.fixture
def bench():
    return Bench(SMALL, "cpu", repetitions=1, rate=1e12, bandwidth=1e11)


@pytest.fixture
def run(monkeypatch):
    """The command with these options, on a machine without a CUDA device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["openvla_gpu.py", *map(str, options)])
        openvla_gpu.main()

    return run


def test_it_has_the_weights_of_the_hosted_network():
    """As many as openvla-7b without its last blocks."""
    with torch.device("meta"):
        ours, hosted = openvla_gpu.Network(openvla_gpu.SHAPES["7b"]), Network(SIZES["7b"])
    assert sum(each.numel() for each in ours.parameters()) == sum(each.numel() for each in hosted.parameters())


def test_weights_are_bfloat16_and_rotary_frequencies_are_not(network):
    """As in the hosted network."""
    assert {each.dtype for each in network.parameters()} == {torch.bfloat16}
    assert network.language_model.model.rotary_emb.inv_freq.dtype == torch.float32


@torch.no_grad()
def test_the_first_slot_sees_the_end_of_the_sequence(network):
    """Parallel decoding is bidirectional."""
    pixels, ids = openvla_gpu.make_inputs(network, 1)
    ids = ids.clamp(min=openvla_gpu.EOS + 1)
    before = network.chunk(pixels, ids)
    network.language_model.model.embed_tokens.weight[openvla_gpu.EOS] += 1
    assert before.shape == (1, SMALL.slots, openvla_gpu.ACTIONS)
    assert (network.chunk(pixels, ids)[:, 0] != before[:, 0]).any()


@torch.no_grad()
def test_steps_decide_as_a_pass_over_all_tokens_would(network):
    """Mask, positions and cache agree."""
    decoding = Decoding(network.float(), BATCH)
    decoding.inputs = (decoding.inputs[0].float(), decoding.inputs[1])
    decoding.rewind()
    decoding.begin()
    model, sequence = network.language_model.model, network.embed(*decoding.inputs)
    for _ in range(SMALL.steps - 1):
        sequence = torch.cat([sequence, model.embed_tokens(decoding.token)], dim=1)
        decoding.step()
        hidden = model(inputs_embeds=sequence, use_cache=False).last_hidden_state[:, -1:]
        assert torch.equal(decoding.token, SMALL.vocabulary - openvla_gpu.ACTIONS + network.head(hidden).argmax(-1))


def test_a_rewound_decoding_decides_the_same_again(network):
    """What is left in the cache is not seen, as after a CUDA graph was captured."""
    decoding = Decoding(network, BATCH)

    def decode():
        decoding.rewind()
        decoding.begin()
        for _ in range(SMALL.steps - 1):
            yield decoding.token.clone()
            decoding.step()
        yield decoding.token.clone()

    first = torch.cat(list(decode()), dim=1)
    assert torch.equal(torch.cat(list(decode()), dim=1), first)


def test_a_step_asks_the_device_for_no_value(network):
    """Else no CUDA graph could hold it."""

    class Asked(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert function not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
            return function(*args, **(kwargs or {}))

    decoding = Decoding(network, BATCH)
    decoding.rewind()
    decoding.begin()
    with Asked():
        decoding.step()


def test_adapters_alone_are_trained_and_change_nothing_at_first(network):
    """As many numbers as the formula says."""
    inputs = openvla_gpu.make_inputs(network, BATCH)
    before = network.chunk(*inputs)
    openvla_gpu.add_adapters(network)
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    assert torch.equal(network.chunk(*inputs), before)
    assert trained == openvla_gpu.chunk_pass(SMALL).adapter_weights


def test_recomputing_changes_no_gradient(network):
    """Neither of a vision transformer nor of the language model."""
    inputs = openvla_gpu.make_inputs(network, BATCH)
    watched = (network.towers[0].fixed, network.language_model.model.embed_tokens.weight)
    kept = torch.autograd.grad(network.chunk(*inputs).square().mean(), watched)
    openvla_gpu.recompute(network)
    recomputed = torch.autograd.grad(network.chunk(*inputs).square().mean(), watched)
    assert all(each.abs().sum() > 0 for each in kept)
    torch.testing.assert_close(recomputed, kept)


def counted(work):
    """FLOP as torch counts them; on the CPU it knows the plainest kernel of the attention alone."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_flop_of_a_chunk(network):
    """The formula is what torch counts."""
    work = openvla_gpu.rollout(network, BATCH)
    phase = openvla_gpu.forward_phase(openvla_gpu.chunk_pass(SMALL), BATCH)
    assert phase.flop == pytest.approx(counted(work.run), rel=CLOSE)


def test_flop_of_decoding(network):
    """The prompt, and the steps after it."""
    decoding = Decoding(network, BATCH)
    decoding.rewind()
    prompt = openvla_gpu.forward_phase(openvla_gpu.prompt_pass(SMALL), BATCH)
    assert prompt.flop == pytest.approx(counted(decoding.begin), rel=CLOSE)
    steps = openvla_gpu.decoding_phases(SMALL, BATCH)
    assert sum(each.flop for each in steps) == pytest.approx(sum(counted(decoding.step) for _ in steps), rel=CLOSE)


@pytest.mark.parametrize("adapters", [True, False])
def test_flop_of_an_update(network, adapters):
    """Forward and backward."""
    if adapters:
        openvla_gpu.add_adapters(network)
    forward_backward, _ = openvla_gpu.update_phases(openvla_gpu.chunk_pass(SMALL), BATCH, adapters)
    assert forward_backward.flop == pytest.approx(counted(openvla_gpu.update(network, BATCH).run), rel=CLOSE)


def test_an_update_moves_what_is_trained(network):
    """Adapters, whose high sides were zero."""
    openvla_gpu.add_adapters(network)
    openvla_gpu.update(network, BATCH).run()
    assert all(each.high.any() for each in network.modules() if isinstance(each, openvla_gpu.LowRank))


def test_floors_of_phases_add_up(bench, capsys):
    """The longer of arithmetic and traffic in each: 1 s and 0.5 s of the 3 s."""
    bench.print_row("work", "4", [Phase(1e12, 1e10), Phase(0, 5e10)], Measured([3.0], 12e9), goal=0.5)
    assert capsys.readouterr().out == (
        "| work | 4 | 3,000 [3,000, 3,000] | 1.00 | 33 % | 1,500 | 50 % | 12.0 | >= 50 % |\n"
    )


@pytest.mark.parametrize("when", ["prepared", "run"])
def test_memory_that_does_not_suffice_is_said_in_the_row(bench, capsys, when):
    """And the next row is measured."""

    def too_much():
        return torch.empty(2**60, dtype=torch.uint8)

    bench.row("too much", 1, [Phase(1e12, 0)], too_much if when == "prepared" else lambda: Work(too_much))
    bench.row("little", 1, [Phase(1e12, 0)], lambda: Work(lambda: torch.empty(1)))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "| too much | 1 | out of memory | 1.00 | - | 1,000 | - | - |  |"
    assert second.startswith("| little | 1 |")
    assert "memory" not in second


def test_other_errors_end_the_run(bench):
    """A row that hid them would look like one of the machine's limits."""
    with pytest.raises(RuntimeError, match="size"):
        bench.measure(lambda: Work(lambda: torch.ones(2) @ torch.ones(3)))


def test_warm_ups_do_not_count(bench):
    """What the first runs set up is not what later ones take."""
    calls = []
    measured = bench.measure(lambda: Work(lambda: calls.append("run"), lambda: calls.append("before")))
    assert len(measured.times) == 1
    assert calls == ["before", "run"] * (openvla_gpu.WARM_UPS + 1)


@pytest.mark.slow
def test_the_table_has_every_row(run, capsys, tmp_path):
    """Without a CUDA device the first line says so, and CUDA graphs have rows without a time."""
    path = tmp_path / "table.md"
    run("--batches", 2, "--repetitions", 1, "--output", path)
    out = capsys.readouterr().out
    first, *lines = out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    measured = [row for row in rows if row[2] != "no CUDA device"]
    assert first.startswith("No CUDA device: the shape small")
    assert path.read_text() == out
    assert {len(row) for row in rows} == {9}
    assert [row[1] for row in rows] == ["batch", "", "", *9 * ["2"]]
    assert len(rows) - len(measured) == 2
    assert all(float(row[2].split()[0].replace(",", "")) > 0 for row in measured[1:])


def test_the_large_shape_needs_a_cuda_device(run, capsys):
    """Before anything is measured."""
    with pytest.raises(SystemExit):
        run("--shape", "7b")
    assert "Expect a CUDA device for the shape 7b" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--batches", "--repetitions"])
def test_counts_are_positive(run, capsys, option):
    """The message names what was given."""
    with pytest.raises(SystemExit):
        run(option, 0)
    assert "Expect a positive integer, actually: 0." in capsys.readouterr().err
