"""The loss of a batch: which tokens move, in which direction, and how far."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import ENTROPY_KEY, POLICY_LOSS_KEY, VF_LOSS_KEY

from rllib_configs.algorithm.loss import (
    KL_GAIN,
    LARGEST_KL_ERROR,
    Coefficients,
    adapted_kl_coeff,
    clipped_surrogate,
    kl_estimate,
    ppo_loss,
)
from rllib_configs.algorithm.sampled_group import (
    MEAN_LOG_RATIO,
    REF_LOGP,
    TOKEN_ENTROPY,
    TOKEN_LOGP,
    TOKEN_MASK,
    executed_tokens,
)
from vla_envs.errors import NonFiniteError

ROWS, CHUNK, DIM = 5, 3, 2
SLOTS = CHUNK * DIM
SYMMETRIC = Coefficients(clip_low=0.2, clip_high=0.2)


def make_batch(advantage=1.0, log_ratio=0.0, executed=(3, 3, 3, 3, 3), **columns):
    """A made-up batch and forward pass; ``log_ratio`` is that of every token."""
    token_logp = torch.full((ROWS, SLOTS), -1.0, requires_grad=True)
    batch = {
        Columns.ACTIONS: torch.zeros(ROWS, CHUNK, DIM),
        TOKEN_MASK: torch.from_numpy(executed_tokens(executed, CHUNK, SLOTS)),
        TOKEN_LOGP: token_logp.detach() - log_ratio,
        Columns.ADVANTAGES: torch.full((ROWS,), advantage),
        **columns,
    }
    forward = {
        TOKEN_LOGP: token_logp,
        TOKEN_ENTROPY: torch.full((ROWS, SLOTS), 2.0, requires_grad=True),
        Columns.VF_PREDS: torch.arange(ROWS, dtype=torch.float32).requires_grad_(),
    }
    return batch, forward


def whole(batch, forward, coefficients=SYMMETRIC):
    """The loss of a minibatch of one batch."""
    return ppo_loss(batch, forward, coefficients, batch[TOKEN_MASK].sum().item(), len(batch[TOKEN_MASK]))


def gradient_of(key, batch, forward, coefficients=SYMMETRIC):
    return torch.autograd.grad(whole(batch, forward, coefficients).total, forward[key])[0]


def test_tokens_of_actions_that_never_ran_get_no_gradient():
    """Where an episode ended in the middle of a chunk; the others share the mean."""
    batch, forward = make_batch(executed=(3, 2, 1, 3, 0))
    gradient = gradient_of(TOKEN_LOGP, batch, forward)
    ran = batch[TOKEN_MASK]
    torch.testing.assert_close(gradient, -ran.float() / ran.sum())


@given(st.floats(-2, 2).filter(lambda advantage: abs(advantage) > 1e-3), st.floats(-1, 1))
def test_the_ratio_is_clipped_only_where_it_has_gone_far_enough(advantage, log_ratio):
    """Above 1.4 for what was good and below 0.8 for what was bad: then there is no gradient."""
    ratio = np.exp(log_ratio)
    if min(abs(ratio - 0.8), abs(ratio - 1.4)) < 1e-4:
        return
    gradient = gradient_of(TOKEN_LOGP, *make_batch(advantage, log_ratio), Coefficients(0.2, 0.4))
    far_enough = ratio > 1.4 if advantage > 0 else ratio < 0.8
    expected = 0.0 if far_enough else -advantage * ratio / (ROWS * SLOTS)
    torch.testing.assert_close(gradient, torch.full_like(gradient, expected), rtol=1e-4, atol=1e-7)


def test_the_surrogate_of_what_is_clipped_is_that_of_the_bound():
    """What has gone the wrong way is never clipped."""
    ratio, advantages = torch.tensor([1.5, 0.5, 1.5, 0.5]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    surrogate = clipped_surrogate(ratio, advantages, low=0.2, high=0.4)
    torch.testing.assert_close(surrogate, torch.tensor([1.4, 0.5, -1.5, -0.8]))


def test_the_share_of_clipped_tokens_is_reported():
    """On both sides, whatever the sign of the advantage."""
    batch, forward = make_batch(executed=(3, 3, 3, 3, 0))
    batch[TOKEN_LOGP][0] += 0.5
    batch[TOKEN_LOGP][1] -= 0.5
    batch[TOKEN_LOGP][4] -= 5.0
    assert whole(batch, forward).terms["clip_fraction"].item() == pytest.approx(0.5)


def test_entropy_is_rewarded_by_its_weight():
    """Over the executed tokens."""
    batch, forward = make_batch(executed=(3, 0, 0, 0, 0))
    gradient = gradient_of(TOKEN_ENTROPY, batch, forward, SYMMETRIC._replace(entropy=0.5))
    assert gradient[0].tolist() == pytest.approx([-0.5 / SLOTS] * SLOTS)
    assert not gradient[1:].any()
    assert whole(batch, forward).terms[ENTROPY_KEY].item() == pytest.approx(2.0)


@pytest.mark.parametrize("gap", [1.5, -1.5])
def test_the_kl_pulls_towards_the_reference(gap):
    """A token less probable than under the reference rises, one that is more probable falls."""
    batch, forward = make_batch(advantage=0.0)
    batch[REF_LOGP] = forward[TOKEN_LOGP].detach() + gap
    gradient = gradient_of(TOKEN_LOGP, batch, forward, SYMMETRIC._replace(reference_kl=0.1))
    torch.testing.assert_close(gradient, torch.full_like(gradient, 0.1 * (1 - np.exp(gap)) / (ROWS * SLOTS)))


def test_on_the_reference_nothing_pulls():
    """The KL has its minimum there, which is zero."""
    batch, forward = make_batch(advantage=0.0)
    batch[REF_LOGP] = forward[TOKEN_LOGP].detach()
    assert not gradient_of(TOKEN_LOGP, batch, forward, SYMMETRIC._replace(reference_kl=1.0)).any()
    assert whole(batch, forward).terms["reference_kl"] == 0.0


def test_without_a_weight_the_kl_is_reported_and_pulls_nothing():
    """As where it is charged to the reward."""
    batch, forward = make_batch(advantage=0.0)
    batch[REF_LOGP] = forward[TOKEN_LOGP].detach() - 1.0
    assert not gradient_of(TOKEN_LOGP, batch, forward).any()
    assert whole(batch, forward).terms["reference_kl"].item() == pytest.approx(np.exp(-1.0))


def test_the_estimate_of_the_kl_has_the_right_mean():
    """Over all samples of q, weighed by their probabilities; and none of them is negative."""
    q, p = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.3, 0.5])
    estimates = kl_estimate((p / q).log())
    assert (q * estimates).sum().item() == pytest.approx((q * (q / p).log()).sum().item())
    assert (estimates >= 0.0).all()


def test_the_critic_learns_its_targets():
    """The mean squared error over all timesteps, by its weight."""
    batch, forward = make_batch(advantage=0.0, executed=(3, 0, 0, 0, 0))
    batch[Columns.VALUE_TARGETS] = torch.ones(ROWS)
    loss = whole(batch, forward, SYMMETRIC._replace(value=0.25))
    assert loss.terms[VF_LOSS_KEY].item() == pytest.approx(np.mean([1.0, 0.0, 1.0, 4.0, 9.0]))
    assert loss.total.item() == pytest.approx(0.25 * 3.0)


def test_without_a_critic_nothing_moves_the_values():
    """The loss does not contain them."""
    batch, forward = make_batch()
    loss = whole(batch, forward, SYMMETRIC._replace(value=0.5)).total
    assert torch.autograd.grad(loss, forward[Columns.VF_PREDS], allow_unused=True) == (None,)


def random_batch():
    """Every column that there is, every number another."""
    generator = torch.Generator().manual_seed(0)
    columns = {
        REF_LOGP: -torch.rand(ROWS, SLOTS, generator=generator),
        Columns.VALUE_TARGETS: torch.randn(ROWS, generator=generator),
        Columns.ADVANTAGES: torch.randn(ROWS, generator=generator),
        TOKEN_LOGP: -1.0 + 0.3 * torch.randn(ROWS, SLOTS, generator=generator),
    }
    return make_batch(executed=(3, 2, 1, 3, 2), **columns)


@pytest.mark.parametrize("columns", [{}, {MEAN_LOG_RATIO: torch.linspace(-0.3, 0.3, ROWS)}])
def test_the_terms_of_two_parts_add_up_to_the_whole(columns):
    """So does the loss, and with it the gradient: the size of a micro-batch changes nothing."""
    batch, forward = random_batch()
    batch |= columns
    coefficients = Coefficients(0.2, 0.3, entropy=0.1, reference_kl=0.2, value=0.5)
    parts = [
        ppo_loss(
            {k: v[rows] for k, v in batch.items()}, {k: v[rows] for k, v in forward.items()}, coefficients, 22, ROWS
        )
        for rows in (slice(0, 2), slice(2, None))
    ]
    together = ppo_loss(batch, forward, coefficients, 22, ROWS)
    torch.testing.assert_close(sum(part.total for part in parts), together.total)
    for key, term in together.terms.items():
        torch.testing.assert_close(sum(part.terms[key] for part in parts), term)


LENGTHS = (2, 1, 2)
"""Timesteps of the three trajectories whose rows follow each other."""


def of_rows(numbers):
    """One number a trajectory as one number a row."""
    return torch.tensor(numbers).repeat_interleave(torch.tensor(LENGTHS))


def sequence_surrogates(forward, batch, advantages, low, high):
    """GSPO's objective (equation 7 of arXiv 2507.18071) of each trajectory, times its number of executed tokens."""
    ran = batch[TOKEN_MASK]
    difference = (forward[TOKEN_LOGP] - batch[TOKEN_LOGP]) * ran
    surrogates, log_ratios = [], []
    for log_ratio, mask, advantage in zip(difference.split(LENGTHS), ran.split(LENGTHS), advantages, strict=True):
        log_ratios.append(log_ratio.sum() / mask.sum())
        ratio = log_ratios[-1].exp()
        clipped = ratio.clamp(1 - low, 1 + high)
        surrogates.append(mask.sum() * torch.minimum(ratio * advantage, clipped * advantage))
    return torch.stack(surrogates), torch.stack(log_ratios).detach()


