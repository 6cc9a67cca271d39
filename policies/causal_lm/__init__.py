"""Any causal language model of transformers, whose tokens are the actions of ``VLA-Text-v0``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.causal_lm.config import CausalLMOptions

if TYPE_CHECKING:
    from policies.causal_lm.policy import CausalLMPolicy

__all__ = ["CausalLMOptions", "CausalLMPolicy"]


def __getattr__(name: str) -> Any:
    """Import the network, and transformers with it, when it is asked for: the configuration needs neither."""
    if name != "CausalLMPolicy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from policies.causal_lm.policy import CausalLMPolicy

    return CausalLMPolicy
