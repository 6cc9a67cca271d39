"""What hosting a checkpoint adds to the original: sampling, training, saving."""

import copy
import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors import safe_open

pytest.importorskip("transformers")

from policies.openvla.checkpoint import Checkpoint
from policies.registry import load_policy
from tests.policies.openvla.observing import observe
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError, NonFiniteError

KINDS = ("openvla", "openvla_oft")
EVERY_KIND = pytest.mark.parametrize("kind", [*KINDS, "openvla_oft_l1"])


@pytest.fixture
def load(random_checkpoint, l1_checkpoint_of_random):
    """``load(kind, **options)``: a policy of the random checkpoint."""

    def make(kind, **options):
        path = l1_checkpoint_of_random if kind == "openvla_oft_l1" else random_checkpoint
        return load_policy(kind, path, options)

    return make


def disturb(policy, spread=0.05, seed=0):
    """Move everything that is trained, as updates do."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter += spread * torch.randn(parameter.shape, generator=generator)


def logp_of(policy, observations, tokens):
    with torch.no_grad():
        return policy.evaluate_actions(observations, tokens)[1]


@EVERY_KIND
def test_an_update_scores_what_was_sampled_alike(load, kind):
    """Log-probabilities, entropies and values, at the temperature of each row."""
    policy, observations = load(kind), observe(3)
    temperature = torch.tensor([[0.6], [1.0], [1.6]])
    disturb(policy)
    with torch.no_grad():
        sample = policy.get_action_and_value(observations, temperature=temperature)
        scored = policy.get_action_and_value(observations, sample.tokens, temperature=temperature)
    assert torch.equal(scored.tokens, sample.tokens)
    for name in ("token_logp", "entropy", "value"):
        torch.testing.assert_close(getattr(scored, name), getattr(sample, name), rtol=0, atol=1e-5)
    torch.testing.assert_close(policy.get_value(observations), sample.value, rtol=0, atol=1e-5)


@EVERY_KIND
def test_noise_alone_determines_what_is_sampled(load, kind):
    """Whoever else is in the batch."""
    policy, observations = load(kind), observe(3)
    noise = torch.rand(3, policy.slots, generator=torch.Generator().manual_seed(1))
    both = policy.get_action_and_value(observations, noise=noise).tokens
    alone = policy.get_action_and_value({key: each[1:2] for key, each in observations.items()}, noise=noise[1:2]).tokens
    torch.testing.assert_close(alone[0], both[1], rtol=0, atol=1e-5)
    assert not torch.equal(policy.get_action_and_value(observations, noise=noise.flip(0)).tokens, both)


@EVERY_KIND
def test_greedy_is_the_limit_of_low_temperatures(load, kind):
    """And what `act` does."""
    policy, observations = load(kind), observe(2)
    torch.manual_seed(0)
    cold = torch.full((2, 1), 1e-6)
    sampled = policy.decode(policy.get_action_and_value(observations, temperature=cold).tokens)
    assert sampled.shape == (2, policy.chunk_size, 7)
    torch.testing.assert_close(policy.act(observations), sampled, rtol=0, atol=1e-4)


@EVERY_KIND
def test_actions_become_the_nearest_tokens_and_back(load, kind):
    """Within half a bin; the gripper is open or closed."""
    policy = load(kind)
    actions = torch.rand(4, policy.chunk_size, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    actions[..., -1] = torch.where(actions[..., -1] > 0, 1.0, -1.0)
    decoded = policy.decode(policy.encode(actions))
    assert decoded.dtype == torch.float32
    assert (decoded - actions).abs().max() <= 1 / 255 + 1e-6
    assert torch.equal(decoded[..., -1], actions[..., -1])


def test_the_whole_vocabulary_can_be_sampled(load):
    """Its tokens are ids, and those that are no action decode as the nearest."""
    policy, observations = load("openvla", full_vocabulary=True), observe(2)
    torch.manual_seed(0)
    tokens = policy.get_action_and_value(observations, temperature=torch.full((2, 1), 100.0)).tokens
    assert tokens.min() < 31744
    assert policy.decode(tokens).abs().max() <= 1.0


@EVERY_KIND
def test_adapters_change_nothing_at_first_and_are_all_that_is_trained(load, kind):
    """Of the network; the heads of group RL are trained too."""
    plain, adapted, observations = load(kind), load(kind, lora_rank=4), observe(2)
    tokens = plain.get_action_and_value(observations, greedy=True).tokens
    torch.testing.assert_close(logp_of(adapted, observations, tokens), logp_of(plain, observations, tokens))
    trained = {name for name, each in adapted.named_parameters() if each.requires_grad}
    assert all("lora_" in name for name in trained if name.startswith("network."))
    assert {name.split(".")[0] for name in trained} >= {"network", "value_head"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_linear_layer_is_adapted(load, kind):
    """The patch embeddings and the head of the vocabulary among them, as the original's `all-linear` has it."""
    policy = load(kind, lora_rank=4)
    names = {name.rsplit(".lora_A", 1)[0] for name, _ in policy.network.named_parameters() if ".lora_A" in name}
    layers = (torch.nn.Linear, torch.nn.Conv2d)
    plain = load(kind)
    assert names == {name for name, each in plain.network.named_modules() if isinstance(each, layers)}