@pytest.mark.parametrize("clip", [0.01, 0.5])
@pytest.mark.parametrize("advantages", [(1.0, -2.0, 0.5), (-1.0, 2.0, -0.5)])
def test_the_ratio_of_trajectories_is_that_of_the_true_ppo_loss(advantages, clip):
    """Its value and its gradient by every token, where it is clipped and where not."""
    batch, forward = random_batch()
    del batch[REF_LOGP], batch[Columns.VALUE_TARGETS]
    surrogates, log_ratios = sequence_surrogates(forward, batch, advantages, clip, clip)
    batch[MEAN_LOG_RATIO], batch[Columns.ADVANTAGES] = of_rows(log_ratios.tolist()), of_rows(advantages)
    loss = whole(batch, forward, Coefficients(clip, clip)).total
    expected = -surrogates.sum() / 22
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(each, forward[TOKEN_LOGP])[0] for each in (loss, expected)), rtol=1e-5, atol=1e-7
    )


def test_the_ratio_error_is_the_largest_of_the_executed_tokens():
    """However far off those are that never ran."""
    batch, forward = make_batch(executed=(3, 3, 3, 3, 2))
    batch[TOKEN_LOGP][2, 1] -= np.log(1.25)
    batch[TOKEN_LOGP][4, 5] -= 3.0
    assert whole(batch, forward).ratio_error.item() == pytest.approx(0.25, rel=1e-5)


