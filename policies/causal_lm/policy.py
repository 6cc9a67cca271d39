"""A language model as a policy: an observation is a question, a chunk of actions is a response."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedConfig, PreTrainedModel

from policies.causal_lm.config import QUESTION, Architecture, CausalLMOptions
from policies.configured import ConfiguredPolicy
from policies.distributions import ActionDistribution, TokenDistribution
from policies.interface import ActionSample, check_given
from policies.layers import value_head
from policies.lora import add_adapters
from policies.pretrained import explained, pretrained_model
from vla_envs.text.tokens import characters, model_folder, read_tokens
from vla_envs.wrappers.instruction import INSTRUCTION_BYTES, decode_instructions


class CausalLMPolicy(ConfiguredPolicy):
    """A causal language model of transformers that answers questions.

    A slot is a token of the response. What follows the token that ends a response is no part of it: its log-probability
    and its entropy are 0. The critic's estimate is of the question, before the response.

    Args:
        config: a :class:`~policies.causal_lm.CausalLMOptions`, whose pretrained network is loaded, or what a saved
            policy is made of.

    Raises:
        InvalidArgumentError: the network is of no kind that transformers knows as a causal language model.
        MissingAssetsError, DamagedAssetsError: files are missing or damaged.
        NonFiniteError: a weight is NaN or infinite.

    Example:
        >>> import torch
        >>> from policies.causal_lm import CausalLMOptions, CausalLMPolicy
        >>> from vla_envs.wrappers.instruction import encode_instruction
        >>> policy = CausalLMPolicy(CausalLMOptions(chunk_size=8))
        >>> questions = torch.from_numpy(encode_instruction("17+25="))[None]
        >>> policy.act({"instruction_bytes": questions}).shape
        torch.Size([1, 8, 1])
    """

    kind = "causal_lm"
    config_class = Architecture
    config_file = "causal_lm.json"
    fits = ("chunk_size",)

    config: Architecture

    def __init__(self, config: Architecture) -> None:
        source = config.pretrained if isinstance(config, CausalLMOptions) else None
        folder = None if source is None else model_folder(source, ["*.safetensors*"])
        super().__init__(_architecture(config, folder))
        self.tokens = characters() if folder is None else read_tokens(folder)
        self.network = _network(self.config, folder)
        self.is_fresh = folder is None
        """Whether weights and tokenizer come from no file."""
        if self.config.gradient_checkpointing:
            self.network.gradient_checkpointing_enable({"use_reentrant": False})
        if self.config.lora_rank:
            add_adapters(self.network, self.config.lora_rank, _linear_layers(self.network))
        self.value_head = value_head(self.network.config.hidden_size)

    @property
    def description(self) -> dict[str, Any] | None:  # type: ignore[override]
        """Keywords that make it again; None where it has a tokenizer of its own, which stands in its directory."""
        return super().description if self.is_fresh else None

    @property
    def made_for(self) -> dict[str, Any]:
        """What the policy asks of its environment: responses of this length, in its tokens."""
        return {**super().made_for, "vocabulary": self.tokens.fingerprint}

    def rests_on(self) -> str:
        """Return what answers depend on beside the parameters."""
        return json.dumps([self.config.prompt, self.chunk_size, self.tokens.fingerprint])

    def distribution_and_value(
        self, observations: Mapping[str, Tensor], tokens: Tensor | None = None
    ) -> tuple[ActionDistribution, Tensor]:
        """Return the distribution of each token behind the ``tokens`` before it, and values."""
        tokens = check_given(tokens)
        ids, mask, place = self._prompts(observations)
        length = tokens.shape[1]
        outputs = self._run(
            torch.cat([ids[place], tokens[:, :-1]], dim=1),
            torch.cat([mask[place], torch.ones_like(tokens[:, :-1])], dim=1),
            logits_to_keep=length,
        )
        return TokenDistribution(outputs.logits[..., : self.tokens.size]), self._value(
            outputs.hidden_states[-1], length
        )

    def get_value(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return the critic's estimate, which depends on no token."""
        ids, mask, place = self._prompts(observations)
        outputs = self._run(ids, mask, logits_to_keep=1)
        return self._value(outputs.hidden_states[-1], 1)[place]

    def get_action_and_value(
        self,
        observations: Mapping[str, Tensor],
        tokens: Tensor | None = None,
        *,
        temperature: Tensor | None = None,
        greedy: bool = False,
        noise: Tensor | None = None,
    ) -> ActionSample:
        """Sample token by token, or score given ``tokens`` in one pass."""
        if tokens is None:
            return self._sample(observations, temperature, greedy, noise)
        said = self._is_said(tokens)
        longest = int(said.sum(1).max())  # nothing is computed for what no response of the batch has
        sample = super().get_action_and_value(observations, tokens[:, :longest], temperature=temperature)
        rest = (0, tokens.shape[1] - longest)
        logp, entropy = (
            nn.functional.pad(each.where(said[:, :longest], 0.0), rest) for each in (sample.token_logp, sample.entropy)
        )
        return ActionSample(tokens, logp, entropy, sample.value)

    def cloning_loss(self, observations: Mapping[str, Tensor], actions: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of behavior cloning; nothing is computed for what no response of the batch has."""
        longest = int(mask.sum(1).max())
        return super().cloning_loss(observations, actions[:, :longest], mask[:, :longest])

    def decode(self, tokens: Tensor) -> Tensor:
        """Return the actions of tokens (B, slots), float32 (B, slots, 1)."""
        return tokens[..., None].float()

    def encode(self, actions: Tensor) -> Tensor:
        """Return the tokens (B, K) of actions (B, K, 1)."""
        return actions[..., 0].round().long()

    def _sample(
        self, observations: Mapping[str, Tensor], temperature: Tensor | None, greedy: bool, noise: Tensor | None
    ) -> ActionSample:
        """Sample until every response is over; see :meth:`get_action_and_value`."""
        ids, mask, place = self._prompts(observations)
        cache = DynamicCache(config=self.network.config)
        outputs = self._run(ids, mask, cache, logits_to_keep=1)
        cache.batch_select_indices(place)  # a whole group answers a prompt that was read once
        logits, value, mask = outputs.logits[place], self._value(outputs.hidden_states[-1], 1)[place], mask[place]
        end = torch.tensor(self.tokens.end, device=ids.device)
        tokens = end[0].repeat(len(place), self.slots)
        logp, entropy = (torch.zeros(tokens.shape, device=ids.device) for _ in range(2))
        going = torch.ones(len(place), dtype=torch.bool, device=ids.device)
        for slot in range(self.slots):
            distribution = TokenDistribution(logits[..., : self.tokens.size]).at(temperature)
            draw = None if noise is None else noise[:, slot : slot + 1]
            chosen = distribution.choose(draw, greedy)
            tokens[going, slot] = chosen[going, 0]
            logp[going, slot] = distribution.log_prob(chosen)[going, 0]
            entropy[going, slot] = distribution.entropy()[going, 0]
            going = going & ~torch.isin(chosen[:, 0], end)
            if slot + 1 == self.slots or not going.any():
                break
            mask = nn.functional.pad(mask, (0, 1), value=1)
            logits = self._run(tokens[:, slot : slot + 1], mask, cache, logits_to_keep=1).logits
        return ActionSample(tokens, logp, entropy, value)

    def _prompts(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the different prompts of a batch, and which of them each row has.

        Returns:
            ids (P, length), padded in front; which of them are no padding, int64 (P, length); and the place of each
            row's prompt among the P, int64 (B,).
        """
        encoded = observations[INSTRUCTION_BYTES]
        before, after = self.config.prompt.split(QUESTION)
        questions = decode_instructions(encoded.numpy(force=True))
        places = {each: place for place, each in enumerate(dict.fromkeys(questions))}
        prompts = [self.tokens.encode(f"{before}{each}{after}") for each in places]
        longest = max(map(len, prompts))
        rows = [[0] * (longest - len(each)) + each for each in prompts]
        masks = [[0] * (longest - len(each)) + [1] * len(each) for each in prompts]
        ids, mask, place = (
            torch.tensor(each, device=encoded.device) for each in (rows, masks, [places[each] for each in questions])
        )
        return ids, mask, place

    def _run(self, ids: Tensor, mask: Tensor, cache: DynamicCache | None = None, logits_to_keep: int = 0) -> Any:
        """Run the network on the last ids (B, n) of a sequence, whose padding a mask (B, length) leaves out."""
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self.network(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            output_hidden_states=True,
            logits_to_keep=logits_to_keep,
        )

    def _value(self, hidden: Tensor, behind: int) -> Tensor:
        """Return the critic's estimate (B,) at the last token of the prompt, the first of the ``behind`` last ones."""
        return self.value_head(hidden[:, -behind].float())[:, 0]

    def _is_said(self, tokens: Tensor) -> Tensor:
        """Return bool (B, slots): which tokens are part of a response, up to the one that ends it."""
        ends = torch.isin(tokens, torch.tensor(self.tokens.end, device=tokens.device))
        return ends.cumsum(1) - ends.long() == 0

    def _write_rest(self, folder: Path) -> None:
        self.tokens.save(folder)

    def _read_rest(self, folder: Path) -> None:
        self.tokens, self.is_fresh = read_tokens(folder), False


def _architecture(config: Architecture, folder: Path | None) -> Architecture:
    """Return what a policy is made of, with kind and sizes of its pretrained network."""
    fields = {each.name: getattr(config, each.name) for each in dataclasses.fields(Architecture)}
    if folder is not None:
        with explained(str(folder)):
            fields["network"], _ = PreTrainedConfig.get_config_dict(folder)
            fields["network"].pop("auto_map", None)
    return Architecture(**fields)


def _network(config: Architecture, folder: Path | None) -> PreTrainedModel:
    with explained("network" if folder is None else str(folder)):
        sizes = AutoConfig.for_model(**config.network)
        dtype = getattr(torch, config.dtype)
        if folder is None:
            return AutoModelForCausalLM.from_config(sizes, dtype=dtype, trust_remote_code=False)
        kind: type[PreTrainedModel] = cast(Any, AutoModelForCausalLM)  # which finds the class by the sizes
        return pretrained_model(kind, sizes, str(folder), dtype, trust_remote_code=False)


def _linear_layers(network: PreTrainedModel) -> list[str]:
    """Return the names of the layers that get an adapter: all linear ones but the last, as ``all-linear`` of peft."""
    last = network.get_output_embeddings()
    return [name for name, each in network.named_modules() if isinstance(each, nn.Linear) and each is not last]
