"""The RLModule that hosts the policies."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModule

from rllib_configs.algorithm.rl_module import VLAModule
from rllib_configs.algorithm.sampled_group import ACTION_TOKENS, NOISE, REF_LOGP, TOKEN_ENTROPY, TOKEN_LOGP
from tests.policies.observations import CONFIG, GAUSSIAN, fresh_policy, observe, outputs_of
from vla_envs.errors import InvalidArgumentError, MissingAssetsError, NonFiniteError
from vla_envs.spec import TEMPERATURE

TEMPERATURES = torch.linspace(0.5, 1.2, 8)[:, None]


def make_module(seed=0, reference=False, **policy):
    fields = {"chunk_size": 3, "bins": 16, "token_length": 5, "hidden": 32}
    return VLAModule(
        observation_space=None,
        action_space=None,
        model_config={"policy": policy or {"kind": "tiny", "config": fields}, "reference": reference, "seed": seed},
    )


def explore(module, observations, **inputs):
    return module.forward_exploration({Columns.OBS: observations, **at_temperature(observations, inputs)})


def train(module, observations, rollout, **inputs):
    given = {ACTION_TOKENS: rollout[ACTION_TOKENS], **at_temperature(observations, inputs)}
    return module.forward_train({Columns.OBS: observations, **given})


def at_temperature(observations, inputs):
    """Beside the observations, at temperature 1 unless the inputs say otherwise."""
    return {TEMPERATURE: torch.ones(len(observations["state"]), 1), **inputs}


def test_the_policy_is_loaded_from_a_checkpoint(tmp_path):
    """As the keywords of `load_policy` in the model config say."""
    fresh_policy(seed=5).save_pretrained(tmp_path)
    module = make_module(kind="tiny", path=str(tmp_path))
    assert torch.equal(module.policy.act(observe(4)), fresh_policy(seed=5).act(observe(4)))


def test_exploration_returns_actions_and_what_an_update_needs():
    """Decoded actions, tokens and their log-probabilities, and no logits."""
    module = make_module()
    outputs = explore(module, observe(8), temperature=TEMPERATURES)
    assert set(outputs) == {Columns.ACTIONS, Columns.ACTION_LOGP, ACTION_TOKENS, TOKEN_LOGP}
    assert torch.equal(outputs[Columns.ACTIONS], module.policy.decode(outputs[ACTION_TOKENS]))
    assert torch.equal(outputs[Columns.ACTION_LOGP], outputs[TOKEN_LOGP].sum(-1))


def test_noise_determines_the_tokens_of_a_row():
    """Whoever else is in the batch; without noise the next draw is another one."""
    module, observations = make_module(), observe(8)
    noise = torch.rand(8, module.policy.slots, generator=torch.Generator().manual_seed(0))
    tokens = explore(module, observations, **{NOISE: noise})[ACTION_TOKENS]
    alone = {key: each[5:6] for key, each in observations.items()}
    assert torch.equal(explore(module, alone, **{NOISE: noise[5:6]})[ACTION_TOKENS], tokens[5:6])
    assert not torch.equal(explore(module, observations)[ACTION_TOKENS], tokens)


def test_fresh_weights_depend_on_the_seed_alone():
    """So that every process builds the same, whatever it has drawn before, and draws on as if nothing was built."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, other = make_module().get_state(), make_module(seed=1).get_state()
    assert torch.rand(1) == expected
    second = make_module().get_state()
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_dropout_stays_off_in_training():
    """RLlib switches it on for updates, and the ratio would not be one."""
    module = make_module()
    train(module, observe(2), {ACTION_TOKENS: torch.zeros(2, module.policy.slots, dtype=torch.int64)})
    assert not any(each.training for each in module.modules())


def test_the_reference_is_asked_at_the_temperature_that_sampled():
    """Before any update it is the policy itself."""
    module = make_module(reference=True)
    outputs = explore(module, observe(8), temperature=TEMPERATURES)
    assert torch.equal(outputs[REF_LOGP], outputs[TOKEN_LOGP])


def test_the_reference_stays_as_the_policy_was_built():
    """Whatever state the policy gets."""
    module = make_module(reference=True)
    module.set_state(make_module(seed=1).get_state())
    outputs = explore(module, observe(8))
    assert (outputs[REF_LOGP] - outputs[TOKEN_LOGP]).abs().max() > 1e-3
    built = make_module().policy.evaluate_actions(observe(8), outputs[ACTION_TOKENS])[1]
    assert torch.equal(outputs[REF_LOGP], built)


def test_the_reference_neither_trains_nor_travels():
    """It has no part in the state, which another module takes with or without a reference of its own."""
    module = make_module(reference=True)
    assert not any(each.requires_grad for each in module.reference.parameters())
    state = module.get_state()
    assert state.keys() == make_module().get_state().keys()
    explored, alone = make_module(seed=1, reference=True), make_module(seed=1)
    for other in (explored, alone):
        other.set_state(state)
        assert torch.equal(other.policy.act(observe(4)), module.policy.act(observe(4)))


