"""Any causal language model of transformers, whose tokens are the actions of ``VLA-Text-v0``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.causal_lm.config import CausalLMOptions
from policies.lazily import lazily

if TYPE_CHECKING:
    from policies.causal_lm.policy import CausalLMPolicy

__all__ = ["CausalLMOptions", "CausalLMPolicy"]
__getattr__ = lazily(__name__, {"CausalLMPolicy": "policy"})
