"""The benchmark of autoregressive decoding."""

import sys

import pytest
import torch

pytest.importorskip("transformers")

from benchmarks import openvla_generation


@pytest.mark.parametrize("name", openvla_generation.LLAMAS)
def test_both_sides_decode_the_same_actions(name):
    """Otherwise their costs could not be compared."""
    ours, theirs = openvla_generation.sides(name, 2)
    assert ours().shape == (2, 7)
    assert torch.equal(ours(), theirs())
    assert ours().min() >= 31744


def test_the_table_has_a_row_for_each_model_and_batch(monkeypatch, capsys):
    """With both costs and their ratio."""
    monkeypatch.setattr(sys, "argv", ["openvla_generation.py", "--repetitions", "2", "--batches", "1"])
    openvla_generation.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| 2 layers", "| 8 layers"))]
    assert len(rows) == 2
    assert all(row.count("[") == 3 for row in rows)


def test_different_tokens_end_the_comparison(monkeypatch):
    """With the reason."""
    monkeypatch.setattr(openvla_generation, "decode", lambda *args: torch.zeros(1, 7))
    with pytest.raises(RuntimeError, match="decode different tokens"):
        openvla_generation.row("2 layers, width 32", 1, 1)
