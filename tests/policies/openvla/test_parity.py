"""Every recorded number of the original code: OpenVLA, OpenVLA-OFT, SimpleVLA-RL and RLinf."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from policies.openvla import AutoregressiveOpenVLA, ParallelOpenVLA, RegressionOpenVLA
from policies.openvla.actions import Bounds
from policies.openvla.inputs import BicubicResize, pixel_values
from tests.policies.openvla.conftest import VISION_HEADS
from vla_envs.wrappers.instruction import encode_instruction

INSTRUCTIONS = (
    "open the middle drawer of the cabinet",
    "pick up the black bowl between the plate and the ramekin and place it on the plate",
    "turn on the stove and put the moka pot on it",
    "put both the alphabet soup and the tomato sauce in the basket",
)
EACH = pytest.mark.parametrize("i", range(4))
TEMPERATURES = pytest.mark.parametrize("temperature", ["0.6", "1.0", "1.6"])
HOSTED = {"unnorm_key": "libero_spatial", "vision_heads": VISION_HEADS, "image_transform": "processor"}
FIRST_ID = 31744


@pytest.fixture(scope="module")
def openvla(openvla_parity):
    """OpenVLA, restricted to the action ids."""
    return AutoregressiveOpenVLA.from_pretrained(openvla_parity / "openvla" / "ckpt", **HOSTED)


@pytest.fixture(scope="module")
def full_vocabulary(openvla_parity):
    """OpenVLA, sampling among all ids."""
    return AutoregressiveOpenVLA.from_pretrained(openvla_parity / "openvla" / "ckpt", full_vocabulary=True, **HOSTED)


@pytest.fixture(scope="module")
def oft(openvla_parity):
    """OpenVLA-OFT with discrete tokens."""
    return ParallelOpenVLA.from_pretrained(openvla_parity / "openvla_oft" / "ckpt", **HOSTED)


@pytest.fixture(scope="module")
def l1(l1_checkpoint):
    """OpenVLA-OFT with its regression head, two images and proprioception."""
    return RegressionOpenVLA.from_pretrained(l1_checkpoint, image_keys=("image", "wrist_image"), **HOSTED)


@pytest.fixture(scope="module")
def images(recorded):
    """The recorded images at the size of the network, uint8 (4, 224, 224, 3)."""
    answers = recorded("openvla/expected")
    return torch.cat([BicubicResize()(torch.tensor(answers[f"{i}.image"])[None]) for i in range(4)])


def inputs_of(policy, images, rows):
    """What the network sees of some of the recorded inputs."""
    return policy.prepare([images[rows]], [INSTRUCTIONS[i] for i in rows])


def observations_of(images, rows):
    """The same as an environment observes it."""
    encoded = np.stack([encode_instruction(INSTRUCTIONS[i]) for i in rows])
    return {
        "image": images[rows],
        "instruction_bytes": torch.from_numpy(encoded),
    }


def column(temperature, rows=1):
    """The temperature of each row, (rows, 1)."""
    return torch.full((rows, 1), float(temperature))


def assert_close(actual, expected, tolerance):
    """Element by element."""
    torch.testing.assert_close(
        actual.detach().double(), torch.as_tensor(np.asarray(expected)).double(), rtol=0.0, atol=tolerance
    )


@EACH
def test_pixel_values_are_equal(recorded, openvla, i):
    """From images of 224x224, 256x256 and 480x640 pixels."""
    answers = recorded("openvla/expected")
    resized = BicubicResize()(torch.tensor(answers[f"{i}.image"])[None])
    pixels = pixel_values(resized, openvla.means, openvla.stds)
    assert torch.equal(pixels, torch.tensor(answers[f"{i}.pixel_values"]))


@EACH
def test_prompts_have_the_same_ids(recorded, openvla, i):
    """The space in front of the action included."""
    assert openvla.prompter.ids(INSTRUCTIONS[i]) == tuple(recorded("openvla/expected")[f"{i}.input_ids_29871"][0])


@EACH
@torch.no_grad()
def test_features_and_projected_patches(recorded, openvla, images, i):
    """Of both vision transformers."""
    answers = recorded("openvla/expected")
    features = openvla.network.vision_backbone(inputs_of(openvla, images, [i]).pixel_values[:, 0])
    dino, siglip = features.split([32, 48], dim=2)
    assert_close(dino, answers[f"{i}.feat_dino"], 2e-5)
    assert_close(siglip, answers[f"{i}.feat_siglip"], 2e-5)
    # Numbers of up to 10, of which some processors sum the terms in another order: 2.3e-5 off at most was seen.
    assert_close(openvla.network.projector(features), answers[f"{i}.projected"], 4e-5)


@EACH
def test_greedy_decoding(recorded, openvla, images, i):
    """Equal tokens, and equal actions of both data sets."""
    answers = recorded("openvla/expected")
    ids = openvla.generate(inputs_of(openvla, images, [i]))
    assert ids[0].tolist() == answers[f"{i}.greedy_tokens"].tolist()
    for key, name in ((None, "action"), ("bridge_orig", "action_bridge")):
        actions = openvla.unnormalize(ids, key)[0, 0]
        np.testing.assert_array_equal(actions.numpy(), answers[f"{i}.{name}"])


@EACH
@torch.no_grad()
def test_logits_of_every_decoding_step(recorded, openvla, images, i):
    """With the cache: the last 384 and the first 64 ids, and the sum over all."""
    answers = recorded("openvla/expected")
    decoding = openvla.network.decode(*openvla._embed(inputs_of(openvla, images, [i])), steps=6)
    for step, token in enumerate(answers[f"{i}.greedy_tokens"]):
        logits = openvla.network.logits(decoding.hidden[0], 0, 32063)
        assert_close(logits[31680:], answers[f"{i}.step_logits_tail384"][step], 2e-5)
        assert_close(logits[:64], answers[f"{i}.step_logits_head64"][step], 2e-5)
        assert_close(logits.logsumexp(-1), answers[f"{i}.step_logits_lse"][step], 2e-5)
        if step < 6:
            decoding.append(torch.tensor([token]))


@EACH
@torch.no_grad()
def test_hidden_states_of_given_tokens(recorded, openvla, images, i):
    """At once, without the cache."""
    answers = recorded("openvla/expected")
    given = torch.tensor(answers[f"{i}.given_tokens"])[None]
    hidden = openvla._hidden(inputs_of(openvla, images, [i]), given)
    assert_close(hidden[0], answers[f"{i}.tf_hidden"], 2e-5)
    assert_close(hidden[0, 0], answers[f"{i}.hidden_prompt_last"], 2e-5)
    assert_close(openvla.network.logits(hidden[0], 31680, 32063), answers[f"{i}.tf_logits_tail384"], 2e-5)


@EACH
@TEMPERATURES
@torch.no_grad()
def test_log_probs_and_entropies(recorded, openvla, full_vocabulary, images, i, temperature):
    """Of the action ids and of the whole vocabulary."""
    answers = recorded("openvla/expected")
    for policy, name in ((openvla, "256"), (full_vocabulary, "fullvocab")):
        given = torch.tensor(answers[f"{i}.given_tokens"])[None]
        _, logp, entropy = policy.evaluate_actions(observations_of(images, [i]), given, column(temperature))
        assert_close(logp[0], answers[f"{i}.logp_{name}_T{temperature}"], 2e-5)
        assert_close(entropy[0], answers[f"{i}.entropy_{name}_T{temperature}"], 2e-5)


def test_gradients(recorded, openvla, images):
    """Of two inputs, relative to the largest number of each tensor."""
    answers, grads = recorded("openvla/expected"), recorded("openvla/expected_grads")
    openvla.zero_grad()
    losses = []
    for i in (0, 1):
        given = torch.tensor(answers[f"{i}.given_tokens"])[None]
        losses.append(openvla.evaluate_actions(observations_of(images, [i]), given, column(1.6))[1].sum())
    loss = torch.stack(losses).sum()
    loss.backward()
    assert_close(loss, grads["loss"], 1e-4)
    parameters = {name: each.grad for name, each in openvla.network.named_parameters()}
    lm_head = parameters["language_model.lm_head.weight"][FIRST_ID : FIRST_ID + 256]
    assert_relative(lm_head, grads["lm_head_rows"])
    compared = [name for name in grads if name in parameters]
    assert len(compared) > 100
    for name in compared:
        assert_relative(parameters[name], grads[name])
    openvla.zero_grad()


def assert_relative(actual, expected):
    """Within 1e-5 of the largest number."""
    assert_close(actual, expected, 1e-5 * float(np.abs(expected).max()) + 1e-9)


@EACH
@torch.no_grad()
def test_parallel_decoding(recorded, oft, images, i):
    """Logits, tokens and actions of SimpleVLA-RL's OpenVLA-OFT."""
    answers = recorded("openvla_oft/expected_discrete")
    inputs = inputs_of(oft, images, [i])
    assert_close(oft.action_logits(inputs)[0], answers[f"{i}.logits_256"], 2e-5)
    everything = oft.network.logits(oft._hidden(inputs)[0], 0, 32063)
    assert everything.argmax(-1).tolist() == answers[f"{i}.argmax_fullvocab"].tolist()
    assert_close(everything.logsumexp(-1), answers[f"{i}.logits_lse_fullvocab"], 2e-5)
    ids = oft.generate(inputs)
    assert ids[0].tolist() == answers[f"{i}.greedy_tokens"].tolist()
    np.testing.assert_array_equal(oft.unnormalize(ids)[0].numpy(), answers[f"{i}.actions"])


