"""Configuration of a language model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from policies.options import Options
from vla_envs.errors import InvalidArgumentError

Length = Annotated[int, Ge(1), Le(2**17)]
LoraRank = Annotated[int, Ge(0), Le(1024)]
QUESTION = "{question}"
"""What a prompt has in place of the question."""
SMALL: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 101,
    "hidden_size": 128,
    "intermediate_size": 341,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
}
"""A Llama of 0.4 million parameters over the characters of ASCII, by transformers' names."""


@dataclass(frozen=True)
class Architecture(Options):
    """What a saved language model is made of."""

    chunk_size: Length = 32
    """Length of the longest response in tokens."""
    prompt: str = QUESTION
    """What is put before a response, with ``{question}`` in place of the question."""
    lora_rank: LoraRank = 0
    """Rank of the adapters that are trained in place of the network; 0 trains all of it."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the network's parameters; adapters are always float32."""
    gradient_checkpointing: bool = False
    """Whether an update computes activations twice instead of keeping them."""
    network: dict[str, Any] = field(default_factory=lambda: dict(SMALL))
    """Kind and sizes of the network, by transformers' names."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt.count(QUESTION) != 1:
            raise InvalidArgumentError(
                f"Expect the `prompt` to have {QUESTION} once, where the question stands, actually: {self.prompt!r}."
            )

    @property
    def action_dim(self) -> int:
        """An action is a token."""
        return 1


@dataclass(frozen=True)
class CausalLMOptions(Architecture):
    """What a fresh policy is made of: a network of random weights, or a pretrained one.

    Example:
        >>> CausalLMOptions(prompt="Q: {question} A:").chunk_size
        32
    """

    pretrained: str | None = None
    """Directory or name on Hugging Face's hub of a language model, such as Qwen/Qwen2.5-Math-1.5B, whose kind, sizes,
    weights and tokenizer are taken; None takes random weights of the sizes ``network`` and a token for each
    character."""
