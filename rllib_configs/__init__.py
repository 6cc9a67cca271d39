"""Everything that knows RLlib: the VLAPPO algorithm, typed experiments, presets and the ``vla`` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rllib_configs.algorithm import VLAPPO, VLAPPOConfig
    from rllib_configs.experiment import Experiment

__all__ = ["VLAPPO", "Experiment", "VLAPPOConfig"]

_HOMES = {
    "VLAPPO": "rllib_configs.algorithm",
    "VLAPPOConfig": "rllib_configs.algorithm",
    "Experiment": "rllib_configs.experiment",
}


def __getattr__(name: str) -> Any:
    """Import RLlib only when one of its names is asked for: ``vla --help`` must not wait for it."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
