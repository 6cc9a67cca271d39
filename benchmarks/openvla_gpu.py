"""What OpenVLA's rollout and update take on a GPU, beside the arithmetic and the traffic that they cannot do without.

python benchmarks/openvla_gpu.py --output table.md

Torch and transformers are all it needs: copy this file to a bare GPU machine. The network has the shape of OpenVLA-7B
and random bfloat16 weights; a sample is one image and a prompt of 35 tokens. Without a CUDA device a small shape runs
on the CPU, everything but the CUDA graphs, which shows that the file works and nothing about speed.

Floors are measured first: the rate of a large matrix product and the bandwidth of a large copy. The floor of a row is
the time of its FLOP at that rate or of its bytes at that bandwidth, whichever is longer, summed over what runs one by
one. FLOP are those that the result needs, without what recomputing activations adds. Times are medians with quartiles
by the wall clock, the device being idle before and after; memory is the peak of what torch has allocated.
"""

from __future__ import annotations

import argparse
import functools
import gc
import itertools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM, StaticCache

DTYPE = torch.bfloat16
BYTES = DTYPE.itemsize
PATCH = 14
"""Side of a patch in pixels."""
EOS = 2
"""Id of the end of the sequence."""
ACTIONS = 256
"""Action ids, the last rows of the language model's head that are computed."""
RANK = 32
LORA_SCALE = 16 / RANK
"""As in the original, alpha = min(rank, 16)."""
CLIP = 0.2
"""Of PPO's ratio."""
WARM_UPS = 2
"""Repetitions before those that count; the first update makes the optimiser's state."""
ROLLOUT_GOAL, UPDATE_GOAL = 0.55, 0.45
"""Share of the measured matrix rate on an H200: the forward of OFT chunks at batch 32, the LoRA update."""


@dataclass(frozen=True)
class TowerSize:
    """Sizes of a vision transformer."""

    width: int
    blocks: int
    heads: int
    mlp: int
    prefix: int = 0
    """Class and register tokens."""
    layer_scale: bool = False


@dataclass(frozen=True)
class Shape:
    """Sizes of the network and of a sample."""

    towers: tuple[TowerSize, ...]
    patches: int
    hidden: int
    mlp: int
    layers: int
    heads: int
    vocabulary: int
    product: int
    """Side of the matrices whose product measures the rate."""
    copied: int
    """Bytes of the copy that measures the bandwidth."""
    prompt: int = 35
    """Text tokens, the one that is the first slot included."""
    slots: int = 56
    """Tokens of a chunk of 8 actions."""
    steps: int = 7
    """Tokens of one action."""

    @property
    def start(self) -> int:
        """Tokens before the answer: patches and prompt."""
        return self.patches + self.prompt

    @property
    def chunk(self) -> int:
        """Tokens of OFT's sequence, which ends with its slots and the end-of-sequence token."""
        return self.start + self.slots + 1

    @property
    def side(self) -> int:
        """Of the square image, in pixels."""
        return math.isqrt(self.patches) * PATCH


SHAPES = {
    "7b": Shape(
        towers=(
            TowerSize(width=1024, blocks=23, heads=16, mlp=4096, prefix=5, layer_scale=True),
            TowerSize(width=1152, blocks=26, heads=16, mlp=4304),
        ),
        patches=256,
        hidden=4096,
        mlp=11008,
        layers=32,
        heads=32,
        vocabulary=32064,
        product=8192,
        copied=2**32,
    ),
    "small": Shape(
        towers=(
            TowerSize(width=64, blocks=2, heads=2, mlp=256, prefix=5, layer_scale=True),
            TowerSize(width=96, blocks=2, heads=3, mlp=384),
        ),
        patches=16,
        hidden=128,
        mlp=344,
        layers=2,
        heads=2,
        vocabulary=512,
        product=512,
        copied=2**24,
    ),
}
"""Name -> sizes: OpenVLA-7B with DINOv2 and SigLIP, whose last blocks are not run, and some for a CPU."""


# The network.