@EVERY_KIND
def test_every_trained_parameter_gets_a_gradient(load, kind):
    """From the log-probabilities and the value; standard deviations from both."""
    policy, observations = load(kind, lora_rank=4), observe(2)
    disturb(policy)
    tokens = policy.get_action_and_value(observations).tokens.detach()
    value, logp, entropy = policy.evaluate_actions(observations, tokens)
    (value.sum() + logp.sum() + entropy.sum()).backward()
    missing = [name for name, each in policy.named_parameters() if each.requires_grad and each.grad is None]
    assert missing == unused(kind)


def unused(kind):
    """Adapters of the vocabulary's head, which a regression head leaves out."""
    if kind != "openvla_oft_l1":
        return []
    return [f"network.language_model.lm_head.lora_{each}.default.weight" for each in "AB"]


@EVERY_KIND
@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_reference_stays_as_the_policy_was(load, kind, lora_rank):
    """Where there are adapters it shares the network, which costs nothing."""
    policy, observations = load(kind, lora_rank=lora_rank), observe(2)
    tokens = policy.get_action_and_value(observations).tokens.detach()
    reference, before = policy.frozen_copy(), logp_of(policy, observations, tokens)
    action, value = policy.act(observations), policy.get_value(observations).detach()
    disturb(policy)
    moved = logp_of(policy, observations, tokens)
    assert (moved - before).abs().max() > 1e-2
    assert torch.equal(logp_of(reference, observations, tokens), before)
    with torch.no_grad():
        assert torch.equal(reference.get_action_and_value(observations, tokens).token_logp, before)
        assert torch.equal(reference.get_value(observations), value)
    assert torch.equal(reference.act(observations), action)
    assert torch.equal(logp_of(policy, observations, tokens), moved)
    assert (reference.network is policy.network) == bool(lora_rank)
    assert all(each.requires_grad for name, each in policy.named_parameters() if "lora_" in name)


@EVERY_KIND
def test_recomputed_activations_give_the_same_gradients(load, kind):
    """And sampling goes on with its cache."""
    observations, gradients = observe(2), []
    for recompute in (False, True):
        torch.manual_seed(0)
        policy = load(kind, lora_rank=4, gradient_checkpointing=recompute)
        disturb(policy)
        torch.manual_seed(0)
        tokens = policy.get_action_and_value(observations).tokens.detach()
        policy.evaluate_actions(observations, tokens)[1].sum().backward()
        gradients.append({name: each.grad for name, each in policy.named_parameters() if each.grad is not None})
    kept, recomputed = gradients
    assert set(kept) == set(recomputed)
    for name in kept:
        torch.testing.assert_close(recomputed[name], kept[name], rtol=1e-6, atol=1e-8)


