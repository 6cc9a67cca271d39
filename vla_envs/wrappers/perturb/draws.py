"""How large a perturbation is drawn."""

from __future__ import annotations

import numpy as np


def amount(rng: np.random.Generator, limit: float) -> float:
    """Between half the limit and the limit: no episode goes unperturbed by the luck of the draw."""
    return limit * float(rng.uniform(0.5, 1.0))


def swing(rng: np.random.Generator, limit: float) -> float:
    """The same, to either side."""
    return amount(rng, limit) * float(rng.choice((-1.0, 1.0)))