class Block(nn.Module):
    """Pre-norm attention and MLP of a vision transformer."""

    def __init__(self, size: TowerSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.norm1, self.norm2 = nn.LayerNorm(size.width, eps=1e-6), nn.LayerNorm(size.width, eps=1e-6)
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.proj = nn.Linear(size.width, size.width)
        self.mlp = nn.Sequential(nn.Linear(size.width, size.mlp), nn.GELU(), nn.Linear(size.mlp, size.width))
        self.ls1, self.ls2 = (LayerScale(size.width) if size.layer_scale else nn.Identity() for _ in range(2))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, tokens, width) to the same."""
        heads = self.qkv(self.norm1(hidden)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*heads)
        hidden = hidden + self.ls1(self.proj(attended.transpose(1, 2).flatten(2)))
        return hidden + self.ls2(self.mlp(self.norm2(hidden)))


class LayerScale(nn.Module):
    """A learned factor for each number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(width))

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., width) to the same."""
        return hidden * self.factor


class Tower(nn.Module):
    """A vision transformer without its last block and norm."""

    def __init__(self, size: TowerSize, patches: int) -> None:
        super().__init__()
        self.prefix = size.prefix
        self.embed = nn.Linear(3 * PATCH**2, size.width)  # the convolution over patches, which do not overlap
        # What an image does not decide: prefix tokens, and positions of the patches.
        self.fixed = nn.Parameter(0.02 * torch.randn(1, size.prefix + patches, size.width))
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.blocks))

    def forward(self, patches: Tensor) -> Tensor:
        """Pixels (B, patches, 3 * 14 * 14) to features (B, patches, width)."""
        hidden = functional.pad(self.embed(patches), (0, 0, self.prefix, 0)) + self.fixed
        for block in self.blocks:
            hidden = block(hidden)
        return hidden[:, self.prefix :]


class Network(nn.Module):
    """Vision transformers, projector and Llama, with random weights."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.towers = nn.ModuleList(Tower(size, shape.patches) for size in shape.towers)
        features = sum(size.width for size in shape.towers)
        layers = [nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, shape.hidden)]
        self.projector = nn.Sequential(*layers, nn.GELU(), nn.Linear(shape.hidden, shape.hidden))
        self.language_model = LlamaForCausalLM(_llama_config(shape))

    def embed(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """Pixels (B, 3 * towers, side, side) and ids (B, prompt) to (B, start, hidden): id, patches, other ids."""
        patches = (functional.unfold(each, PATCH, stride=PATCH).transpose(1, 2) for each in pixels.split(3, dim=1))
        features = [tower(each) for tower, each in zip(self.towers, patches, strict=True)]
        text = self.language_model.model.embed_tokens(ids)
        return torch.cat([text[:, :1], self.projector(torch.cat(features, dim=2)), text[:, 1:]], dim=1)

    def chunk(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """Logits (B, slots, 256) of OpenVLA-OFT's parallel decoding, in which every token attends to every other."""
        start = self.embed(pixels, ids)
        slots = start.new_zeros(len(start), self.shape.slots, self.shape.hidden)
        end = self.language_model.model.embed_tokens(ids.new_full((len(ids), 1), EOS))
        sequence = torch.cat([start, slots, end], dim=1)
        hidden = self.language_model.model(inputs_embeds=sequence, use_cache=False, is_causal=False).last_hidden_state
        return self.head(hidden[:, self.shape.start - 1 : self.shape.start - 1 + self.shape.slots])

    def head(self, hidden: Tensor) -> Tensor:
        """(..., hidden) to float32 logits (..., 256) of the action ids."""
        return functional.linear(hidden, self.language_model.lm_head.weight[-ACTIONS:]).float()


def _llama_config(shape: Shape) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        vocab_size=shape.vocabulary,
        attn_implementation="sdpa",
    )


def build(shape: Shape, device: str) -> Network:
    """The network, made on the device."""
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(DTYPE)
    try:
        with torch.device(device):
            return Network(shape).eval()
    finally:
        torch.set_default_dtype(default)


class LowRank(nn.Module):
    """A frozen linear layer with an adapter (LoRA, arXiv 2106.09685): float32 weights, computed with in bfloat16."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        device = base.weight.device
        self.low = nn.Parameter(torch.randn(RANK, base.in_features, device=device) / base.in_features**0.5)
        self.high = nn.Parameter(torch.zeros(base.out_features, RANK, device=device))

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        low = functional.linear(inputs, self.low.to(inputs.dtype))
        return self.base(inputs) + functional.linear(low, (LORA_SCALE * self.high).to(inputs.dtype))


def add_adapters(network: Network) -> None:
    """Freeze the network but for an adapter of every linear layer, without the head, of which a few rows are run."""
    network.requires_grad_(False)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child is not network.language_model.lm_head:
                setattr(parent, name, LowRank(child))


class Recomputed(nn.Module):
    """A layer whose activations are computed again for the backward pass (activation checkpointing)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor, **keywords: Any) -> Tensor:
        """As the layer's."""
        return checkpoint(self.layer, hidden, use_reentrant=False, preserve_rng_state=False, **keywords)