@EVERY_KIND
@pytest.mark.parametrize("options", [{}, {"lora_rank": 4}, {"lora_rank": 4, "dtype": "bfloat16"}])
def test_what_is_saved_loads_again_bit_for_bit(load, kind, options, tmp_path):
    """A policy whose adapters were rounded into bfloat16 weights had lost most of its training, which nobody said."""
    policy, observations = load(kind, **options), observe(2)
    disturb(policy, spread=1e-4)
    tokens = policy.get_action_and_value(observations).tokens.detach()
    policy.save_pretrained(tmp_path / "policy")
    loaded = load_policy(kind, tmp_path / "policy")
    assert loaded.options == policy.options
    assert loaded.options.vision_heads == (2, 3)
    trained = {name for name, each in policy.named_parameters() if each.requires_grad}
    assert {name for name, each in loaded.named_parameters() if each.requires_grad} == trained
    for mine, theirs in zip(
        loaded.evaluate_actions(observations, tokens), policy.evaluate_actions(observations, tokens), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_merged_layers_keep_what_bfloat16_would_round_away(load, tmp_path):
    """They are float32, in a checkpoint without adapters."""
    policy = load("openvla_oft", lora_rank=4, dtype="bfloat16")
    disturb(policy, spread=1e-3)
    policy.save_merged(tmp_path / "merged")
    merged = load_policy("openvla_oft", tmp_path / "merged")
    assert (merged.options.lora_rank, merged.options.dtype) == (0, "float32")
    assert not (tmp_path / "merged" / "adapter_model.safetensors").exists()
    layer = policy.network.language_model.lm_head
    added = merged.network.language_model.lm_head.weight - layer.base_layer.weight.float()
    torch.testing.assert_close(added, layer.get_delta_weight("default"), rtol=0, atol=1e-7)


def test_adapters_alone_load_on_their_base(load, random_checkpoint, tmp_path):
    """As peft and OpenVLA-OFT leave them; without the base, and on one with adapters, they are refused."""
    policy, observations, alone = load("openvla_oft", lora_rank=4), observe(2), tmp_path / "alone"
    disturb(policy)
    policy.value_head.load_state_dict(load("openvla_oft").value_head.state_dict())
    policy.save_pretrained(tmp_path / "policy")
    for folder in (alone, alone / "lora_adapter"):
        folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(tmp_path / "policy" / name, alone / "lora_adapter")
    tokens = policy.get_action_and_value(observations).tokens.detach()
    loaded = load_policy("openvla_oft", alone, {"base": str(random_checkpoint)})
    assert torch.equal(logp_of(loaded, observations, tokens), logp_of(policy, observations, tokens))
    loaded.save_pretrained(tmp_path / "whole")
    whole = load_policy("openvla_oft", tmp_path / "whole")
    assert torch.equal(logp_of(whole, observations, tokens), logp_of(policy, observations, tokens))
    with pytest.raises(InvalidArgumentError, match=r"holds adapters alone.*--policy\.base"):
        load_policy("openvla_oft", alone)
    with pytest.raises(InvalidArgumentError, match="`base` without adapters"):
        load_policy("openvla_oft", alone, {"base": str(tmp_path / "policy")})
    with pytest.raises(InvalidArgumentError, match="Expect no `base`"):
        load_policy("openvla_oft", tmp_path / "whole", {"base": str(random_checkpoint)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"peft_type": "IA3"}, "'LORA' and nothing beside it, actually: IA3"),
        ({"r": 8}, "of the rank 8 that"),
        ({"r": 10**12}, "of the rank 1000000000000 that"),
        ({"r": None}, "r` to be an integer, actually: None"),
        ({"lora_alpha": "16"}, "lora_alpha` to be a number"),
    ],
)
def test_adapters_that_are_not_what_they_say_are_refused(load, tmp_path, changes, message):
    """Before anything of their size is made."""
    load("openvla_oft", lora_rank=4).save_pretrained(tmp_path / "policy")
    path = tmp_path / "policy" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises((InvalidArgumentError, DamagedAssetsError), match=message):
        load_policy("openvla_oft", tmp_path / "policy")