@EACH
@TEMPERATURES
@torch.no_grad()
def test_log_probs_and_entropies_of_parallel_decoding(recorded, oft, images, i, temperature):
    """Of the 56 tokens of a chunk."""
    answers = recorded("openvla_oft/expected_discrete")
    given = torch.tensor(answers[f"{i}.given_tokens"])[None]
    _, logp, entropy = oft.evaluate_actions(observations_of(images, [i]), given, column(temperature))
    assert_close(logp[0], answers[f"{i}.logp_256_T{temperature}"], 2e-5)
    assert_close(entropy[0], answers[f"{i}.entropy_256_T{temperature}"], 2e-5)


@torch.no_grad()
def test_prompts_of_different_length_in_one_batch(recorded, oft, images):
    """Are decoded as each by itself, and as SimpleVLA-RL decodes its batch."""
    answers = recorded("openvla_oft/expected_discrete")
    inputs = inputs_of(oft, images, list(range(4)))
    logits, ids = oft.action_logits(inputs), oft.generate(inputs)
    for i in range(4):
        assert_close(logits[i], answers[f"{i}.logits_256"], 2e-5)
    assert ids.tolist() == answers["batch.greedy_tokens"].tolist()
    np.testing.assert_array_equal(oft.unnormalize(ids).numpy(), answers["batch.actions"])