def recompute(network: Network) -> None:
    """Keep what goes in and out of transformer blocks, and nothing of their inside."""
    for layers in (*(tower.blocks for tower in network.towers), network.language_model.model.layers):
        for index, layer in enumerate(layers):
            layers[index] = Recomputed(layer)


# What it cannot do without: 2 FLOP per weight and token, and those of the attention.


class Layers(NamedTuple):
    """Linear layers of the same shape."""

    tokens: int
    """Of a sample that go through each."""
    inputs: int
    outputs: int
    number: int
    adapted: bool = True
    """Whether they get an adapter."""

    @property
    def weights(self) -> int:
        """Without the biases."""
        return self.inputs * self.outputs * self.number

    @property
    def adapter_weights(self) -> int:
        """Of the LoRA adapters."""
        return self.adapted * RANK * (self.inputs + self.outputs) * self.number


class Pass(NamedTuple):
    """A sample's way through the network, or through a part of it."""

    layers: list[Layers]
    attention: int
    """FLOP: scores and weighted sum, 4 x queries x keys x width in each block; causal masks spare nothing."""

    @property
    def flop(self) -> int:
        """Of the forward pass."""
        return 2 * sum(each.tokens * each.weights for each in self.layers) + self.attention

    @property
    def adapter_flop(self) -> int:
        """Of the adapters in the forward pass."""
        return 2 * sum(each.tokens * each.adapter_weights for each in self.layers)

    @property
    def weights(self) -> int:
        """Of all layers."""
        return sum(each.weights for each in self.layers)

    @property
    def adapter_weights(self) -> int:
        """Of all adapters."""
        return sum(each.adapter_weights for each in self.layers)


class Phase(NamedTuple):
    """Work that ends before the next begins."""

    flop: float
    bytes: float
    """Read and written at least."""


def chunk_pass(shape: Shape) -> Pass:
    """Image to the logits of a chunk."""
    return _joined(_vision(shape), _language(shape, shape.chunk, shape.chunk, shape.slots))


def prompt_pass(shape: Shape) -> Pass:
    """Image to the logits of the first token."""
    return _joined(_vision(shape), _language(shape, shape.start, shape.start, 1))


def step_pass(shape: Shape, keys: int) -> Pass:
    """One further token, which attends to ``keys`` tokens."""
    return _language(shape, 1, keys, 1)


def _joined(first: Pass, second: Pass) -> Pass:
    return Pass(first.layers + second.layers, first.attention + second.attention)


def _vision(shape: Shape) -> Pass:
    layers, attention = [], 0
    for size in shape.towers:
        tokens, width = size.prefix + shape.patches, size.width
        layers += [Layers(shape.patches, 3 * PATCH**2, width, 1), Layers(tokens, width, 3 * width, size.blocks)]
        layers += [Layers(tokens, width, width, size.blocks), Layers(tokens, width, size.mlp, 2 * size.blocks)]
        attention += 4 * tokens**2 * width * size.blocks
    features = sum(size.width for size in shape.towers)
    widths = (features, 4 * features, shape.hidden, shape.hidden)
    layers += [Layers(shape.patches, *pair, 1) for pair in itertools.pairwise(widths)]
    return Pass(layers, attention)


def _language(shape: Shape, tokens: int, keys: int, answers: int) -> Pass:
    layers = [
        Layers(tokens, shape.hidden, shape.hidden, 4 * shape.layers),
        Layers(tokens, shape.hidden, shape.mlp, 3 * shape.layers),
        Layers(answers, shape.hidden, ACTIONS, 1, adapted=False),
    ]
    return Pass(layers, 4 * tokens * keys * shape.hidden * shape.layers)


def forward_phase(work: Pass, batch: int) -> Phase:
    """Every weight is read once."""
    return Phase(batch * work.flop, BYTES * work.weights)


def decoding_phases(shape: Shape, batch: int) -> list[Phase]:
    """The steps after the prompt: every weight is read in each, and keys and values of what came before."""
    phases = []
    for keys in range(shape.start + 1, shape.start + shape.steps):
        work = step_pass(shape, keys)
        cached = 2 * keys * shape.hidden * shape.layers
        phases.append(Phase(batch * work.flop, BYTES * (work.weights + batch * cached)))
    return phases


