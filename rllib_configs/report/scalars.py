"""The numbers of an iteration by the names that logs show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

GROUPS = ("ttrl", "rollout", "throughput", "memory")
"""Parts of RLlib's result whose numbers keep their names, whatever they are."""

LEARNER_NAMES = {
    "policy_loss": "loss/policy",
    "vf_loss": "loss/value",
    "gradients_default_optimizer_global_norm": "policy/gradient_norm",
    "default_optimizer_learning_rate": "policy/learning_rate",
}
"""Learner's name -> ours; its other numbers are ``policy/<name>``."""

PHASES = {
    "env_runner_sampling_timer": "time/sampling_s",
    "learner_update_timer": "time/learning_s",
    "synch_weights": "time/weights_sync_s",
}
"""RLlib's timer of a phase -> ours; its others are averages over iterations."""

_BOOKKEEPING = ("num_", "module_train_batch_size", "weights_seq_no", "peak_memory")


def scalars(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of RLlib's result that were measured, sorted by name: NaN stands for nothing.

    ``ttrl/``, ``rollout/``, ``throughput/`` and ``memory/`` are as the algorithm logs them, ``policy/``
    and ``loss/`` the learner's, ``time/`` in seconds.

    >>> learner = {"policy_loss": -0.5, "approx_kl": 0.25, "vf_loss": float("nan")}
    >>> scalars({"ttrl": {"reward": 1.0}, "learners": {"default_policy": learner}, "time_this_iter_s": 3})
    {'loss/policy': -0.5, 'policy/approx_kl': 0.25, 'time/iteration_s': 3.0, 'ttrl/reward': 1.0}
    """
    return {name: float(value) for name, value in sorted(_named(result)) if not math.isnan(value)}


def _named(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group in GROUPS:
        yield from ((f"{group}/{name}", value) for name, value in _numbers(result.get(group)))
    for name, value in _numbers(result.get("learners", {}).get("default_policy")):
        if not name.startswith(_BOOKKEEPING):
            yield LEARNER_NAMES.get(name, f"policy/{name}"), value
    yield from ((PHASES[name], value) for name, value in _numbers(result.get("timers")) if name in PHASES)
    if "time_this_iter_s" in result:
        yield "time/iteration_s", result["time_this_iter_s"]


def _numbers(group: Mapping[str, Any] | None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers of nested dictionaries, their keys joined by slashes."""
    for key, value in (group or {}).items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, Real):
            yield prefix + key, value
