"""How much the KL from the reference policy costs."""

from __future__ import annotations

GAIN, LARGEST_ERROR = 0.1, 0.2
"""Share by which the weight follows the error, and the largest error that counts (Ziegler et al., arXiv 1909.08593)."""


class KLController:
    """A weight that is fixed, or raised while the KL is above its target and lowered while it is below.

    Args:
        coeff: the weight to begin with.
        target: nats a token to hold, above 0, or None for a fixed weight.

    >>> controller = KLController(0.1, target=0.02)
    >>> controller.observe(0.03)
    >>> round(controller.coeff, 4)
    0.102
    """

    def __init__(self, coeff: float, target: float | None) -> None:
        self.coeff = coeff
        self.target = target

    def observe(self, kl: float) -> None:
        """Take note of the KL of an iteration."""
        if self.target is not None:
            error = min(max(kl / self.target - 1.0, -LARGEST_ERROR), LARGEST_ERROR)
            self.coeff *= 1.0 + GAIN * error
