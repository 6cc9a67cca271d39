"""OpenVLA's network: vision transformers, projector and Llama, with the parameter names of the official checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, StaticCache
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from policies.openvla.checkpoint import Checkpoint
from policies.openvla.config import EOS, PAD, TOWERS, UNUSED, NetworkConfig, OpenVLAOptions, ViTConfig
from policies.openvla.lora import adapted_rows
from vla_envs.errors import InvalidArgumentError

VIT_NORM_EPS = 1e-6
"""Epsilon of every layer norm of a vision transformer, as in timm."""


class Network(nn.Module):
    """Maps pixels and a prompt to hidden states of the language model.

    A sequence is the first id of the prompt, the patches of all images, further embeddings, and the rest of the
    prompt, whose padding is masked and has no position.

    Args:
        config: sizes of its parts.
    """

    checkpointing = False
    """Whether an update computes activations twice instead of keeping them."""
    autocast = False
    """Whether matrix products are computed in bfloat16, whatever the parameters are."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_backbone = VisionBackbone(config.towers)
        self.projector = Projector(sum(tower.width for tower in config.towers), config.hidden_size)
        self.language_model = LlamaForCausalLM(LlamaConfig(**{**config.llama, "attn_implementation": "sdpa"}))
        # Its name until transformers 5.22, after which Python 3.10 gets no release.
        old: Any = getattr(self.language_model, "gradient_checkpointing_enable", None)
        getattr(self.language_model, "activation_checkpointing_enable", old)({"use_reentrant": False})

    @classmethod
    def load(cls, checkpoint: Checkpoint, config: NetworkConfig, options: OpenVLAOptions) -> Network:
        """Load the network with the checkpoint's parameters; nothing is held twice."""
        with torch.device("meta"):
            network = cls(config)
        network.check_leaves_none(checkpoint.shapes)
        checkpoint.load_into(network, getattr(torch, options.dtype))
        network.checkpointing = options.gradient_checkpointing
        network.autocast = options.autocast
        # Buffers are in no checkpoint, and stay float32 whatever the parameters are.
        network.language_model.model.rotary_emb = LlamaRotaryEmbedding(config=network.language_model.config)
        return network.eval()

    def check_leaves_none(self, names: Iterable[str]) -> None:
        """Raise if a checkpoint has tensors, by name, that this network would leave out without being known for it."""
        own = {name for name, _ in self.named_parameters()}
        last = (f"{prefix}.blocks.{tower.blocks}." for prefix, tower in zip(TOWERS, self.config.towers, strict=True))
        unused = (*UNUSED, *last)
        if left_out := sorted(name for name in names if name not in own and not name.startswith(unused)):
            raise InvalidArgumentError(
                f"Expect a checkpoint whose tensors all have a place in OpenVLA's network, actually: {left_out[0]!r} "
                f"(of {len(left_out)}) has none. Is it of another architecture?"
            )

    def embed(self, pixel_values: Tensor, ids: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the beginning of the sequence, up to the end of the prompt.

        Args:
            pixel_values: normalized images (B, images, 3 * towers, H, W).
            ids: token ids int64 (B, L), with padding behind the first id.
            extra: embeddings (B, n, hidden) behind the patches.

        Returns:
            Embeddings (B, S, hidden), and bool (B, S), False where they are padding.
        """
        with self.precision():
            features = self.vision_backbone(pixel_values.flatten(0, 1), recompute=self._recomputes())
            patches = self.projector(features).unflatten(0, pixel_values.shape[:2]).flatten(1, 2)
        text = self.language_model.model.embed_tokens(ids)
        patches = patches.to(text.dtype)
        middle = patches if extra is None else torch.cat([patches, extra.to(text.dtype)], dim=1)
        embeddings = torch.cat([text[:, :1], middle, text[:, 1:]], dim=1)
        valid = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=ids.device)
        valid[:, 1 + middle.shape[1] :] = ids[:, 1:] != PAD
        return embeddings, valid

    def parallel(self, embeddings: Tensor, valid: Tensor, slots: int, end_of_sequence: bool = True) -> Tensor:
        """Compute the hidden states (B, slots, hidden) of all slots at once, everything attending to everything.

        The first slot is the last token of the prompt; behind it come empty embeddings, one more than slots are left,
        and the end of the sequence (OpenVLA-OFT's parallel decoding).
        """
        rows, length, width = embeddings.shape
        parts = [embeddings, embeddings.new_zeros(rows, slots, width)]
        if end_of_sequence:
            parts.append(self.language_model.model.embed_tokens(torch.full((rows, 1), EOS, device=embeddings.device)))
        sequence = torch.cat(parts, dim=1)
        valid = functional.pad(valid, (0, sequence.shape[1] - length), value=True)
        # Without padding no mask is needed, which leaves the attention its fastest kernels.
        mask = None if bool(valid.all()) else valid[:, None, None, :].expand(-1, 1, sequence.shape[1], -1)
        return self._transform(sequence, mask, valid, is_causal=False)[:, length - 1 : length - 1 + slots]

    def causal(self, embeddings: Tensor, valid: Tensor, ids: Tensor) -> Tensor:
        """Compute hidden states (B, n + 1, hidden) at the end of the prompt and at each of the ids (B, n) behind it."""
        sequence = torch.cat([embeddings, self.language_model.model.embed_tokens(ids)], dim=1)
        valid = functional.pad(valid, (0, ids.shape[1]), value=True)
        hidden = self._transform(sequence, None if bool(valid.all()) else valid, valid)
        return hidden[:, -ids.shape[1] - 1 :]

    def logits(self, hidden: Tensor, first_id: int, last_id: int) -> Tensor:
        """Compute the float32 logits (..., ids) of the ids from ``first_id`` to ``last_id``, and no others."""
        head, rows = self.language_model.lm_head, slice(first_id, last_id + 1)
        with self.precision():
            if isinstance(head, nn.Linear):
                return functional.linear(hidden, head.weight[rows]).float()
            return adapted_rows(head, hidden, rows)

    def decode(self, embeddings: Tensor, valid: Tensor, steps: int) -> Decoding:
        """Begin to decode ``steps`` tokens, one after the other."""
        return Decoding(self, embeddings, valid, steps)

    def precision(self) -> torch.autocast:
        """Return the context in which matrix products are computed."""
        device = self.projector.fc1.weight.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.autocast)

    def _recomputes(self) -> bool:
        return self.checkpointing and torch.is_grad_enabled()

    def _transform(self, embeddings: Tensor, mask: Tensor | None, valid: Tensor, **keywords: Any) -> Tensor:
        """Compute the hidden states (B, S, hidden) of a whole sequence."""
        model = self.language_model.model
        model.train(self._recomputes())  # there is no dropout: transformers asks whether to keep activations
        with self.precision():
            output = model(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=_positions(valid),
                use_cache=False,
                **keywords,
            )
        model.eval()
        return cast(Tensor, output.last_hidden_state)


class Decoding:
    """Autoregressive decoding with a cache.

    ``hidden`` (B, hidden) belongs to the last token so far, at first to the end of the prompt.
    """

    def __init__(self, network: Network, embeddings: Tensor, valid: Tensor, steps: int) -> None:
        self._network = network
        self._model = network.language_model.model
        self._length = embeddings.shape[1]
        self._padded = not bool(valid.all())
        self._valid = functional.pad(valid, (0, steps), value=True)
        self._positions = _positions(self._valid)
        config = network.language_model.config
        # Under autocast keys are float32 and values bfloat16, which only a growing cache takes.
        self._cache = DynamicCache(config=config) if network.autocast else StaticCache(config, self._length + steps)
        self.hidden = self._forward(embeddings, 0)

    def append(self, ids: Tensor) -> None:
        """Add a token id (B,) to each row."""
        self.hidden = self._forward(self._model.embed_tokens(ids[:, None]), self._length)
        self._length += 1

    def _forward(self, embeddings: Tensor, start: int) -> Tensor:
        end = start + embeddings.shape[1]
        with self._network.precision():
            output = self._model(
                inputs_embeds=embeddings,
                attention_mask=self._valid[:, :end] if self._padded else None,
                position_ids=self._positions[:, start:end],
                past_key_values=self._cache,
                use_cache=True,
            )
        return cast(Tensor, output.last_hidden_state[:, -1])


def _positions(valid: Tensor) -> Tensor:
    """Return the positions int64 (B, S) of tokens, among which padding does not count."""
    return (valid.long().cumsum(1) - 1).clamp(min=0)


class VisionTransformer(nn.Module):
    """Maps an image to the patch features behind the original's second last block, without a final norm."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)}
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, config.num_patches, config.width))
        if config.registers:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
            self.reg_token = nn.Parameter(torch.zeros(1, config.registers, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))

    def forward(self, pixels: Tensor, recompute: bool = False) -> Tensor:
        """Map normalized pixels (B, 3, H, W) to features (B, patches, width); ``recompute`` keeps no activations."""
        hidden = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2) + self.pos_embed
        prefix = self._prefix(len(hidden))
        hidden = torch.cat([*prefix, hidden], dim=1)
        for block in self.blocks:
            hidden = recomputed(block, hidden, use_reentrant=False) if recompute else block(hidden)
        return hidden[:, hidden.shape[1] - self.config.num_patches :]

    def _prefix(self, rows: int) -> list[Tensor]:
        """Return the tokens before the patches, which have no position."""
        if not self.config.registers:
            return []
        return [self.cls_token.expand(rows, -1, -1), self.reg_token.expand(rows, -1, -1)]


