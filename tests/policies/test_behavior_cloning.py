"""Behavior cloning on made-up demonstrations."""

import dataclasses
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

from policies.behavior_cloning import (
    NONFINITE_STEPS_IN_A_ROW,
    Demonstrations,
    DemonstrationStream,
    Validation,
    clone,
    gathered,
    shifted,
    split,
    validation_loss,
)
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


def test_a_final_learning_rate_stops_within_a_longer_cloning():
    """Half of the steps, to half of the learning rate, are the first half of them."""
    longer = fresh_policy()
    weights = []

    def keep(step, loss):
        if step == 61:  # it is told after the step
            weights.append({name: each.detach().clone() for name, each in longer.named_parameters()})

    clone(longer, demonstrate(), steps=122, lr=3e-3, batch_size=16, seed=0, on_step=keep)
    shorter, _ = cloned(demonstrate(), steps=61, final_lr=1.5e-3)
    for name, each in shorter.named_parameters():
        torch.testing.assert_close(each, weights[0][name])


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


def episodes_of(lengths, read=None):
    """Episodes whose rows say by the state of which they are; ``read`` notes the indices of those that are read."""

    def episode(index, length):
        if read is not None:
            read.append(index)
        demonstrations = demonstrate(max(length, 1)).take(slice(length))
        demonstrations.observations["state"][:] = 100 * index + np.arange(length)[:, None]
        return demonstrations

    return [partial(episode, index, length) for index, length in enumerate(lengths)]


def rows_of(batches, count):
    """The rows of the first batches, by their numbers."""
    return np.concatenate([batch.observations["state"][:, 0] for batch in islice(batches, count)])


class TestGathered:
    """Demonstrations in memory, or a stream of them."""

    def test_what_fits_is_in_memory(self):
        source = gathered(episodes_of([3, 0, 2]), 5)
        assert source.observations["state"][:, 0].tolist() == [0, 1, 2, 200, 201]

    def test_what_does_not_is_a_stream_of_all_rows(self):
        """In no order, each as often as any other, and the same ones for the same seed."""
        source = gathered(episodes_of([4, 6, 5]), 8)
        assert isinstance(source, DemonstrationStream)
        rows = rows_of(source.batches(5, seed=0), 60)
        _, counts = np.unique(rows, return_counts=True)
        assert len(counts) == 15
        assert counts.sum() == 300
        assert counts.max() - counts.min() <= 2
        assert (np.diff(rows[:15]) != 1).any()
        np.testing.assert_array_equal(rows, rows_of(source.batches(5, seed=0), 60))
        assert (rows != rows_of(source.batches(5, seed=1), 60)).any()

    def test_a_stream_reads_episodes_as_they_are_needed(self):
        """A hundred of them, of which a minibatch needs few."""
        read = []
        stream = DemonstrationStream(episodes_of([4] * 100, read), buffer_rows=10)
        rows_of(stream.batches(2, seed=0), 1)
        assert len(read) == 3

    @pytest.mark.parametrize("buffer_rows", [2, 20], ids=["stream", "memory"])
    def test_both_know_the_range_of_the_actions(self, buffer_rows):
        """Of those that exist."""

        def episode(scale):
            rows = demonstrate(2)
            actions = np.full_like(rows.actions, scale)
            actions[:, -1] = 100.0
            return dataclasses.replace(rows, actions=actions, mask=np.float32([[1, 1, 0]] * 2))

        source = gathered(
            [partial(episode, -2.0), lambda: demonstrate(1).take(slice(0)), partial(episode, 3.0)], buffer_rows
        )
        low, high = source.action_range()
        assert (low.tolist(), high.tolist()) == ([-2.0] * 7, [3.0] * 7)

    def test_without_a_row_there_is_nothing_to_clone(self):
        with pytest.raises(InvalidArgumentError, match="none of 2"):
            gathered(episodes_of([0, 0]), 8)


@pytest.mark.parametrize(("share", "number"), [(0.0, 0), (0.01, 1), (0.25, 3)])
def test_whole_episodes_validate(share, number):
    """Those that train are the others, in their order."""
    episodes = episodes_of([2] * 10)
    training, validating = split(episodes, share, seed=0)
    assert len(validating) == number
    assert training == [each for each in episodes if each not in validating]


def test_somebody_has_to_be_left_to_train_on():
    with pytest.raises(InvalidArgumentError, match=r"actually: 1, of which 1 would.*--bc\.validation-share 0"):
        split(episodes_of([2]), 0.1, seed=0)


class TestValidation:
    """Demonstrations that are not trained on."""

    def test_the_best_weights_stay(self):
        """Of all that were measured, though the last ones fit other demonstrations better."""
        held_out = dataclasses.replace(demonstrate(8), actions=np.zeros((8, 3, 7), np.float32))
        measured, policy = [], fresh_policy()
        clone(
            policy,
            demonstrate(),
            steps=60,
            lr=3e-3,
            batch_size=16,
            seed=0,
            validation=Validation(held_out, interval=5, patience=100),
            on_validation=measured.append,
        )
        losses = [each.loss for each in measured]
        assert [each.step for each in measured] == list(range(5, 61, 5))
        assert losses[-1] > min(losses) == pytest.approx(validation_loss(policy, held_out))
        so_far = [min(losses[:number], default=np.inf) for number in range(len(losses))]
        assert [each.is_best for each in measured] == [*map(np.less, losses, so_far)]
        assert not policy.training

    def test_it_ends_a_training_that_does_not_improve(self):
        """After as many measurements without a better one as there is patience."""
        steps = []
        clone(
            fresh_policy(),
            demonstrate(),
            steps=60,
            lr=1e-30,
            batch_size=4,
            seed=0,
            validation=Validation(demonstrate(8), interval=5, patience=3),
            on_step=lambda step, loss: steps.append(step),
        )
        assert steps[-1] == 20

    def test_it_changes_nothing_of_the_training(self):
        """Neither what is drawn nor dropped."""
        plain, measured = fresh_policy(), fresh_policy()
        cloned(demonstrate(), plain, steps=4)
        validation = Validation(demonstrate(8), interval=4, patience=9)
        clone(measured, demonstrate(), steps=4, lr=3e-3, batch_size=16, seed=0, validation=validation)
        assert all(map(torch.equal, plain.parameters(), measured.parameters()))


class TestShifted:
    """Images moved by a few pixels."""

    def test_every_image_moves_on_its_own_way(self):
        """Each is the original seen through a moved window, whose border is repeated."""
        observations = observe(40)
        moved = shifted(observations, 2, torch.Generator().manual_seed(0))
        padded = torch.nn.functional.pad(observations["image"].permute(0, 3, 1, 2).float(), [2] * 4, "replicate")
        windows = {
            (row, column): padded[:, :, row : row + 16, column : column + 16].permute(0, 2, 3, 1)
            for row in range(5)
            for column in range(5)
        }
        found = [
            [place for place, window in windows.items() if torch.equal(window[index].byte(), moved["image"][index])]
            for index in range(40)
        ]
        assert all(len(places) == 1 for places in found)
        assert len({places[0] for places in found}) > 12

    def test_nothing_else_moves(self):
        observations = observe(4)
        moved = shifted(observations, 2, torch.Generator().manual_seed(0))
        assert torch.equal(moved["state"], observations["state"])
        assert torch.equal(moved["instruction_tokens"], observations["instruction_tokens"])
