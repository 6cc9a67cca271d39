"""Behavior cloning on made-up demonstrations."""

import dataclasses

import numpy as np
import pytest
import torch

from policies.behavior_cloning import NONFINITE_STEPS_IN_A_ROW, Demonstrations, clone
from tests.policies.observations import CONFIG, GAUSSIAN, fresh_policy, observe, outputs_of
from vla_envs.errors import InvalidArgumentError, NonFiniteError


def demonstrate(rows=32):
    """Every state asks for an action of its own, which depends on the state alone."""
    observations = observe(rows)
    actions = -torch.ones(rows, 3, 7)
    actions[..., 0] = 2 * observations["state"][:, :1] - 1
    return Demonstrations(
        observations={key: each.numpy() for key, each in observations.items()},
        actions=actions.numpy(),
        mask=np.ones((rows, 3), np.float32),
    )


def cloned(demonstrations, policy=None, **changes):
    policy = policy or fresh_policy()
    losses = []
    arguments = {"steps": 150, "lr": 3e-3, "batch_size": 16, "seed": 0, **changes}
    clone(policy, demonstrations, **arguments, on_step=lambda step, loss: losses.append((step, loss)))
    return policy, losses


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN], ids=lambda config: config.head)
def test_the_policy_learns_to_do_what_was_shown(config):
    """Its greedy actions come close to the demonstrated ones."""
    demonstrations = demonstrate()
    policy, _ = cloned(demonstrations, fresh_policy(config=config))
    observations = {key: torch.from_numpy(each) for key, each in demonstrations.observations.items()}
    error = (policy.act(observations) - torch.from_numpy(demonstrations.actions)).abs()
    untrained = (fresh_policy().act(observations) - torch.from_numpy(demonstrations.actions)).abs()
    assert error.mean() < 0.1
    assert untrained.mean() > 0.3


def test_every_step_reports_its_loss():
    """Counted from one, and falling."""
    _, losses = cloned(demonstrate())
    steps, values = zip(*losses, strict=True)
    assert steps == tuple(range(1, 151))
    assert np.mean(values[-10:]) < 0.5 * np.mean(values[:10])


def test_the_same_seed_gives_the_same_policy():
    """Bit for bit; another seed draws other rows."""
    first, second, other = (cloned(demonstrate(), steps=5, seed=seed)[0] for seed in (0, 0, 1))
    logits = [outputs_of(policy, observe(4))[0] for policy in (first, second, other)]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_the_critic_is_not_cloned():
    """There is no return to learn it from."""
    policy = fresh_policy()
    before = {name: each.clone() for name, each in policy.value_head.named_parameters()}
    cloned(demonstrate(), policy, steps=5)
    assert all(torch.equal(each, before[name]) for name, each in policy.value_head.named_parameters())


def test_the_policy_ends_in_evaluation_mode():
    """Ready to act."""
    assert not cloned(demonstrate(8), steps=1)[0].training


def test_no_demonstrations_are_an_error():
    """Instead of a policy that learnt nothing."""
    empty = dataclasses.replace(demonstrate(1), actions=np.zeros((0, 3, 7), np.float32))
    with pytest.raises(ValueError, match="at least one demonstrated state"):
        cloned(empty)


def test_a_step_that_is_not_finite_is_not_taken(monkeypatch):
    """The policy goes on from where it was; several of them in a row end the cloning."""
    policy = fresh_policy()
    true_loss, calls = policy.cloning_loss, []

    def sometimes(*arguments):
        calls.append(torch.nan if len(calls) % 2 else 1.0)
        return true_loss(*arguments) * calls[-1]

    monkeypatch.setattr(policy, "cloning_loss", sometimes)
    _, losses = cloned(demonstrate(), policy, steps=6)
    assert np.isnan([loss for _, loss in losses]).tolist() == [False, True] * 3
    assert all(each.isfinite().all() for each in policy.parameters())


def test_cloning_ends_where_nothing_is_finite():
    """At once, with the rate to lower and where to look."""
    demonstrations = demonstrate()
    demonstrations.observations["state"][:] = np.nan
    policy = fresh_policy()
    before = [each.detach().clone() for each in policy.parameters()]
    with pytest.raises(NonFiniteError, match=rf"at step {NONFINITE_STEPS_IN_A_ROW} of 150.*learning rate of 0\.003"):
        cloned(demonstrations, policy)
    assert all(map(torch.equal, policy.parameters(), before))


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN], ids=lambda config: config.head)
def test_what_stands_where_no_action_is_has_no_part(config):
    """However large it is."""
    demonstrations = demonstrate(rows=4)
    demonstrations.mask[:, 1:] = 0.0
    losses = []
    for garbage in (0.0, 1e30, np.nan):
        demonstrations.actions[:, 1:] = garbage
        losses.append(cloned(demonstrations, fresh_policy(config=config), steps=2)[1])
    assert losses[0] == losses[1] == losses[2]


def test_parameters_that_would_lose_small_steps_are_refused():
    """An Adam step of 5e-6 is below half the distance between two numbers of bfloat16, and would change nothing."""
    weight = torch.full((), 0.02, dtype=torch.bfloat16)
    assert weight - 5e-6 == weight
    policy = fresh_policy()
    policy.value_head.bfloat16()
    with pytest.raises(InvalidArgumentError, match=r"bfloat16 for 'value_head\.0\.weight' \(of 4\).*lora-rank"):
        cloned(demonstrate(), policy, steps=1)
    policy.value_head.requires_grad_(False)
    cloned(demonstrate(), policy, steps=1)
