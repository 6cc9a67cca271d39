"""What a fresh policy is made of: sizes of its own, or those of the pretrained encoders that it names."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from transformers import AutoTokenizer, BertConfig, Dinov2Config, PreTrainedConfig

from policies.dinov2_bert.config import Architecture, DINOv2BertOptions, TextConfig, Transformer, VisionConfig
from policies.dinov2_bert.wordpieces import wordpiece_tokenizer
from policies.pretrained import explained
from vla_envs.errors import InvalidArgumentError

SizesT = TypeVar("SizesT", bound=Transformer)

_PROBE = "Put the RED cube, unlovably, on the cafés' plate!"
"""A text that tells tokenizers apart."""


def architecture(options: DINOv2BertOptions) -> Architecture:
    """Return what a fresh policy is made of, with the sizes of the pretrained encoders it names.

    Raises:
        MissingAssetsError: there is no such directory, and no such name on the hub, or no way to it.
        InvalidArgumentError: it is of another model, or of one that is computed in another way.
    """
    fields = {each.name: getattr(options, each.name) for each in dataclasses.fields(Architecture)}
    if options.pretrained_vision is not None:
        fields["vision"] = _sizes(VisionConfig, Dinov2Config, options.pretrained_vision)
    if options.pretrained_text is not None:
        pieces = _vocabulary(options.pretrained_text)
        fields["text"] = _sizes(TextConfig, BertConfig, options.pretrained_text, **pieces)
    if options.text_training is None:
        fields["text_training"] = "full" if options.pretrained_text is None else "frozen"
    return Architecture(**fields)


def _sizes(sizes: type[SizesT], config: type[PreTrainedConfig], source: str, **fields: Any) -> SizesT:
    """Return the sizes that a model has."""
    with explained(source):
        given, _ = PreTrainedConfig.get_config_dict(source)
        if given.get("model_type") != config.model_type:
            raise InvalidArgumentError(
                f"Expect `{source}` to be of the `model_type` {config.model_type!r}, actually: "
                f"{given.get('model_type')!r}."
            )
        whole = config.from_dict(given)
        names = [each.name for each in dataclasses.fields(sizes) if hasattr(whole, each.name)]
        return sizes(**{name: getattr(whole, name) for name in names}, **fields)


def _vocabulary(source: str) -> dict[str, Any]:
    """Return the fields of a :class:`TextConfig` that say how a pretrained BERT cuts texts into pieces."""
    with explained(source):
        given = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        ids, expected = given.get_vocab(), given(_PROBE)["input_ids"]
        pieces = tuple(sorted(ids, key=ids.__getitem__))
        for lowercase in (True, False):
            if wordpiece_tokenizer(pieces, lowercase).encode(_PROBE).ids == expected:
                return {"vocabulary": pieces, "lowercase": lowercase}
    raise InvalidArgumentError(f"Expect `{source}` to have BERT's tokenizer, actually: another one.")