def update_phases(work: Pass, batch: int, adapters: bool) -> list[Phase]:
    """Forward and backward, then the optimiser.

    A backward pass has the forward's FLOP for the gradients of inputs, and again for those of weights that are trained;
    that of attention has twice the forward's. Weights are read in both passes. For each trained number the gradient is
    written and read, and the number and Adam's two moments are read and written.
    """
    linear = work.flop - work.attention
    flop = 3 * work.attention + 2 * linear + (3 * work.adapter_flop if adapters else linear)
    trained = 4 * work.adapter_weights if adapters else BYTES * work.weights
    return [Phase(batch * flop, 2 * BYTES * work.weights), Phase(0, 8 * trained)]


# Measuring.


class Work(NamedTuple):
    """Something to time, and what has to happen before it each time."""

    run: Callable[[], object]
    before: Callable[[], object] = lambda: None


class Measured(NamedTuple):
    """Times in s and the peak of memory in bytes, NaN where there is no CUDA device."""

    times: list[float]
    peak: float

    @property
    def median(self) -> float:
        """Time in s."""
        return spread(self.times)[1]


def spread(values: list[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile."""
    low, middle, high = torch.tensor(values).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return low, middle, high


@dataclass
class Bench:
    """Measures on a device, and prints a table row by row."""

    shape: Shape
    device: str
    repetitions: int
    rate: float = math.nan
    """Of matrix products, in FLOP/s."""
    bandwidth: float = math.nan
    """Of copies, in bytes/s read and written."""
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print a line, and keep it."""
        print(line, flush=True)
        self.lines.append(line)

    def row(
        self, title: str, batch: int, phases: list[Phase], make: Callable[[], Work], goal: float | None = None
    ) -> None:
        """Measure the work that ``make`` prepares and print its row; memory that does not suffice is said there."""
        self.print_row(title, str(batch), phases, self.measure(make), goal)

    def measure(self, make: Callable[[], Work]) -> Measured | None:
        """What the work took, or None where memory did not suffice."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            times = self._times(make())
            return Measured(times, torch.cuda.max_memory_allocated() if self.device == "cuda" else math.nan)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            return None
        finally:
            gc.collect()
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _times(self, work: Work) -> list[float]:
        times = []
        for _ in range(WARM_UPS + self.repetitions):
            work.before()
            self._wait()
            start = time.perf_counter()
            work.run()
            self._wait()
            times.append(time.perf_counter() - start)
        return times[WARM_UPS:]

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def print_row(
        self, title: str, batch: str, phases: list[Phase], measured: Measured | None, goal: float | None = None
    ) -> None:
        """Times beside the floors."""
        flop = sum(phase.flop for phase in phases)
        floor = sum(max(phase.flop / self.rate, phase.bytes / self.bandwidth) for phase in phases)
        if measured is None:
            cells = ["out of memory", digits(flop / 1e12), "-", digits(1e3 * floor), "-", "-"]
        else:
            low, middle, high = (digits(1e3 * each) for each in spread(measured.times))
            peak = "-" if math.isnan(measured.peak) else digits(measured.peak / 1e9)
            shares = (percent(flop / self.rate / measured.median), percent(floor / measured.median))
            cells = [f"{middle} [{low}, {high}]", digits(flop / 1e12), shares[0], digits(1e3 * floor), shares[1], peak]
        self.say(f"| {' | '.join([title, batch, *cells, '' if goal is None else f'>= {percent(goal)}'])} |")


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocation failed: by torch on the device or on the CPU, or within cuBLAS."""
    words = ("can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)


def digits(value: float) -> str:
    """Three significant ones, all of them in front of the point if there are more.

    >>> digits(1234.5), digits(4.5678), digits(0.012345)
    ('1,234', '4.57', '0.0123')
    """
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}"


def percent(share: float) -> str:
    """A share of 1."""
    return f"{100 * share:.0f} %"


# What is measured.


def report_floors(bench: Bench) -> None:
    """The matrix rate and the bandwidth that all rows are compared with."""
    flop, moved = 2 * bench.shape.product**3, 2 * bench.shape.copied
    product = bench.measure(functools.partial(_product, bench))
    copy = bench.measure(functools.partial(_copy, bench))
    if product is None or copy is None:
        raise SystemExit(f"Expect memory for copying {bench.shape.copied / 1e9:.1f} GB, actually: it did not suffice.")
    bench.rate, bench.bandwidth = flop / product.median, moved / copy.median
    bench.say(f"Matrix rate {bench.rate / 1e12:.4g} TFLOP/s, bandwidth {bench.bandwidth / 1e9:.4g} GB/s.\n")
    titles = ("", "batch", "time, ms", "TFLOP", "of the matrix rate", "floor, ms", "floor / time", "peak, GB", "goal")
    bench.say(f"| {' | '.join(titles)} |")
    bench.say("|---" * len(titles) + "|")
    bench.print_row(f"matrix product of side {bench.shape.product}", "", [Phase(flop, 0)], product)
    bench.print_row(f"copy of {bench.shape.copied / 1e9:.3g} GB", "", [Phase(0, moved)], copy)


def _product(bench: Bench) -> Work:
    # Random numbers: products of zeros need less power and run faster.
    one, other = torch.randn(2, bench.shape.product, bench.shape.product, device=bench.device, dtype=DTYPE)
    return Work(lambda: one @ other)


def _copy(bench: Bench) -> Work:
    source = torch.ones(bench.shape.copied, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    return Work(lambda: target.copy_(source))


def report_rollout(bench: Bench, batch: int) -> None:
    """OpenVLA-OFT: a chunk of actions in one pass."""
    phases = [forward_phase(chunk_pass(bench.shape), batch)]
    goal = ROLLOUT_GOAL if batch == 32 else None
    bench.row("OFT chunk, forward", batch, phases, lambda: rollout(build(bench.shape, bench.device), batch), goal)


def rollout(network: Network, batch: int) -> Work:
    """The forward pass of chunks."""
    inputs = make_inputs(network, batch)
    return Work(torch.no_grad()(lambda: network.chunk(*inputs)))


def make_inputs(network: Network, batch: int) -> tuple[Tensor, Tensor]:
    """Random pixels (B, 3 * towers, side, side) and ids (B, prompt)."""
    shape, device = network.shape, network.language_model.device
    pixels = torch.randn(batch, 3 * len(shape.towers), shape.side, shape.side, device=device, dtype=DTYPE)
    return pixels, torch.randint(shape.vocabulary, (batch, shape.prompt), device=device)


def report_decoding(bench: Bench, batch: int) -> None:
    """OpenVLA: the tokens of one action one after the other, launched by Python or replayed as a CUDA graph."""
    phases = decoding_phases(bench.shape, batch)
    whole = [forward_phase(prompt_pass(bench.shape), batch), *phases]
    steps = len(phases)
    for way, graph in (("eager", False), ("CUDA graph", True)):
        for title, needed, alone in ((f"{1 + steps} tokens", whole, False), (f"the last {steps}", phases, True)):
            label = f"autoregressive, {title}, {way}"
            if graph and bench.device != "cuda":
                bench.say(f"| {label} | {batch} | no CUDA device |" + " - |" * 5 + "  |")
            else:
                bench.row(label, batch, needed, functools.partial(decode, bench, batch, graph, alone))


def decode(bench: Bench, batch: int, graph: bool, alone: bool) -> Work:
    """All tokens of an action, or ``alone`` those after the first."""
    decoding = Decoding(build(bench.shape, bench.device), batch)
    step = captured(decoding) if graph else decoding.step

    def steps() -> None:
        for _ in range(bench.shape.steps - 1):
            step()

    def prepare() -> None:
        decoding.rewind()
        decoding.begin()

    def everything() -> None:
        decoding.begin()
        steps()

    return Work(steps, prepare) if alone else Work(everything, decoding.rewind)


class Decoding:
    """Greedy autoregressive decoding with a cache of fixed size; all that a step reads stays where it is."""

    def __init__(self, network: Network, batch: int) -> None:
        shape, device = network.shape, network.language_model.device
        self.network = network
        self.inputs = make_inputs(network, batch)
        length = shape.start + shape.steps - 1
        self.cache = StaticCache(config=network.language_model.config, max_cache_len=length)
        self.keys = torch.arange(length, device=device)
        self.position = torch.zeros(1, 1, dtype=torch.int64, device=device)
        self.token = torch.zeros(batch, 1, dtype=torch.int64, device=device)

    def rewind(self) -> None:
        """Forget all tokens."""
        self.cache.reset()
        self.position.fill_(self.network.shape.start)

    @torch.no_grad()
    def begin(self) -> None:
        """Read image and prompt, and decide on the first token."""
        self._decide(self.network.embed(*self.inputs))

    @torch.no_grad()
    def step(self) -> None:
        """Decide on the next token."""
        # A mask and positions of our own, because transformers may ask the device for how far it is.
        mask = (self.keys <= self.position)[None, None].expand(len(self.token), 1, 1, -1)
        embedded = self.network.language_model.model.embed_tokens(self.token)
        self._decide(embedded, attention_mask=mask, position_ids=self.position)
        self.position.add_(1)

    def _decide(self, embedded: Tensor, **keywords: Tensor) -> None:
        model, first_id = self.network.language_model.model, self.network.shape.vocabulary - ACTIONS
        output = model(inputs_embeds=embedded, past_key_values=self.cache, use_cache=True, **keywords)
        self.token.copy_(first_id + self.network.head(output.last_hidden_state[:, -1:]).argmax(-1))


def captured(decoding: Decoding) -> Callable[[], None]:
    """A step as a CUDA graph: what to call in its place."""
    decoding.begin()
    decoding.rewind()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        decoding.step()  # libraries set themselves up at the first call, which cannot be captured
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        decoding.step()
    return graph.replay


def report_update(bench: Bench, batch: int, adapters: bool, recomputing: bool) -> None:
    """PPO: forward, backward and Adam, for adapters or for all weights."""
    title = f"update, {f'LoRA of rank {RANK}' if adapters else 'all weights'}{', recomputing' if recomputing else ''}"
    phases = update_phases(chunk_pass(bench.shape), batch, adapters)

    def make() -> Work:
        network = build(bench.shape, bench.device)
        if adapters:
            add_adapters(network)
        if recomputing:
            recompute(network)
        return update(network, batch)

    bench.row(title, batch, phases, make, UPDATE_GOAL if adapters else None)


def update(network: Network, batch: int) -> Work:
    """A step on made-up answers, in the type that the trained weights have."""
    inputs = make_inputs(network, batch)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    tokens = torch.randint(ACTIONS, (batch, network.shape.slots, 1), device=inputs[0].device)
    advantages = torch.randn(batch, 1, 1, device=inputs[0].device)

    def step() -> None:
        optimiser.zero_grad()
        ppo_loss(network.chunk(*inputs), tokens, advantages).backward()
        optimiser.step()

    return Work(step)


def ppo_loss(logits: Tensor, tokens: Tensor, advantages: Tensor) -> Tensor:
    """The clipped objective of tokens (B, slots, 1) under logits (B, slots, 256), whose old policy was uniform."""
    ratio = (logits.log_softmax(-1).gather(-1, tokens) + math.log(ACTIONS)).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages).mean()


# The command.


def main() -> None:
    """Print the table, and write it to a file if one is named."""
    options = parse()
    bench = Bench(SHAPES[options.shape], _device(), options.repetitions)
    introduce(bench, options.shape)
    report_floors(bench)
    for batch in options.batches:
        report_rollout(bench, batch)
    for adapters in (True, False):
        for recomputing in (False, True):
            for batch in options.batches:
                report_update(bench, batch, adapters, recomputing)
    for batch in options.batches:
        report_decoding(bench, batch)
    if options.output:
        write(options.output, bench.lines)


def parse() -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(prog="openvla_gpu.py", description=(__doc__ or "").splitlines()[0])
    default = "7b" if _device() == "cuda" else "small"
    parser.add_argument("--shape", choices=SHAPES, default=default, help="of the network (default: %(default)s)")
    parser.add_argument("--batches", type=_positive, nargs="+", default=[1, 8, 32, 64], help="samples at once")
    parser.add_argument("--repetitions", type=_positive, default=10, help="of each measurement")
    parser.add_argument("--output", type=Path, help="a file for the table")
    options = parser.parse_args()
    if options.shape == "7b" and _device() == "cpu":
        parser.error("Expect a CUDA device for the shape 7b, actually: none. Run --shape small.")
    return options


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"Expect a positive integer, actually: {text}.")
    return value


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def introduce(bench: Bench, name: str) -> None:
    """Say what is measured, and on what."""
    if bench.device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory
        bench.say(f"{torch.cuda.get_device_name()}, {memory / 1e9:.1f} GB.")
    else:
        bench.say(f"No CUDA device: the shape {name} on {torch.get_num_threads()} threads of the CPU, no CUDA graphs.")
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in Network(bench.shape).parameters())
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    bench.say(f"Shape {name}, {weights:,} weights; {versions}; {bench.repetitions} repetitions.")


def write(path: Path, lines: list[str]) -> None:
    """Write aside, then rename: the file is whole or not there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text("\n".join(lines) + "\n")
    aside.replace(path)


if __name__ == "__main__":
    main()
