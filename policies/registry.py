"""The kinds of policies, and how one is loaded or made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_envs.arguments import check_choice, check_mapping, check_path
from vla_envs.errors import InvalidArgumentError

if TYPE_CHECKING:
    from policies.interface import Policy


@dataclass(frozen=True)
class Kind:
    """Where a kind of policy is."""

    location: str
    """``module:class``, imported when such a policy is made: a language model's libraries take seconds."""
    config: str | None = None
    """``module:class`` of the configuration of a fresh policy; None for those that always come from a checkpoint."""


POLICIES = {
    "tiny": Kind("policies.tiny:TinyPolicy", "policies.tiny:TinyConfig"),
    "dinov2_bert": Kind("policies.dinov2_bert:DINOv2BertPolicy", "policies.dinov2_bert:DINOv2BertOptions"),
    "causal_lm": Kind("policies.causal_lm:CausalLMPolicy", "policies.causal_lm:CausalLMOptions"),
    "openvla": Kind("policies.openvla:AutoregressiveOpenVLA"),
    "openvla_oft": Kind("policies.openvla:ParallelOpenVLA"),
    "openvla_oft_l1": Kind("policies.openvla:RegressionOpenVLA"),
}
"""Name -> kind. ``openvla_oft`` has discrete tokens, ``openvla_oft_l1`` OpenVLA-OFT's regression head."""


def load_policy(kind: str, path: str | Path | None = None, config: Mapping[str, Any] | None = None) -> Policy:
    """Load a policy from ``path``, or make a fresh one of ``config``.

    Args:
        kind: name in :data:`POLICIES`.
        path: directory written by ``save_pretrained``; its own configuration applies. Of a kind that always comes
            from a checkpoint, any directory in its official layout.
        config: fields of the kind's configuration for a fresh policy, or how to host a checkpoint of a kind that
            always comes from one.

    Raises:
        InvalidArgumentError: the kind is unknown, the configuration has unknown fields or forbidden values, or both or
            neither of ``path`` and ``config`` are given where one is needed.

    >>> load_policy("tiny", config={"chunk_size": 4}).slots
    28
    """
    check_choice("kind", kind, POLICIES)
    path, config = None if path is None else check_path("path", path), check_mapping("config", config)
    policy_class, fresh = _imported(POLICIES[kind].location), POLICIES[kind].config
    if fresh is None:
        if path is None:
            raise InvalidArgumentError(f"Expect the `path` of a checkpoint for the kind {kind!r}, actually: None.")
        return policy_class.from_pretrained(path, **config)
    if path is None:
        return policy_class(_imported(fresh).from_fields(config))
    if config:
        raise InvalidArgumentError(
            f"Expect either `path` or `config`: {path} brings its own configuration, actually: {config}."
        )
    return policy_class.from_pretrained(path)


def _imported(location: str) -> Any:
    module, _, name = location.partition(":")
    return getattr(importlib.import_module(module), name)