def test_adapters_of_another_rank_are_not_trained_instead(load, tmp_path):
    """Nor are weights used whose adapters went lost."""
    load("openvla_oft", lora_rank=4).save_pretrained(tmp_path / "policy")
    with pytest.raises(InvalidArgumentError, match=r"`lora_rank` to be that of the adapters .* 4, actually: 8"):
        load_policy("openvla_oft", tmp_path / "policy", {"lora_rank": 8})
    (tmp_path / "policy" / "adapter_model.safetensors").unlink()
    with pytest.raises(MissingAssetsError, match=r"saved with adapters"):
        load_policy("openvla_oft", tmp_path / "policy")


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        ("action_head", "host it as 'openvla_oft_l1'"),
        ("proprio_projector", "host it as 'openvla_oft_l1'"),
        ("vision_backbone", "no kind hosts"),
    ],
)
def test_a_part_of_a_checkpoint_is_not_left_out(random_checkpoint, tmp_path, part, remedy):
    """A regression head that is ignored leaves tokens that were never trained: noise that looks like a policy."""
    folder = shutil.copytree(random_checkpoint, tmp_path / "checkpoint")
    (folder / f"{part}--5_checkpoint.pt").write_bytes(b"")
    with pytest.raises(InvalidArgumentError, match=f"'{part}'.*{remedy}"):
        load_policy("openvla_oft", folder)


@pytest.mark.parametrize(
    "names",
    [
        ("action_head--100_checkpoint.pt", "action_head--200_checkpoint.pt"),
        ("action_head--100_checkpoint.pt", "action_head.pt"),
        ("action_head--100_checkpoint.pt", "proprio_projector--200_checkpoint.pt"),
    ],
)
def test_parts_of_several_training_steps_are_refused(random_checkpoint, tmp_path, names):
    """Nobody can tell which of them belong together."""
    folder = shutil.copytree(random_checkpoint, tmp_path / "checkpoint")
    for name in names:
        (folder / name).write_bytes(b"")
    with pytest.raises(InvalidArgumentError, match=f"{names[0]}.*, .*{names[1]}"):
        load_policy("openvla_oft_l1", folder)


def test_a_policy_is_hosted_as_the_kind_that_it_was_trained_as(load, tmp_path):
    """Its tensors fit the other one, which decodes them in another order."""
    load("openvla_oft").save_pretrained(tmp_path / "policy")
    with pytest.raises(InvalidArgumentError, match=r"'openvla_oft', actually: 'openvla'. Give --policy.kind openvla_o"):
        load_policy("openvla", tmp_path / "policy")


def test_a_policy_says_how_long_its_actions_are(load):
    """So that a run on another robot is refused before it starts."""
    assert load("openvla").made_for == {"chunk_size": 1, "history": 0, "image_keys": ("image",), "action_dim": 7}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llava"}, "`model_type` .* 'openvla', actually: 'llava'"),
        ({"num_hidden_layers": 10**12}, "`text_config.num_hidden_layers` to fit the tensors .* actually: 10{12}"),
        ({"intermediate_size": 7}, "`text_config.intermediate_size` to fit the tensors"),
        ({"vocab_size": 40000}, "`text_config.vocab_size` to fit the tensors"),
        ({"max_position_embeddings": 10**12}, "`text_config.max_position_embeddings` of at most"),
        ({"tie_word_embeddings": True}, "actually: {'tie_word_embeddings': True}"),
        ({"hidden_size": "32"}, "`text_config.hidden_size` to be a positive integer, actually: '32'"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(random_checkpoint, tmp_path, changes, message):
    """Before anything is built: a network of 10^12 layers would take all memory."""
    folder = shutil.copytree(random_checkpoint, tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text())
    config.update({key: value for key, value in changes.items() if key == "model_type"})
    config["text_config"].update({key: value for key, value in changes.items() if key != "model_type"})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidArgumentError, match=message):
        load_policy("openvla_oft", folder)


