"""The two encoders, as transformers has them: images to patches, instructions to one vector each."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, Dinov2Config, Dinov2Model

from policies.dinov2_bert.config import TextConfig, VisionConfig
from policies.dinov2_bert.wordpieces import PAD, wordpiece_tokenizer
from policies.layers import check_patches_fill
from policies.pretrained import pretrained_model
from vla_envs.wrappers.instruction import decode_instructions

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels in [0, 1] that DINOv2 was trained on."""
MAX_PROMPTS = 4096
"""Number of instructions whose encodings are kept."""


class VisionEncoder(nn.Module):
    """DINOv2 over the patches of images.

    Args:
        sizes: of the model.
        source: directory or name of a pretrained one; None takes random weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sizes: VisionConfig, source: str | None = None) -> None:
        super().__init__()
        config = Dinov2Config(**dataclasses.asdict(sizes), use_mask_token=False)
        self.model = Dinov2Model(config) if source is None else pretrained_model(Dinov2Model, config, source)
        self.patch_size, self.width = sizes.patch_size, sizes.hidden_size
        for name, each in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(each), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images uint8 (B, H, W, 3) to the features of their patches (B, rows, columns, width).

        Raises:
            InvalidArgumentError: the sides of the images are no multiples of a patch's.
        """
        height, width = images.shape[1:3]
        check_patches_fill(height, width, self.patch_size)
        # NHWC storage read as NCHW is PyTorch's channels_last: no copy is needed.
        pixels = ((images.float() / 255.0 - self.mean) / self.std).permute(0, 3, 1, 2)
        patches = self.model(pixels).last_hidden_state[:, 1:]
        return patches.unflatten(1, (height // self.patch_size, width // self.patch_size))


class TextEncoder(nn.Module):
    """BERT over instructions: the mean of its outputs, each instruction of a batch encoded once.

    While no weight is trained, encodings are kept: an instruction is encoded once for all.

    Args:
        sizes: of the model, with its vocabulary.
        source: directory or name of a pretrained one; None takes random weights.
    """

    def __init__(self, sizes: TextConfig, source: str | None = None) -> None:
        super().__init__()
        fields = dataclasses.asdict(sizes)
        self.tokenizer = wordpiece_tokenizer(fields.pop("vocabulary"), fields.pop("lowercase"))
        self.tokenizer.enable_padding(pad_id=sizes.vocabulary.index(PAD), pad_token=PAD)
        # Without dropout, which would change a trained policy between its rollout and its update.
        config = BertConfig(**fields, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        self.model: Any = (
            BertModel(config, add_pooling_layer=False)
            if source is None
            else pretrained_model(BertModel, config, source, add_pooling_layer=False)
        )
        self.width = sizes.hidden_size
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._kept_for: tuple[Any, ...] = ()

    def forward(self, encoded: Tensor) -> Tensor:
        """Map instructions as bytes, uint8 (B, 256), to their encodings (B, width)."""
        different, place = encoded.unique(dim=0, return_inverse=True)
        instructions = decode_instructions(different.numpy(force=True))
        trained = any(each.requires_grad for each in self.model.parameters())
        rows = self._encode(instructions) if trained else self._remember(instructions)
        return rows[place]

    def _encode(self, instructions: Sequence[str]) -> Tensor:
        texts = self.tokenizer.encode_batch(list(instructions))
        device = self.model.device
        ids = torch.tensor([each.ids for each in texts], device=device)
        mask = torch.tensor([each.attention_mask for each in texts], device=device)
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    @torch.no_grad()
    def _remember(self, instructions: Sequence[str]) -> Tensor:
        """Return the encodings of instructions, which are computed where they are not known for these weights yet."""
        weights = (self.model.device, sum(each._version for each in self.model.parameters()))
        if weights != self._kept_for:
            self._kept.clear()
            self._kept_for = weights
        if new := [each for each in instructions if each not in self._kept]:
            self._kept.update(zip(new, self._encode(new), strict=True))
        for each in instructions:
            self._kept.move_to_end(each)
        rows = torch.stack([self._kept[each] for each in instructions])
        while len(self._kept) > MAX_PROMPTS:
            self._kept.popitem(last=False)
        return rows