def test_inference_is_greedy():
    """Whatever the temperature."""
    module = make_module()
    outputs = module.forward_inference({Columns.OBS: observe(8), TEMPERATURE: TEMPERATURES})
    assert torch.equal(outputs[Columns.ACTIONS], module.policy.act(observe(8)))


def test_the_ratio_of_a_fresh_update_is_one():
    """Training asks about the tokens at the temperature that sampled them; without it the ratio is another."""
    module, observations = make_module(), observe(8)
    rollout = explore(module, observations, temperature=TEMPERATURES)
    update = train(module, observations, rollout, temperature=TEMPERATURES)
    assert (update[TOKEN_LOGP] - rollout[TOKEN_LOGP]).abs().max() < 1e-5
    assert (train(module, observations, rollout)[TOKEN_LOGP] - rollout[TOKEN_LOGP]).abs().max() > 1e-2


def test_a_temperature_among_the_observations_changes_nothing():
    """Group environments show one to other codebases; here it is an input of its own."""
    module, noise = make_module(), torch.rand(8, 21, generator=torch.Generator().manual_seed(0))
    expected, outputs = (
        explore(module, {**observe(8), **more}, noise=noise) for more in ({}, {TEMPERATURE: 9.0 * TEMPERATURES})
    )
    assert all(torch.equal(outputs[key], expected[key]) for key in expected)


def test_continuous_actions_count_as_they_were_before_they_were_clipped():
    """So the ratio of a fresh update is one, and the reference agrees."""
    module = make_module(reference=True, kind="tiny", config=dataclasses.asdict(GAUSSIAN))
    observations, temperature = observe(8), torch.full((8, 1), 4.0)
    rollout = explore(module, observations, temperature=temperature)
    assert rollout[ACTION_TOKENS].abs().max() > 1.0
    assert rollout[Columns.ACTIONS].abs().max() <= 1.0
    update = train(module, observations, rollout, temperature=temperature)
    assert (update[TOKEN_LOGP] - rollout[TOKEN_LOGP]).abs().max() < 1e-5
    assert torch.equal(rollout[REF_LOGP], rollout[TOKEN_LOGP])


def test_training_gives_gradients_and_rollouts_do_not():
    """Log-probability, entropy and value are differentiable where an update needs them."""
    module, observations = make_module(), observe(8)
    rollout = explore(module, observations)
    update = train(module, observations, rollout)
    assert all(update[key].requires_grad for key in (TOKEN_LOGP, TOKEN_ENTROPY, Columns.VF_PREDS))
    assert not any(each.requires_grad for each in rollout.values())


def test_values_are_those_of_the_critic():
    """For generalized advantage estimation."""
    module = make_module()
    assert torch.equal(module.compute_values({Columns.OBS: observe(4)}), module.policy.get_value(observe(4)))


def test_the_state_carries_all_that_makes_a_policy():
    """One module's state makes another of the same configuration outputs_of alike."""
    first, second = make_module(seed=0), make_module(seed=1)
    assert not torch.equal(*(outputs_of(each.policy, observe(4))[0] for each in (first, second)))
    second.set_state(first.get_state())
    assert torch.equal(*(outputs_of(each.policy, observe(4))[0] for each in (first, second)))


def test_the_state_is_a_copy():
    """A later update does not change what was sent."""
    module = make_module()
    state = module.get_state()
    name, sent = next(iter(state.items()))
    before = sent.copy()
    with torch.no_grad():
        dict(module.named_parameters())[name].add_(1.0)
    np.testing.assert_array_equal(sent, before)


def test_frozen_parameters_do_not_travel():
    """Only what trains is exchanged, and what is not named stays as it is."""
    module = make_module()
    for parameter in module.policy.language.parameters():
        parameter.requires_grad_(False)
    state = module.get_state()
    assert state
    assert not [name for name in state if ".language." in name]
    other = make_module(seed=1)
    before = [parameter.clone() for parameter in other.policy.language.parameters()]
    other.set_state(state)
    assert all(torch.equal(*pair) for pair in zip(before, other.policy.language.parameters(), strict=True))


def test_half_precision_weights_survive_the_way():
    """NumPy has no bfloat16."""
    module = make_module().bfloat16()
    state = module.get_state()
    assert {each.dtype for each in state.values()} == {np.dtype(np.float32)}
    other = make_module(seed=1).bfloat16()
    other.set_state(state)
    assert all(torch.equal(*pair) for pair in zip(module.parameters(), other.parameters(), strict=True))


def saved_and_alone(folder, **changes):
    """A module that has left the policy it began from, and its checkpoint, without that policy's folder."""
    fresh_policy(seed=5).save_pretrained(folder / "first")
    module = make_module(kind="tiny", path=str(folder / "first"), **changes)
    module.set_state(make_module(seed=1).get_state())
    for parameter in module.policy.language.parameters():
        parameter.requires_grad_(False)
    module.save_to_path(folder / "checkpoint")
    shutil.rmtree(folder / "first")
    return module, folder / "checkpoint"


