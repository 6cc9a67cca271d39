"""The policy of the recipe's sizes keeps the interface, and knows nothing of actions to begin with."""

import numpy as np
import pytest
import torch

from benchmarks.tracking.env import ENV_ID
from benchmarks.tracking.policy import BINS, CHUNK_SIZE, IMAGE_SIZE, TrackingPolicy
from rllib_configs.config import EnvironmentConfig
from rllib_configs.run.actors import greedy
from rllib_configs.run.evaluation import evaluate, held_out_prompts, success_rate


@pytest.fixture
def policy():
    torch.manual_seed(0)
    return TrackingPolicy()


@pytest.fixture
def observations():
    """Of three environments."""
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.randint(256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8, generator=generator),
        "state": torch.rand(3, 4, generator=generator),
        "instruction_tokens": torch.ones(3, 4, dtype=torch.int64),
    }


def test_a_decision_is_a_chunk_of_four_actions(policy, observations):
    assert policy.act(observations).shape == (3, 4, 2)


def test_bins_are_of_equal_width(policy):
    """64 in [-1, 1], each decoded as its center."""
    centers = policy.decode(torch.arange(BINS)[:, None].expand(-1, policy.slots))[:, 0, 0]
    assert centers.numpy() == pytest.approx(np.arange(-63 / 64, 1.0, 1 / 32))


def test_actions_are_encoded_as_the_bins_they_are_in(policy):
    tokens = torch.randint(BINS, (5, policy.slots))
    assert torch.equal(policy.encode(policy.decode(tokens)), tokens)
    edges = torch.tensor([-1.0, 1.0]).expand(1, CHUNK_SIZE, 2)
    assert policy.encode(edges).tolist() == [[0, BINS - 1] * CHUNK_SIZE]


def test_every_input_has_a_part_in_the_decision(policy, observations):
    before = policy.distribution_and_value(observations)[0].log_probs
    for key, value in observations.items():
        changed = {**observations, key: value.flip(0) if key != "instruction_tokens" else value + 1}
        assert not torch.equal(policy.distribution_and_value(changed)[0].log_probs, before)


def test_to_begin_with_all_bins_are_about_as_probable(policy, observations):
    """The entropy of a slot is within 1 % of that of 64 equal bins."""
    entropy = policy.get_action_and_value(observations).entropy
    assert entropy.detach().numpy() == pytest.approx(np.log(BINS), rel=0.01)


def test_untrained_it_tracks_little_greedily(policy):
    """Bins without an order have no most probable ones near 0."""
    environment = EnvironmentConfig(id=ENV_ID, image_size=IMAGE_SIZE, chunk_size=CHUNK_SIZE, token_length=4)
    prompts = held_out_prompts(environment, "eval", 100)
    assert success_rate(evaluate(greedy(policy.eval()), environment, prompts, 100)) < 0.2


def test_it_is_saved_and_loaded(policy, observations, tmp_path):
    policy.save_pretrained(tmp_path / "policy.pt")
    loaded = TrackingPolicy.from_pretrained(tmp_path / "policy.pt")
    assert torch.equal(loaded.act(observations), policy.act(observations))