def test_what_is_saved_has_the_official_layout(load, random_checkpoint, tmp_path):
    """The same tensors of the same shapes, in safetensors with an index; those that no policy uses are the same."""
    policy = load("openvla", lora_rank=4)
    disturb(policy)
    policy.save_pretrained(tmp_path / "policy")
    source, saved = Checkpoint(random_checkpoint), Checkpoint(tmp_path / "policy")
    assert saved.shapes == source.shapes
    unused = [name for name in source.shapes if ".blocks.2." in name]
    assert unused
    for name, tensor in source.tensors({each: source.shapes[each] for each in unused}):
        ((_, same),) = saved.tensors({name: source.shapes[name]})
        assert torch.equal(same, tensor)
    index = json.loads((tmp_path / "policy" / "model.safetensors.index.json").read_text())
    (file,) = set(index["weight_map"].values())
    assert file == "model-00001-of-00001.safetensors"
    with safe_open(tmp_path / "policy" / file, "pt") as tensors:
        assert tensors.metadata()["format"] == "pt"


def test_the_code_of_the_original_is_exported_too(load, random_checkpoint, tmp_path):
    """As data: its configuration points to it."""
    source = shutil.copytree(random_checkpoint, tmp_path / "source")
    (source / "modeling_prismatic.py").write_text("raise SystemExit")
    load_policy("openvla", source).save_pretrained(tmp_path / "policy")
    assert (tmp_path / "policy" / "modeling_prismatic.py").read_text() == "raise SystemExit"


def test_what_a_policy_was_saved_with_goes_before_what_is_usual(load, tmp_path):
    """And what is asked for before both."""
    load("openvla_oft", image_keys=("wrist_image",)).save_pretrained(tmp_path / "policy")
    usual = {"image_keys": ("image",), "template": "openvla-v01", "unnorm_key": None}
    options = load_policy("openvla_oft", tmp_path / "policy", {"unless_saved": usual}).options
    assert (options.image_keys, options.template) == (("wrist_image",), "openvla")
    asked = load_policy("openvla_oft", tmp_path / "policy", {"unless_saved": usual, "image_keys": ("image",)})
    assert asked.options.image_keys == ("image",)


def test_a_chunk_of_robotwin_is_25_actions_of_two_arms(random_checkpoint, tmp_path):
    """Between the extremes of its data, grippers as they are."""
    folder = shutil.copytree(random_checkpoint, tmp_path / "robotwin")
    config = json.loads((folder / "config.json").read_text())
    bounds = {"min": [-2.0] * 14, "max": [2.0] * 14}
    config["norm_stats"] = {"random": {"action": bounds}}
    (folder / "config.json").write_text(json.dumps(config))
    policy = load_policy("openvla_oft", folder, {"platform": "robotwin"})
    actions = policy.act(observe(2))
    assert actions.shape == (2, 25, 14)
    assert 1.0 < actions.abs().max() <= 2.0
    torch.testing.assert_close(policy.decode(policy.encode(actions)), actions)


def test_half_precision_keeps_positions_and_what_is_trained_in_full(load):
    """Rounded rotations of positions, and Adam's small steps, would be lost."""
    policy = load("openvla", dtype="bfloat16", lora_rank=4)
    dtypes = {name: each.dtype for name, each in policy.named_parameters()}
    assert {each for name, each in dtypes.items() if "base_layer" in name} == {torch.bfloat16}
    assert {each for name, each in dtypes.items() if "lora_" in name or "value_head" in name} == {torch.float32}
    assert policy.network.language_model.model.rotary_emb.inv_freq.dtype == torch.float32
    sample = policy.get_action_and_value(observe(2))
    assert sample.token_logp.dtype == sample.entropy.dtype == sample.value.dtype == torch.float32


