"""The action heads, tokens and continuous."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.distributions import GaussianDistribution
from policies.heads import INITIAL_STD, LEAST_STD, MOST_STD, BoundedLogStd, GaussianHead, TokenHead

HEADS = {"tokens": lambda: TokenHead(8, 6, bins=64), "gaussian": lambda: GaussianHead(8, 6)}

every_head = pytest.mark.parametrize("make_head", HEADS.values(), ids=HEADS)


def std_of(head):
    return head.log_std().exp()


@every_head
def test_the_first_standard_deviation_is_the_initial_one(make_head):
    """In every slot."""
    torch.testing.assert_close(std_of(make_head()), torch.full((6,), INITIAL_STD))


@given(st.floats(-1e3, 1e3))
def test_standard_deviations_keep_to_their_bounds(logit):
    """Whatever the parameter is."""
    log_std = BoundedLogStd(1)
    torch.nn.init.constant_(log_std.share_logit, logit)
    assert LEAST_STD - 1e-6 <= log_std().exp().item() <= MOST_STD + 1e-6


@every_head
@pytest.mark.parametrize(("logit", "direction"), [(-6.0, 1.0), (6.0, -1.0)])
def test_entropy_moves_a_standard_deviation_from_either_bound(make_head, logit, direction):
    """A bonus widens the narrowest one, a malus narrows the widest."""
    torch.manual_seed(0)
    head, hidden = make_head(), torch.randn(16, 8)
    torch.nn.init.constant_(head.log_std.share_logit, logit)
    before = std_of(head).detach()
    optimizer = torch.optim.Adam(head.parameters(), 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (-direction * head(hidden).entropy().mean()).backward()
        optimizer.step()
    assert (direction * (std_of(head) - before) > 0.1).all()


@every_head
def test_the_mode_lies_where_the_mean_is(make_head):
    """Up to half a bin."""
    head, hidden = make_head(), torch.randn(16, 8)
    actions = head.decode(head(hidden).mode())
    assert (actions - head.mean(hidden).clamp(-1.0, 1.0)).abs().max() <= 1.0 / 63 + 1e-6


@every_head
def test_a_mean_moves_by_its_share_of_the_variance(make_head):
    """The gradient of the log-density says (token - mean) / variance; the mean share of all slots is 1."""
    torch.manual_seed(0)
    head, hidden = make_head(), torch.randn(1, 8)
    with torch.no_grad():
        head.log_std.share_logit.copy_(torch.linspace(-3.0, 3.0, 6))
    free = torch.zeros(1, 6, requires_grad=True)
    head.mean.register_forward_hook(lambda module, args, mean: mean + free)
    tokens = head.encode(torch.full((1, 6), 0.5))
    distribution = head(hidden)
    distribution.log_prob(tokens).sum().backward()
    mean = distribution.normal.mean if isinstance(distribution, GaussianDistribution) else expected(head, distribution)
    toward = head.decode(tokens) - mean
    torch.testing.assert_close(free.grad, toward / std_of(head).square().mean(), rtol=1e-4, atol=1e-4)


def expected(head, distribution):
    """The mean of the bins."""
    return (distribution.log_probs.exp() * head.centers).sum(-1)


def test_a_fixed_standard_deviation_is_as_given_and_not_trained():
    """In every slot, and in no checkpoint."""
    head = GaussianHead(8, 6, std=0.1)
    torch.testing.assert_close(std_of(head), torch.full((6,), 0.1))
    assert [name for name, _ in head.named_parameters()] == [*head.state_dict()] == ["mean.weight", "mean.bias"]