def test_the_policy_loss_is_the_mean_over_the_tokens_of_the_minibatch():
    """Which may be more than those of the batch."""
    batch, forward = make_batch(advantage=2.0)
    loss = ppo_loss(batch, forward, SYMMETRIC, token_weight=100, num_rows=ROWS)
    assert loss.terms[POLICY_LOSS_KEY].item() == pytest.approx(-2.0 * ROWS * SLOTS / 100)


@pytest.mark.parametrize("kl", [0.0, 0.1, 5.0])
def test_without_a_target_the_weight_of_the_kl_is_fixed(kl):
    """Whatever the KL."""
    assert adapted_kl_coeff(0.5, kl, target=None) == 0.5


def test_on_target_nothing_changes():
    """The weight holds what it should."""
    assert adapted_kl_coeff(0.5, 0.1, target=0.1) == 0.5


@pytest.mark.parametrize(("kl", "error"), [(0.105, 0.05), (0.095, -0.05)])
def test_the_weight_follows_the_relative_error(kl, error):
    """Up where the policy has gone too far, and down where it may go further."""
    assert adapted_kl_coeff(0.5, kl, target=0.1) == pytest.approx(0.5 * (1 + KL_GAIN * error))


@pytest.mark.parametrize(("kl", "error"), [(100.0, LARGEST_KL_ERROR), (0.0, -LARGEST_KL_ERROR)])
def test_a_large_error_counts_as_the_largest(kl, error):
    """One odd iteration does not change the weight for long."""
    assert adapted_kl_coeff(0.5, kl, target=0.1) == pytest.approx(0.5 * (1 + KL_GAIN * error))