def test_copies_are_apart(load):
    """Training one leaves the other."""
    policy, observations = load("openvla_oft"), observe(1)
    twin = copy.deepcopy(policy)
    disturb(policy)
    assert not torch.equal(
        policy.action_logits(policy._inputs(observations)), twin.action_logits(twin._inputs(observations))
    )


def test_the_data_set_must_be_known(random_checkpoint):
    """Its statistics turn numbers into actions."""
    with pytest.raises(InvalidArgumentError, match=r"`unnorm_key` to be one of \['random'\], actually: 'bridge'"):
        load_policy("openvla", random_checkpoint, {"unnorm_key": "bridge"})


def test_a_platform_of_other_actions_is_refused(random_checkpoint):
    """Rather than read past the end of a chunk."""
    with pytest.raises(InvalidArgumentError, match="actions of the 14 numbers of the platform 'robotwin', actually: 7"):
        load_policy("openvla_oft", random_checkpoint, {"platform": "robotwin"})


def test_a_regression_head_must_be_there(random_checkpoint):
    """The error names its file."""
    with pytest.raises(MissingAssetsError, match=r"action_head--<step>_checkpoint\.pt"):
        load_policy("openvla_oft_l1", random_checkpoint)


@pytest.mark.parametrize("length", [5, 16])
def test_proprioception_of_another_robot_is_refused(load, length):
    """The checkpoint takes eight numbers, and a longer state of one arm means other things."""
    policy, observations = load("openvla_oft_l1"), observe(2)
    with pytest.raises(InvalidArgumentError, match=rf"`states` \(B, 8\), .* actually: \(2, {length}\)"):
        policy.act({**observations, "state": torch.zeros(2, length)})


def test_of_two_arms_the_drive_targets_are_the_proprioception(robotwin_checkpoint):
    """What the environment shows behind them was measured, and no part of the training."""
    policy, observations = load_policy("openvla_oft_l1", robotwin_checkpoint, {"platform": "robotwin"}), observe(2)
    state = torch.rand(2, 28, generator=torch.Generator().manual_seed(0)) - 0.5
    chunk = policy.act({**observations, "state": state})
    assert torch.equal(policy.act({**observations, "state": state[:, :14]}), chunk)
    state[:, 0] += 0.3
    assert not torch.equal(policy.act({**observations, "state": state}), chunk)
    with pytest.raises(InvalidArgumentError, match=r"`states` \(B, 14\), .* actually: \(2, 8\)"):
        policy.act(observations)


def test_three_cameras_are_looked_at(robotwin_checkpoint):
    """In the order of the options."""
    keys = ("image", "wrist_image", "wrist_image_2")
    policy = load_policy("openvla_oft_l1", robotwin_checkpoint, {"platform": "robotwin", "image_keys": keys})
    observations = {**observe(2), "state": torch.zeros(2, 28)}
    observations["wrist_image_2"] = observe(2, seed=1)["image"]
    chunk = policy.act(observations)
    assert not torch.equal(policy.act({**observations, "wrist_image_2": observations["image"]}), chunk)


def test_heads_of_another_policy_are_refused(load, tmp_path):
    """A regression policy has more of them."""
    load("openvla_oft").save_pretrained(tmp_path / "tokens")
    load("openvla_oft_l1").save_pretrained(tmp_path / "numbers")
    (tmp_path / "numbers" / "vla_heads.safetensors").write_bytes(
        (tmp_path / "tokens" / "vla_heads.safetensors").read_bytes()
    )
    with pytest.raises(DamagedAssetsError, match=r"vla_heads\.safetensors` to hold"):
        load_policy("openvla_oft_l1", tmp_path / "numbers")


