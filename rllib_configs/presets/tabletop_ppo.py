"""Plain PPO on the tabletop: single trajectories and a critic, to compare groups with."""

from __future__ import annotations

from typing import Any

from rllib_configs.experiment import PPO, Experiment, Resources
from rllib_configs.presets.tabletop_ttrl import tabletop_ttrl


def tabletop_ppo(**changes: Any) -> Experiment:
    """As many trajectories an iteration as ``tabletop_ttrl``, without groups, votes and temperatures."""
    return tabletop_ttrl(
        name="tabletop_ppo",
        test_time_rl=False,
        ppo=PPO(groups_per_iteration=256),
        resources=Resources(num_env_runners=2, num_envs_per_env_runner=128),
    ).replace(**changes)