@pytest.mark.parametrize("coeff", [0.01, 10.0])
def test_the_target_is_reached_from_both_sides(coeff):
    """With a policy that goes the further the less it costs."""
    for _ in range(500):
        coeff = adapted_kl_coeff(coeff, 0.02 / coeff, target=0.1)
    assert 0.02 / coeff == pytest.approx(0.1, rel=0.01)


GARBAGE = pytest.mark.parametrize("garbage", [math.inf, -math.inf, math.nan, 1e30])


def with_garbage(batch, key, garbage):
    """Something else in the columns where nothing ran."""
    return {**batch, key: batch[key].masked_fill(~batch[TOKEN_MASK], garbage)}


@GARBAGE
@pytest.mark.parametrize("key", [TOKEN_LOGP, REF_LOGP])
@pytest.mark.parametrize("whole_trajectories", [False, True])
def test_what_stands_where_nothing_ran_has_no_part(garbage, key, whole_trajectories):
    """Not even infinity, which no mask of zeros would take out again."""
    columns = {MEAN_LOG_RATIO: torch.full((ROWS,), 0.1)} if whole_trajectories else {}
    batch, forward = make_batch(log_ratio=0.1, executed=(3, 1, 2, 0, 3), **columns)
    batch[REF_LOGP] = batch[TOKEN_LOGP] + 0.2
    weights = Coefficients(0.2, 0.2, entropy=0.1, reference_kl=0.5)
    expected = whole(batch, forward, weights)
    gradient = gradient_of(TOKEN_LOGP, batch, forward, weights)
    loss = whole(with_garbage(batch, key, garbage), forward, weights)
    assert {name: each.item() for name, each in loss.terms.items()} == {
        name: each.item() for name, each in expected.terms.items()
    }
    assert loss.ratio_error == expected.ratio_error
    assert torch.equal(gradient_of(TOKEN_LOGP, with_garbage(batch, key, garbage), forward, weights), gradient)


@GARBAGE
def test_what_a_policy_says_where_nothing_ran_has_no_part(garbage):
    """In no term, and in no gradient."""
    batch, forward = make_batch(log_ratio=0.1, executed=(3, 1, 2, 0, 3))
    expected = gradient_of(TOKEN_LOGP, batch, forward)
    said = forward[TOKEN_LOGP].detach().masked_fill(~batch[TOKEN_MASK], garbage).requires_grad_()
    assert torch.equal(gradient_of(TOKEN_LOGP, batch, {**forward, TOKEN_LOGP: said}), expected)


def test_a_term_without_a_weight_has_no_part_in_the_gradient():
    """Whatever it is; it is measured all the same."""
    batch, forward = make_batch(log_ratio=0.1)
    forward[TOKEN_ENTROPY] = torch.full((ROWS, SLOTS), math.nan, requires_grad=True)
    loss = whole(batch, forward)
    assert loss.total == loss.terms[POLICY_LOSS_KEY]
    assert loss.terms[ENTROPY_KEY].isnan()
    assert not whole(batch, forward, Coefficients(0.2, 0.2, entropy=0.1)).total.isfinite()


def test_ratios_that_are_no_numbers_are_not_taken_for_unclipped():
    """No comparison with NaN holds."""
    batch, forward = make_batch(log_ratio=math.nan)
    loss = whole(batch, forward)
    assert loss.terms["clip_fraction"].isnan()
    assert loss.ratio_error.isnan()


def test_the_weight_of_a_kl_follows_no_nan():
    """It would be the weight of all that follows."""
    with pytest.raises(NonFiniteError, match="actually: nan"):
        adapted_kl_coeff(0.1, math.nan, target=0.02)
