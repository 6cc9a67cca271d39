"""The default: clone a policy on the embedded tabletop, then improve it by groups of trajectories."""

from __future__ import annotations

from typing import Any

from rllib_configs.experiment import Experiment


def tabletop_ttrl(**changes: Any) -> Experiment:
    """GRPO with efficiency rewards over groups of 8 trajectories, on the whole tabletop suite."""
    return Experiment(name="tabletop_ttrl").replace(**changes)
