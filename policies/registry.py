"""Policies by kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.interface import Policy
from policies.tiny import TinyConfig, TinyPolicy
from vla_envs.errors import InvalidArgumentError, check_choice

POLICIES = {"tiny": (TinyPolicy, TinyConfig)}
"""Kind -> policy class and configuration class."""


def load_policy(kind: str, path: str | Path | None = None, config: Mapping[str, Any] | None = None) -> Policy:
    """A policy loaded from ``path``, or a fresh one of ``config``.

    Args:
        kind: a key of :data:`POLICIES`.
        path: a directory written by ``save_pretrained``; its own configuration applies.
        config: fields of the kind's configuration for a fresh policy.

    Raises:
        InvalidArgumentError: an unknown kind, or both a path and a config.

    >>> load_policy("tiny", config={"chunk_size": 4}).slots
    28
    """
    check_choice("kind", kind, POLICIES)
    policy_class, config_class = POLICIES[kind]
    if path is None:
        return policy_class(config_class(**(config or {})))
    if config:
        raise InvalidArgumentError(
            f"Expect either `path` or `config`: {path} brings its own configuration, actually: {config}."
        )
    return policy_class.from_pretrained(path)
