"""Numbers that are NaN or infinite: how many gradient steps may have some, and where they are in weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from vla_envs.errors import NonFiniteError

NONFINITE_STEPS_IN_A_ROW = 3
"""Gradient steps in a row whose loss or gradient is not finite, and which are not taken, that end a training."""


def check_finite(tensors: Iterable[tuple[str, Tensor]], instead: str) -> None:
    """Raise for the first tensor that holds NaN or an infinity.

    Args:
        tensors: name and value of each; integers are finite.
        instead: what the caller does not do with them, and what to do, as the end of the message.

    Raises:
        NonFiniteError: it names the tensor.

    >>> check_finite([("weight", torch.tensor([1.0, torch.nan]))], "Nothing is written.")
    Traceback (most recent call last):
        ...
    vla_envs.errors.NonFiniteError: Expect finite numbers, actually 1 of 2 in 'weight' are not. Nothing is written.
    """
    for name, tensor in tensors:
        # The least and the largest number take one pass and no memory, and are NaN where any number is.
        if (
            tensor.is_floating_point()
            and tensor.numel()
            and not torch.stack(tensor.detach().aminmax()).isfinite().all()
        ):
            wrong = int((~tensor.isfinite()).sum())
            raise NonFiniteError(
                f"Expect finite numbers, actually {wrong} of {tensor.numel()} in {name!r} are not. {instead}"
            )
