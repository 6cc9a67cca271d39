"""The tiny policy: tokens, what its networks see, and its checkpoints."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

import policies.tiny.model
from policies.tiny import TinyConfig, TinyPolicy
from policies.tiny.model import spatial_softmax
from tests.policies.observations import CONFIG, GAUSSIAN, fresh_policy, observe, outputs_of
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError, NonFiniteError
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


def test_spatial_softmax_finds_a_bright_pixel():
    """Its key point is the pixel's place, x before y, in [-1, 1]."""
    maps = torch.zeros(1, 1, 5, 9)
    maps[0, 0, 1, 6] = 100.0
    torch.testing.assert_close(spatial_softmax(maps), torch.tensor([[0.5, -0.5]]))


@given(st.integers(0, 2**31 - 1))
def test_key_points_lie_on_the_image(seed):
    """Whatever the maps are."""
    maps = 50 * torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(seed))
    assert spatial_softmax(maps).abs().max() <= 1.0 + 1e-6


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN], ids=lambda config: config.head)
def test_a_checkpoint_gives_the_same_policy(tmp_path, config):
    """Configuration, distribution and value."""
    policy = fresh_policy(seed=7, config=config)
    policy.save_pretrained(tmp_path / "policy")
    loaded = TinyPolicy.from_pretrained(tmp_path / "policy")
    assert loaded.config == policy.config
    for saved, again in zip(outputs_of(policy, observe(4)), outputs_of(loaded, observe(4)), strict=True):
        assert torch.equal(saved, again)


def test_saving_replaces_the_old_checkpoint(tmp_path):
    """Nothing of the old one is left, nor anything beside it."""
    fresh_policy(seed=1).save_pretrained(tmp_path / "policy")
    (tmp_path / "policy" / "stray.txt").touch()
    fresh_policy(seed=2).save_pretrained(tmp_path / "policy")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["config.json", "model.safetensors", "policy"]
    loaded = TinyPolicy.from_pretrained(tmp_path / "policy")
    assert torch.equal(loaded.act(observe(4)), fresh_policy(seed=2).act(observe(4)))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    """Together with the directory."""
    POLICY.save_pretrained(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingAssetsError, match=rf"{tmp_path}.*{name} is missing"):
        TinyPolicy.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_truncated_file_is_named(tmp_path, name, share):
    """An interrupted copy of a checkpoint, for instance."""
    POLICY.save_pretrained(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises((InvalidArgumentError, DamagedAssetsError), match=str(tmp_path / name)):
        TinyPolicy.from_pretrained(tmp_path)


def test_weights_of_another_configuration_are_refused(tmp_path):
    """The error names the file and the parameter that does not fit."""
    POLICY.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, "hidden": 2 * CONFIG.hidden}))
    expected = rf"{tmp_path / 'model.safetensors'}.*'action_head.mean.weight' .*\(21, 64\), actually: \(21, 32\)"
    with pytest.raises(ValueError, match=expected):
        TinyPolicy.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": 10**12}, "`hidden` to be at most 65536, actually: 1000000000000"),
        ({"hidden": 2**16}, r"'action_head.* to have the shape \(.*65536.*\), actually: \(.*32"),
        (
            {"chunk_size": 2**16, "action_dim": 2**16},
            r"to have the shape \(4294967296,\), actually: \(21,\)",
        ),
        ({"action_dim": 2**16}, r"model\.safetensors` does not fit config\.json"),
        ({"chunk_size": True}, "`chunk_size` to be a valid integer, actually: True"),
        ({"image_keys": ["wrist.image"]}, "`image_keys` that cannot be: .*wrist.image"),
        ({"image_keys": "image"}, "`image_keys` to be a list, actually: 'image'"),
    ],
)
def test_sizes_are_compared_with_the_weights_before_they_are_made(tmp_path, changes, message):
    """A configuration could ask for all memory there is."""
    POLICY.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, **changes}))
    with pytest.raises(InvalidArgumentError, match=message):
        TinyPolicy.from_pretrained(tmp_path)


def test_weights_that_are_no_floating_point_numbers_are_refused(tmp_path):
    """As quantized ones, which would be taken for other weights."""
    POLICY.save_pretrained(tmp_path)
    state = {name: each.to(torch.int8) for name, each in POLICY.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(InvalidArgumentError, match=r"model\.safetensors` to be F64, .*, actually: I8 for"):
        TinyPolicy.from_pretrained(tmp_path)


def test_a_checkpoint_of_openvla_is_refused(tmp_path):
    """With how to host it."""
    POLICY.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(InvalidArgumentError, match=r"'tiny', actually: .*policy:openvla on the command line"):
        TinyPolicy.from_pretrained(tmp_path)


def test_a_configuration_of_another_version_is_refused(tmp_path):
    """The error names the file and the unknown field."""
    POLICY.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, "depth": 3}))
    with pytest.raises(ValueError, match=rf"(?s){tmp_path / 'config.json'}.*depth"):
        TinyPolicy.from_pretrained(tmp_path)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interrupted_save_leaves_the_old_checkpoint(tmp_path, monkeypatch, interruption):
    """Whole, and nothing beside it."""
    POLICY.save_pretrained(tmp_path / "policy")

    def interrupted(path, tensors):
        path.write_bytes(b"half of the weights")
        raise interruption

    monkeypatch.setattr(policies.tiny.model, "write_tensors", interrupted)
    with pytest.raises(interruption):
        fresh_policy(seed=9).save_pretrained(tmp_path / "policy")
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]
    loaded = TinyPolicy.from_pretrained(tmp_path / "policy")
    assert torch.equal(loaded.act(observe(4)), POLICY.act(observe(4)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path, monkeypatch, bad):
    """What was there stays; the error names the weight."""
    POLICY.save_pretrained(tmp_path / "policy")
    broken = fresh_policy(seed=9)
    broken.value_head[0].weight.data[0, 0] = bad
    with pytest.raises(NonFiniteError, match=r"1 of \d+ in 'value_head.0.weight' are not. Nothing is written"):
        broken.save_pretrained(tmp_path / "policy")
    assert torch.equal(TinyPolicy.from_pretrained(tmp_path / "policy").act(observe(4)), POLICY.act(observe(4)))
    save_file(broken.state_dict(), tmp_path / "policy" / "model.safetensors")
    with pytest.raises(NonFiniteError, match=rf"'value_head.0.weight' .*{tmp_path / 'policy' / 'model.safetensors'}"):
        TinyPolicy.from_pretrained(tmp_path / "policy")


def test_no_action_answers_what_is_not_finite():
    """Among numbers that are none, the first would be the largest."""
    seen = observe(4)
    seen["state"][2, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="Look for NaN in weights and observations"):
        POLICY.act(seen)