def test_a_checkpoint_needs_no_folder_of_the_first_policy(tmp_path):
    """It holds frozen weights too, and the reference, which stays the first policy."""
    module, checkpoint = saved_and_alone(tmp_path, reference=True)
    loaded = RLModule.from_checkpoint(checkpoint)
    assert torch.equal(*(outputs_of(each.policy, observe(4))[0] for each in (module, loaded)))
    noise = torch.rand(8, module.policy.slots, generator=torch.Generator().manual_seed(0))
    expected, outputs = (explore(each, observe(8), **{NOISE: noise}) for each in (module, loaded))
    assert all(torch.equal(outputs[key], expected[key]) for key in expected)
    assert (outputs[REF_LOGP] - outputs[TOKEN_LOGP]).abs().max() > 1e-3


def test_what_a_loaded_module_sends_makes_another_like_it(tmp_path):
    """A runner is built from the same checkpoint's settings, and knows neither frozen weights nor the reference."""
    _, checkpoint = saved_and_alone(tmp_path, reference=True)
    loaded = RLModule.from_checkpoint(checkpoint)
    runner = VLAModule(observation_space=None, action_space=None, model_config=loaded.model_config)
    runner.set_state(loaded.get_state(inference_only=True))
    assert all(torch.equal(*pair) for pair in zip(loaded.parameters(), runner.parameters(), strict=True))


def test_a_module_that_waits_for_its_weights_is_of_no_use(tmp_path):
    """It says nothing and saves nothing, and a state without a reference does not do for one that keeps it."""
    _, checkpoint = saved_and_alone(tmp_path)
    config = {**RLModule.from_checkpoint(checkpoint).model_config, "reference": True}
    waiting = VLAModule(observation_space=None, action_space=None, model_config=config)
    assert waiting.get_state() == {}
    with pytest.raises(NonFiniteError):
        waiting.policy.act(observe(4))
    with pytest.raises(NonFiniteError):
        waiting.policy.save_pretrained(tmp_path / "policy")
    with pytest.raises(InvalidArgumentError, match=r"of the reference .* 'reference\..*is missing"):
        RLModule.from_checkpoint(checkpoint, model_config=config)


def test_a_state_of_another_policy_is_named():
    """By the first weight that does not fit."""
    state = make_module().get_state()
    name = next(iter(state))
    with pytest.raises(InvalidArgumentError, match=rf"{name}.*actually: \(3,\)"):
        make_module().set_state({**state, name: np.zeros(3)})
    with pytest.raises(InvalidArgumentError, match=r"'policy\.other'.*None, actually: \(3,\)"):
        make_module().set_state({"policy.other": np.zeros(3)})


class TestOpenVLA:
    """Adapters are trained on weights that no checkpoint holds."""

    @pytest.fixture
    def first(self, random_checkpoint, tmp_path):
        return shutil.copytree(random_checkpoint, tmp_path / "first")

    @pytest.fixture
    def saved(self, first, tmp_path):
        """A module with trained adapters and a reference, and its checkpoint."""
        options = {"lora_rank": 2}
        module = make_module(kind="openvla_oft", path=str(first), config=options, reference=True)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        module.save_to_path(tmp_path / "checkpoint")
        return module, tmp_path / "checkpoint"

    def test_it_is_loaded_with_its_folder(self, saved):
        """With its adapters, and with a reference that has the first ones."""
        module, checkpoint = saved
        loaded = RLModule.from_checkpoint(checkpoint)
        assert all(torch.equal(*pair) for pair in zip(module.parameters(), loaded.parameters(), strict=True))

    def test_a_missing_folder_is_named_and_another_can_be(self, saved, first, tmp_path):
        module, checkpoint = saved
        first.rename(tmp_path / "moved")
        with pytest.raises(MissingAssetsError, match=rf"actually: {first}.*Name another directory with"):
            RLModule.from_checkpoint(checkpoint)
        policy = {**module.model_config["policy"], "path": str(tmp_path / "moved")}
        loaded = RLModule.from_checkpoint(checkpoint, model_config={**module.model_config, "policy": policy})
        assert all(torch.equal(*pair) for pair in zip(module.parameters(), loaded.parameters(), strict=True))

    def test_other_weights_in_the_folder_are_refused(self, saved, first):
        """Or the policy and the distance from its reference would be others, in silence."""
        _, checkpoint = saved
        from policies.openvla.random_checkpoint import write_random_checkpoint

        shutil.rmtree(first)
        write_random_checkpoint(first, seed=9)
        with pytest.raises(InvalidArgumentError, match=rf"Expect {first} to hold what the policy was trained from"):
            RLModule.from_checkpoint(checkpoint)


def test_an_unknown_kind_of_policy_fails_where_the_module_is_built():
    """And not at the first forward pass."""
    with pytest.raises(ValueError, match="actually: 'huge'"):
        make_module(kind="huge")


def test_the_small_policy_is_the_one_configured():
    """These tests share one configuration."""
    assert make_module().policy.config == CONFIG