@EACH
@torch.no_grad()
def test_causal_attention_is_something_else(recorded, oft, images, i):
    """What a mask of two dimensions would silently give."""
    contrast = recorded("openvla_oft/expected_causal_contrast")
    (name,) = [each for each in contrast if each.startswith(f"{i}.") and contrast[each].shape == (56, 256)]
    difference = oft.action_logits(inputs_of(oft, images, [i]))[0] - torch.tensor(contrast[name])
    assert difference.abs().max() > 0.1


@EACH
@torch.no_grad()
def test_the_regression_head(recorded, l1, images, i):
    """Two images and proprioception to continuous actions."""
    answers = recorded("openvla_oft/expected_l1")
    wrist = int(answers[f"{i}.wrist_index"])
    states = torch.tensor(answers[f"{i}.proprio_raw"])[None]
    assert_close(l1.proprio_bounds.normalize(states)[0], answers[f"{i}.proprio_norm"], 1e-12)
    inputs = l1.prepare([images[[i]], images[[wrist]]], [INSTRUCTIONS[i]], states)
    assert_close(l1._hidden(inputs)[0], answers[f"{i}.l1_hidden"], 5e-6)
    tokens = l1.generate(inputs)
    assert_close(tokens.unflatten(1, (8, 7))[0], answers[f"{i}.l1_normalized"], 5e-6)
    assert_close(l1.unnormalize(tokens)[0], answers[f"{i}.l1_actions"], 5e-6)


def test_token_ids_beyond_the_actions_decode_as_in_the_original(recorded, oft):
    """They count as the nearest action id."""
    answers = recorded("openvla_oft/expected_discrete")
    tokens = torch.tensor(answers["table.token_ids"])
    np.testing.assert_array_equal(oft.normalized(tokens).numpy(), answers["table.normalized"])


@pytest.mark.parametrize("variant", ["openvla", "openvla_oft"])
@torch.no_grad()
def test_the_actor_critic_of_rlinf(openvla_parity, recorded, images, variant):
    """Its batch of prompts of different length: tokens, log-probabilities, entropies and values."""
    answers = recorded(f"{variant}/expected_rlinf")
    policy_class = {"openvla": AutoregressiveOpenVLA, "openvla_oft": ParallelOpenVLA}[variant]
    policy = policy_class.from_pretrained(openvla_parity / variant / "ckpt", end_of_sequence=False, **HOSTED)
    head = torch.load(openvla_parity / variant / "rlinf_value_head.pt", weights_only=True)
    policy.value_head.load_state_dict({name.removeprefix("value_head."): each for name, each in head.items()})
    rows = list(range(4))
    ids = policy.generate(inputs_of(policy, images, rows))
    assert ids.tolist() == answers["greedy_tokens"].reshape(4, -1).tolist()
    given = torch.tensor(answers["given_tokens"]).flatten(1)
    for temperature in ("0.6", "1.0", "1.6"):
        at = column(temperature, rows=4)
        value, logp, entropy = policy.evaluate_actions(observations_of(images, rows), given, at)
        assert_close(logp, answers[f"logp_T{temperature}"], 2e-5)
        assert_close(entropy, answers[f"entropy_T{temperature}"], 2e-5)
        assert_close(value, answers["values"][:, 0], 2e-5)


def test_bounds_are_the_statistics_of_the_data_set(openvla_parity, recorded, l1):
    """Also where the name of the data set leaves the end of OpenVLA-OFT's out."""
    assert isinstance(l1.bounds_of("action", "libero_spatial"), Bounds)
    assert torch.equal(
        l1.bounds_of("action", "libero_spatial").low, l1.bounds_of("action", "libero_spatial_no_noops").low
    )
