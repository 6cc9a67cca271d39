"""Action tokens: the last 256 ids of the language model's vocabulary are bins of an action."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NUM_IDS = 256
"""Ids that stand for a number."""
_EDGES = np.linspace(-1.0, 1.0, NUM_IDS)
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2.0


def decode_ids(ids: Tensor, vocabulary_size: int) -> Tensor:
    """Token ids of any shape as the centres of their bins, float64 in (-1, 1).

    256 edges make 255 bins, so that the first two action ids share the highest; ids below the action ids count as it,
    ids above as the lowest (the official ``ActionTokenizer``).

    Args:
        ids: int64.
        vocabulary_size: of the tokenizer, without the padding of the embedding: 32,000 for Llama 2.

    >>> decode_ids(torch.tensor([31744, 31745, 31999, 5]), 32000)
    tensor([ 0.9961,  0.9961, -0.9961,  0.9961], dtype=torch.float64)
    """
    bins = (vocabulary_size - ids - 1).clamp(0, len(_CENTRES) - 1)
    return torch.as_tensor(_CENTRES, device=ids.device)[bins]


def encode_actions(actions: Tensor, vocabulary_size: int) -> Tensor:
    """Numbers of any shape, clipped to [-1, 1], as the ids of their bins, int64.

    >>> encode_actions(torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0]), 32000)
    tensor([31999, 31999, 31872, 31745, 31744])
    """
    edges = torch.as_tensor(_EDGES, dtype=torch.float64, device=actions.device)
    return vocabulary_size - torch.bucketize(actions.double().clamp(-1.0, 1.0), edges, right=True)
