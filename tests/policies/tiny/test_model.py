"""The tiny policy: tokens, what its networks see, and its checkpoints."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from policies.tiny import TinyConfig, TinyPolicy
from tests.policies.observations import CONFIG, GAUSSIAN, fresh_policy, observe, outputs_of
from vla_envs.errors import InvalidArgumentError, NonFiniteError
from vla_envs.wrappers import ActionChunk, ActionHistory, TokenizeInstruction

HALF_A_BIN = 1.0 / (CONFIG.bins - 1)

actions = hnp.arrays(np.float32, (2, 3, 7), elements=st.floats(-1, 1, width=32)).map(torch.from_numpy)
beyond = hnp.arrays(np.float32, (2, 3, 7), elements=st.floats(-9, 9, width=32)).map(torch.from_numpy)
tokens = hnp.arrays(np.int64, (2, 21), elements=st.integers(0, CONFIG.bins - 1)).map(torch.from_numpy)

POLICY = fresh_policy()


@given(actions)
def test_actions_come_back_within_half_a_bin(each):
    """Encoded and decoded."""
    assert (POLICY.decode(POLICY.encode(each)) - each).abs().max() <= HALF_A_BIN + 1e-6


@given(tokens)
def test_tokens_come_back_exactly(each):
    """Decoded and encoded."""
    assert torch.equal(POLICY.encode(POLICY.decode(each)), each)


@given(beyond)
def test_actions_beyond_the_bounds_are_clipped(each):
    """As the environment clips them."""
    assert torch.equal(POLICY.encode(each), POLICY.encode(each.clamp(-1, 1)))


def test_extreme_bins_are_extreme_actions():
    """An even number of bins has no zero, but both ends."""
    ends = torch.tensor([[0] * 21, [CONFIG.bins - 1] * 21])
    assert POLICY.decode(ends).amin((1, 2)).tolist() == [-1.0, 1.0]


def test_slots_are_action_after_action():
    """The first 7 tokens are the first action."""
    each = torch.zeros(1, 21, dtype=torch.int64)
    each[:, 7:14] = CONFIG.bins - 1
    assert POLICY.decode(each)[0, :, 0].tolist() == [-1.0, 1.0, -1.0]


def test_images_that_no_patches_fill_are_refused():
    """Their border would not be seen."""
    with pytest.raises(InvalidArgumentError, match=r"multiples of the 4 .*image-size 16, actually: 18 x 18"):
        fresh_policy().act(observe(2) | {"image": torch.zeros(2, 18, 18, 3, dtype=torch.uint8)})


@pytest.mark.parametrize("key", ["image", "state", "instruction_tokens"])
def test_every_part_of_the_observation_counts(key):
    """Another image, state or instruction gives other logits and another value."""
    first, second = observe(4, seed=0), observe(4, seed=1)
    logits, value = outputs_of(POLICY, first)
    other_logits, other_value = outputs_of(POLICY, {**first, key: second[key]})
    assert (logits - other_logits).abs().amax((1, 2)).min() > 1e-5
    assert (value - other_value).abs().min() > 1e-7


def test_rows_do_not_see_each_other():
    """A batch equals its rows one by one."""
    observations = observe(5)
    logits, value = outputs_of(POLICY, observations)
    for row in range(5):
        alone_logits, alone_value = outputs_of(POLICY, {key: each[row : row + 1] for key, each in observations.items()})
        torch.testing.assert_close(alone_logits, logits[row : row + 1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone_value, value[row : row + 1], rtol=1e-4, atol=1e-5)


def test_a_policy_without_images_is_blind():
    """It needs no image in its observations."""
    blind = TinyPolicy(dataclasses.replace(CONFIG, image_keys=()))
    observations = observe(2)
    del observations["image"]
    assert blind.act(observations).shape == (2, 3, 7)


@pytest.mark.parametrize("head", ["tokens", "gaussian"])
@pytest.mark.parametrize(("state_dim", "action_dim"), [(1, 1), (4, 2), (14, 14)])
def test_a_blind_policy_fits_any_body(head, state_dim, action_dim):
    """Whatever the lengths of state and action, each parameter learns, from demonstrations or from rewards."""
    policy = TinyPolicy(
        dataclasses.replace(
            CONFIG, head=head, image_keys=(), state_scale=(1.0,) * state_dim, action_dim=action_dim, history=2
        )
    )
    observations = {
        "state": torch.rand(8, state_dim),
        "action_history": torch.rand(8, 2, action_dim),
        "instruction_tokens": observe(8)["instruction_tokens"],
    }
    actions = torch.rand(8, 3, action_dim)
    assert policy.act(observations).shape == actions.shape
    policy.cloning_loss(observations, actions, torch.ones(8, 3)).backward()
    untouched = [name for name, each in policy.named_parameters() if each.grad is None]
    assert untouched == [name for name, _ in policy.named_parameters() if name.startswith("value_head")]
    policy.zero_grad()
    value, token_logp, _ = policy.evaluate_actions(observations, policy.encode(actions))
    (token_logp.square().mean() + value.square().mean()).backward()
    assert [name for name, each in policy.named_parameters() if not each.grad.any()] == []


def test_past_actions_count():
    """Another history gives another distribution and another value."""
    policy = fresh_policy(config=dataclasses.replace(CONFIG, history=2))
    histories = torch.rand(2, 4, 2, 7, generator=torch.Generator().manual_seed(0))
    (first, value), (second, other) = (
        outputs_of(policy, {**observe(4), "action_history": history}) for history in histories
    )
    assert (first - second).abs().amax((1, 2)).min() > 1e-5
    assert (value - other).abs().min() > 1e-7


def test_past_actions_are_those_of_the_wrapper():
    """The policy acts on what a tabletop with `ActionHistory` shows."""
    env = ActionHistory(ActionChunk(TokenizeInstruction(gym.make("VLA-Tabletop-v0", task_id=0, image_size=16)), 8), 2)
    policy = TinyPolicy(TinyConfig(history=2))
    observation, _ = env.reset(seed=0)
    for _ in range(2):
        batch = {key: torch.as_tensor(each)[None] for key, each in observation.items()}
        chunk = policy.act(batch)[0].numpy()
        observation, *_ = env.step(chunk)
    np.testing.assert_array_equal(observation["action_history"], chunk[-2:])


@pytest.mark.parametrize("length", [1, 9])
def test_a_state_of_another_length_is_refused(length):
    """Instead of being repeated, where it is one number."""
    with pytest.raises(ValueError, match=rf"8 numbers of `state_scale`, actually: \({length},\)"):
        POLICY.act({**observe(2), "state": torch.rand(2, length)})


def test_both_cameras_are_looked_at():
    """Another wrist image gives other logits."""
    policy = fresh_policy(config=dataclasses.replace(CONFIG, image_keys=("image", "wrist_image")))
    observations = observe(2)
    logits = [outputs_of(policy, {**observations, "wrist_image": observe(2, seed=seed)["image"]})[0] for seed in (1, 2)]
    assert (logits[0] - logits[1]).abs().max() > 1e-5


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN], ids=lambda config: config.head)
def test_actions_beyond_the_end_of_a_demonstration_do_not_count(config):
    """Masked actions may be anything where a policy is cloned."""
    policy = fresh_policy(config=config)
    chunk = torch.rand(4, 3, 7) * 2 - 1
    other = chunk.clone()
    other[:, 2] = -other[:, 2]
    mask, every = torch.tensor([[1.0, 1.0, 0.0]] * 4), torch.ones(4, 3)
    assert torch.equal(*(policy.cloning_loss(observe(4), each, mask) for each in (chunk, other)))
    assert not torch.equal(*(policy.cloning_loss(observe(4), each, every) for each in (chunk, other)))


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN], ids=lambda config: config.head)
def test_every_parameter_learns(config):
    """A loss of log-probabilities and value reaches all of them."""
    policy = fresh_policy(config=config)
    value, token_logp, _ = policy.evaluate_actions(observe(8), policy.encode(torch.rand(8, 3, 7)))
    (token_logp.square().mean() + value.square().mean()).backward()
    assert [name for name, each in policy.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_continuous_actions_are_their_own_tokens():
    """And clipped only where the environment takes them."""
    policy = fresh_policy(config=GAUSSIAN)
    chunk = torch.linspace(-2.0, 2.0, 42).reshape(2, 3, 7)
    assert torch.equal(policy.encode(chunk), chunk.flatten(1))
    assert torch.equal(policy.decode(policy.encode(chunk)), chunk.clamp(-1.0, 1.0))


def test_no_action_answers_what_is_not_finite():
    """Among numbers that are none, the first would be the largest."""
    seen = observe(4)
    seen["state"][2, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="Look for NaN in weights and observations"):
        POLICY.act(seen)