class Block(nn.Module):
    """A block of pre-norm attention and MLP."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(config.width, eps=VIT_NORM_EPS) for _ in range(2))
        self.attn = Attention(config.width, config.heads)
        self.mlp = MLP(config.width, config.mlp_width)
        self.ls1, self.ls2 = (LayerScale(config.width) if config.layer_scale else nn.Identity() for _ in range(2))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, tokens, width) to the same shape."""
        hidden = hidden + self.ls1(self.attn(self.norm1(hidden)))
        return hidden + self.ls2(self.mlp(self.norm2(hidden)))


class Attention(nn.Module):
    """Self-attention over all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, tokens, width) to the same shape."""
        query, key, value = self.qkv(hidden).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.proj(attended.transpose(1, 2).flatten(2)))


class MLP(nn.Module):
    """Two linear layers with the exact GELU between."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return cast(Tensor, self.fc2(functional.gelu(self.fc1(hidden))))


class LayerScale(nn.Module):
    """A learned factor for each number; ``scale_factor`` is the checkpoints' name for timm's ``gamma``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale_factor = nn.Parameter(torch.ones(width))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return hidden * self.scale_factor


class VisionBackbone(nn.Module):
    """Two vision transformers side by side, each with pixels of its own normalization."""

    def __init__(self, configs: Sequence[ViTConfig]) -> None:
        super().__init__()
        self.featurizer, self.fused_featurizer = map(VisionTransformer, configs)

    def forward(self, pixel_values: Tensor, recompute: bool = False) -> Tensor:
        """Map images (B, 6, H, W) to features (B, patches, sum of widths)."""
        pixels = pixel_values.split(3, dim=1)
        features = [transformer(each, recompute) for transformer, each in zip(self.children(), pixels, strict=True)]
        return torch.cat(features, dim=2)


class Projector(nn.Module):
    """Maps patch features to embeddings of the language model: three linear layers with the exact GELU between."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, 4 * features)
        self.fc2 = nn.Linear(4 * features, hidden)
        self.fc3 = nn.Linear(hidden, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, patches, features) to (B, patches, hidden)."""
        return cast(Tensor, self.fc3(functional.gelu(self.fc2(functional.gelu(self.fc1(features))))))