@pytest.mark.parametrize("kept", [0, 40, -1])
def test_truncated_heads_are_named(load, tmp_path, kept):
    """With what to do."""
    load("openvla_oft").save_pretrained(tmp_path / "policy")
    path = tmp_path / "policy" / "vla_heads.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedAssetsError, match=r"vla_heads\.safetensors.*cut short"):
        load_policy("openvla_oft", tmp_path / "policy")


@EVERY_KIND
def test_predicting_is_the_originals_call(load, kind):
    """Images, instructions and proprioception to the actions of the data set."""
    policy, observations = load(kind), observe(2)
    images = [observations[key] for key in policy.options.image_keys]
    actions = policy.predict_action(
        images, ["open the drawer", "put the red cube on the blue plate"], observations["state"]
    )
    assert actions.shape == (2, policy.chunk_size, 7)
    assert torch.equal(actions[..., :6].float(), policy.act(observations)[..., :6])


def test_images_of_numpy_and_pillow_are_those_of_torch(load):
    """A robot's camera gives arrays, a demo images of Pillow, and either one at a time."""
    policy, images = load("openvla"), observe(1)["image"]
    expected = policy.predict_action([images], ["open the drawer"])
    array = images[0].numpy()
    for given in ([images.numpy()], [array], array, [[array]], Image.fromarray(array), [[Image.fromarray(array)]]):
        assert torch.equal(policy.predict_action(given, "open the drawer"), expected)
    with pytest.raises(InvalidArgumentError, match="uint8 tensors, arrays or images of Pillow, actually: float64"):
        policy.prepare([array / 255.0], ["open the drawer"])


@pytest.mark.parametrize(
    ("images", "instructions", "message"),
    [
        (1, 2, r"each of the `image_keys` \('image', 'wrist_image'\), 2, actually: 1"),
        (3, 2, "2, actually: 3"),
        (2, 1, r"actually: \[2, 2, 1\]"),
        (2, 3, r"actually: \[2, 2, 3\]"),
        (2, 0, r"actually: \[2, 2, 0\]"),
    ],
)
def test_counts_that_do_not_fit_are_refused(load, images, instructions, message):
    """A camera that is missing, or an instruction for somebody else's image, would go unnoticed."""
    policy, image = load("openvla_oft", image_keys=("image", "wrist_image")), observe(2)["image"]
    with pytest.raises(InvalidArgumentError, match=message):
        policy.prepare([image] * images, ["open the drawer"] * instructions)


@EVERY_KIND
def test_autocast_trains_a_master_copy(load, kind):
    """Products are rounded, gradients and what they change are not."""
    observations, policies = observe(2), [load(kind), load(kind, autocast=True)]
    tokens = policies[0].get_action_and_value(observations, greedy=True).tokens
    exact, rounded = (policy.evaluate_actions(observations, tokens)[1] for policy in policies)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.3
    rounded.sum().backward()
    gradients = [each.grad for each in policies[1].parameters() if each.grad is not None]
    assert {each.dtype for each in gradients} == {torch.float32}
    sampled = policies[1].get_action_and_value(observations)
    scored = policies[1].get_action_and_value(observations, sampled.tokens)
    torch.testing.assert_close(scored.token_logp, sampled.token_logp, rtol=0, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_number_is_no_action(load, kind):
    """NaN has a most probable token too."""
    policy = load(kind)
    policy.network.language_model.lm_head.weight.data[-300:] = torch.nan
    with pytest.raises(NonFiniteError, match="Look for NaN in weights"):
        policy.predict_action([Image.new("RGB", (64, 64))], "open the drawer")


def test_weights_that_are_not_finite_are_not_written(load, tmp_path):
    """Nor is anything else of the policy."""
    policy = load("openvla_oft")
    next(policy.value_head.parameters()).data.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match=r"in 'value_head.*' are not. Nothing is written"):
        policy.save_pretrained(tmp_path / "policy")
    assert list(tmp_path.iterdir()) == []
