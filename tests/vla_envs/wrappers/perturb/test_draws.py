"""How large a perturbation is drawn."""

import numpy as np

from vla_envs.wrappers.perturb.draws import amount, swing


def test_every_draw_is_between_half_the_limit_and_the_limit():
    """No episode goes unperturbed by chance."""
    rng = np.random.default_rng(0)
    amounts = [amount(rng, 3.0) for _ in range(200)]
    assert 1.5 <= min(amounts) < 1.6
    assert 2.9 < max(amounts) <= 3.0


def test_a_swing_goes_to_either_side():
    """About as often to one as to the other."""
    rng = np.random.default_rng(0)
    swings = np.array([swing(rng, 1.0) for _ in range(200)])
    assert 60 < (swings > 0).sum() < 140
    assert (np.abs(swings) >= 0.5).all()
