"""Language models as policies."""

import dataclasses
import json

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen2ForCausalLM

from policies.causal_lm import CausalLMOptions, CausalLMPolicy
from policies.causal_lm.config import SMALL
from policies.registry import load_policy
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError, NonFiniteError
from vla_envs.text.tokens import characters
from vla_envs.wrappers.instruction import encode_instruction

TINY = {**SMALL, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
QUESTIONS = ("17+25=", "1+1=", "How much is one half of 34?", "1+1=")


def fresh(seed=0, **changes):
    """A network whose answers are no certainty, and which ends some of them."""
    torch.manual_seed(seed)
    policy = CausalLMPolicy(CausalLMOptions(**{"chunk_size": 12, "network": TINY, **changes})).eval()
    with torch.no_grad():
        head = policy.network.get_output_embeddings().weight
        head.mul_(10.0)
        head[0] = 1.5 * head[:20].mean(0)
    return policy


def asked(*questions):
    return {"instruction_bytes": torch.stack([torch.from_numpy(encode_instruction(each)) for each in questions])}


@pytest.fixture(scope="module")
def policy():
    return fresh()


@pytest.fixture
def folder(tmp_path):
    """A pretrained model as the hub has them: tied weights, a name of its own for the token that ends."""
    torch.manual_seed(1)
    sizes = {**TINY, "tie_word_embeddings": True, "eos_token_id": 7, "vocab_size": 128}
    Qwen2ForCausalLM(Qwen2Config(**{key: each for key, each in sizes.items() if key != "model_type"})).save_pretrained(
        tmp_path / "model"
    )
    characters().tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_what_was_sampled_scores_the_same(policy, temperature):
    """Whether tokens come one by one from kept keys or all at once, so that a fresh update has a ratio of 1."""
    observations, temperatures = asked(*QUESTIONS), torch.full((4, 1), temperature)
    noise = torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
    sample = policy.get_action_and_value(observations, temperature=temperatures, noise=noise)
    scored = policy.get_action_and_value(observations, sample.tokens, temperature=temperatures)
    torch.testing.assert_close(scored.token_logp, sample.token_logp, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scored.entropy, sample.entropy, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scored.value, sample.value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(policy.get_value(observations), sample.value, atol=1e-5, rtol=1e-5)
    assert sample.token_logp.min() < -0.1


def test_nothing_is_said_behind_the_end(policy):
    """There log-probability and entropy are 0; before it they are not."""
    observations = asked(*QUESTIONS * 16)
    noise = torch.rand(64, 12, generator=torch.Generator().manual_seed(0))
    sample = policy.get_action_and_value(observations, noise=noise)
    lengths = [row.index(0) + 1 if 0 in row else 12 for row in sample.tokens.tolist()]
    assert 1 < min(lengths) < max(lengths) == 12
    for row, length in enumerate(lengths):
        assert (sample.token_logp[row, :length] < 0).all()
        assert (sample.entropy[row, :length] > 0).all()
        assert (sample.token_logp[row, length:] == 0).all()
        assert (sample.entropy[row, length:] == 0).all()


def test_what_follows_the_end_changes_nothing(policy):
    """Whatever is written there."""
    observations = asked(QUESTIONS[0])
    tokens = torch.tensor([[5, 6, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9]])
    other = torch.tensor([[5, 6, 0, 0, 3, 0, 1, 1, 1, 1, 1, 1]])
    first, second = (policy.get_action_and_value(observations, each) for each in (tokens, other))
    assert torch.equal(first.token_logp, second.token_logp)


def test_cloning_computes_no_more_than_the_longest_response(policy, monkeypatch):
    """And its loss is the mean over the demonstrated tokens of their negative log-probabilities."""
    tokens = torch.tensor([[5, 6, 0] + 9 * [0], [7, 8, 9, 4, 0] + 7 * [0]])
    mask = torch.tensor([[1.0] * 3 + [0.0] * 9, [1.0] * 5 + [0.0] * 7])
    scored = policy.get_action_and_value(asked(*QUESTIONS[:2]), tokens).token_logp
    lengths, run = [], policy._run
    monkeypatch.setattr(
        policy, "_run", lambda ids, *args, **kwargs: lengths.append(ids.shape[1]) or run(ids, *args, **kwargs)
    )
    loss = policy.cloning_loss(asked(*QUESTIONS[:2]), tokens[..., None].float(), mask)
    torch.testing.assert_close(loss, -(scored * mask).sum() / mask.sum())
    assert lengths == [len(QUESTIONS[0]) + 4]


def test_an_answer_depends_on_no_other_question(policy):
    """However long it is, and however much it is padded."""
    noise = torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
    together = policy.get_action_and_value(asked(*QUESTIONS), noise=noise)
    for row, question in enumerate(QUESTIONS):
        alone = policy.get_action_and_value(asked(question), noise=noise[row : row + 1])
        assert torch.equal(alone.tokens[0], together.tokens[row])
        torch.testing.assert_close(alone.token_logp[0], together.token_logp[row], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.value[0], together.value[row], atol=1e-5, rtol=1e-5)


def test_a_prompt_is_read_once_for_all_who_answer_it(policy, monkeypatch):
    """A group of 64 would otherwise pay for a long question 64 times."""
    rows, run = [], policy._run
    monkeypatch.setattr(
        policy, "_run", lambda ids, *args, **kwargs: rows.append(ids.shape[0]) or run(ids, *args, **kwargs)
    )
    policy.get_action_and_value(asked(*QUESTIONS))
    assert rows[:2] == [len(set(QUESTIONS)), len(QUESTIONS)]


def test_greedy_answers_are_those_of_transformers(policy):
    """Token by token, up to the end."""
    for question in QUESTIONS:
        ids = torch.tensor([policy.tokens.encode(question)])
        expected = policy.network.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=0, pad_token_id=0)
        expected = expected[0, ids.shape[1] :].tolist()
        said = policy.act(asked(question))[0, :, 0].long().tolist()
        assert said[: len(expected)] == expected
        assert len(expected) == 12 or expected[-1] == 0


def test_samples_have_the_probabilities_of_the_network(policy):
    """The first token, at a temperature."""
    ids = torch.tensor([policy.tokens.encode("1+1=")])
    expected = (policy.network(ids).logits[0, -1].float() / 0.7).softmax(-1)
    observations, temperature = asked(*["1+1="] * 4000), torch.full((4000, 1), 0.7)
    torch.manual_seed(0)
    first = policy.get_action_and_value(observations, temperature=temperature).tokens[:, 0]
    shares = torch.bincount(first, minlength=len(expected)) / 4000
    assert (shares - expected).abs().max() < 0.03


def test_a_prompt_is_put_around_the_question():
    """And is part of what the answer depends on."""
    plain, framed = fresh(), fresh(prompt="Q: {question} A: ")
    tokens = torch.tensor([[5, 6, 0] + [0] * 9])
    expected = plain.get_action_and_value(asked("Q: 1+1= A: "), tokens).token_logp
    assert torch.equal(framed.get_action_and_value(asked("1+1="), tokens).token_logp, expected)
    assert plain.rests_on() != framed.rests_on()


@pytest.mark.parametrize("prompt", ["", "Q: A:", "{question} {question}"])
def test_a_prompt_without_the_question_is_refused(prompt):
    """Or with two of them."""
    with pytest.raises(InvalidArgumentError, match=r"\{question\} once"):
        CausalLMOptions(prompt=prompt)


def test_a_saved_policy_answers_as_before(policy, tmp_path):
    """Bit for bit, with the tokenizer of the environment beside it."""
    policy.save_pretrained(tmp_path / "saved")
    again = load_policy("causal_lm", path=tmp_path / "saved").eval()
    noise = torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
    first, second = (each.get_action_and_value(asked(*QUESTIONS), noise=noise) for each in (policy, again))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert again.tokens.end == (0,)
    assert again.made_for == policy.made_for
    assert policy.description == {"kind": "causal_lm", "config": dataclasses.asdict(policy.config)}
    assert again.description is None


def test_a_pretrained_model_is_hosted(folder, tmp_path):
    """Its weights, its tokenizer and its end; tied weights stay tied, and are saved once."""
    policy = CausalLMPolicy(CausalLMOptions(chunk_size=6, pretrained=str(folder))).eval()
    assert policy.tokens.end == (7,)
    ids = torch.tensor([policy.tokens.encode("1+1=")])
    official = AutoModelForCausalLM.from_pretrained(folder)
    expected = official(ids).logits[0, -1, :101].log_softmax(-1)
    logp = policy.get_action_and_value(asked("1+1="), torch.full((1, 6), 9)).token_logp[0, 0]
    torch.testing.assert_close(logp, expected[9])
    policy.save_pretrained(tmp_path / "saved")
    again = load_policy("causal_lm", path=tmp_path / "saved").eval()
    assert again.network.get_output_embeddings().weight is again.network.get_input_embeddings().weight
    assert torch.equal(again.act(asked(*QUESTIONS)), policy.act(asked(*QUESTIONS)))
    assert again.tokens.end == (7,)


def test_tokens_that_stand_for_nothing_are_never_said(folder):
    """Networks have more rows than there are tokens."""
    policy = CausalLMPolicy(CausalLMOptions(chunk_size=6, pretrained=str(folder)))
    distribution, _ = policy.distribution_and_value(asked("1+1="), torch.zeros(1, 6, dtype=torch.int64))
    assert policy.network.config.vocab_size == 128
    assert distribution.logits.shape == (1, 6, 101)


def test_adapters_change_nothing_at_first_and_are_all_that_is_trained(folder, tmp_path):
    """The critic beside them; saved and loaded with the network."""
    plain, adapted = (
        CausalLMPolicy(CausalLMOptions(chunk_size=6, pretrained=str(folder), lora_rank=rank)).eval() for rank in (0, 4)
    )
    tokens = torch.tensor([[5, 6, 8, 9, 7, 7]])
    expected = plain.get_action_and_value(asked("1+1="), tokens).token_logp
    torch.testing.assert_close(adapted.get_action_and_value(asked("1+1="), tokens).token_logp, expected)
    trained = {name for name, each in adapted.named_parameters() if each.requires_grad}
    assert trained == {name for name, _ in adapted.named_parameters() if "lora_" in name or "value_head" in name}
    for name, each in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(each)
    adapted.save_pretrained(tmp_path / "saved")
    again = load_policy("causal_lm", path=tmp_path / "saved").eval()
    assert torch.equal(
        again.get_action_and_value(asked("1+1="), tokens).token_logp,
        adapted.get_action_and_value(asked("1+1="), tokens).token_logp,
    )
    assert not torch.allclose(adapted.get_action_and_value(asked("1+1="), tokens).token_logp, expected)


def test_activations_computed_twice_give_the_same_gradient():
    """``gradient_checkpointing`` saves memory alone."""
    gradients = []
    for checkpointing in (False, True):
        policy = fresh(gradient_checkpointing=checkpointing).train()
        policy.get_action_and_value(asked(*QUESTIONS), torch.full((4, 12), 9)).token_logp.sum().backward()
        gradients.append([each.grad for each in policy.network.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_what_is_no_language_model_is_refused(tmp_path):
    """A kind that transformers does not know, sizes that do not fit, a directory without weights or tokenizer."""
    with pytest.raises(InvalidArgumentError, match="network"):
        CausalLMPolicy(CausalLMOptions(network={"model_type": "vision-dream"}))
    (tmp_path / "config.json").write_text(json.dumps(LlamaConfig(**TINY).to_dict()))
    with pytest.raises(MissingAssetsError, match=r"tokenizer\.json"):
        CausalLMPolicy(CausalLMOptions(pretrained=str(tmp_path)))


def test_a_damaged_tokenizer_is_refused(folder):
    """By its name."""
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DamagedAssetsError, match=r"tokenizer\.json"):
        CausalLMPolicy(CausalLMOptions(pretrained=str(folder)))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    """Nothing is written."""
    policy = fresh()
    with torch.no_grad():
        next(policy.network.parameters())[0] = torch.nan
    with pytest.raises(NonFiniteError):
        policy.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
