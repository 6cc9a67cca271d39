"""The data that passes from the processes that sample to those that learn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from vla_envs.group import GroupStart
from vla_envs.spec import Prompt

# Columns of an episode and of a batch: one row for each timestep, which is one observation and the chunk of K actions
# that was chosen for it. A chunk has `slots` tokens, action after action.
ACTION_TOKENS = "action_tokens"
"""Column: (B, slots), the tokens that were sampled: int64 bins, or the unclipped float32 numbers of a Gaussian."""
TOKEN_LOGP = "token_logp"
"""Column: float32 (B, slots), their log-probabilities at the temperature that sampled them."""
TOKEN_ENTROPY = "token_entropy"
"""Column: float32 (B, slots), in nats."""
TOKEN_MASK = "token_mask"
"""Column: bool (B, slots), which tokens are of executed actions: what never ran has no part in the outcome."""
REF_LOGP = "ref_logp"
"""Column: float32 (B, slots), log-probabilities of the sampled tokens under the frozen reference, same temperature."""
GROUP_ADVANTAGE = "group_advantage"
"""Column: float32 (B,), the trajectory's advantage over its group, the same at each of its timesteps."""
TOKEN_WEIGHT = "token_weight"
"""Column: float32 (B,), what each executed token of the row counts in a mean; without it each counts 1."""
MEAN_LOG_RATIO = "mean_log_ratio"
"""Column: float32 (B,), the mean log-ratio of all executed tokens of the row's trajectory."""
NOISE = "noise"
"""Batch key beside the observations: float32 (B, slots), uniform in [0, 1), determines the sampled tokens."""


@dataclass(frozen=True, eq=False)
class SampledGroup:
    """The trajectories of one start, and what is known of those that are not sent on."""

    start: GroupStart
    sampled: int
    """Number of trajectories that were sampled."""
    invalid: int
    """Number of trajectories that a fault cut short; a group that has any is not trained on."""
    timesteps: int
    """Number of timesteps of all trajectories."""
    control_steps: int
    """Number of actions that all trajectories executed."""
    prompt: Prompt | None = None
    """What they started from; None after a fault, and outside the environment contract."""
    successes: list[bool] = field(default_factory=list)
    """Whether the environment says that each succeeded; empty after a fault."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the trajectories did; empty after a fault."""
    informative: bool = False
    """Whether their rewards say which of them did better, or a critic does."""
    episodes: list[SingleAgentEpisode] = field(default_factory=list)
    """Scored trajectories to train on. Those without a gradient are left out, and their images with them."""
    records: list[dict[str, Any]] = field(default_factory=list)
    """What to write of each trajectory; empty after a fault, and where nothing is written."""


def executed_tokens(executed_actions: ArrayLike, chunk_size: int, slots: int) -> NDArray[np.bool_]:
    """The column :data:`TOKEN_MASK` (B, slots) of timesteps of which ``executed_actions`` (B,) actions ran.

    >>> executed_tokens([1, 2], chunk_size=2, slots=4).tolist()
    [[True, True, False, False], [True, True, True, True]]
    """
    action = np.arange(slots) // (slots // chunk_size)
    return action < np.asarray(executed_actions)[:, None]


def column(episode: SingleAgentEpisode, key: str) -> NDArray:
    """A column of the module's outputs, one row for each timestep of the episode."""
    return np.asarray(episode.get_extra_model_outputs(key))
