"""N trajectories of one prompt: sampled side by side at several temperatures, compared with each other."""

from vla_envs.group.advantages import NSR, Estimator, group_advantages, has_signal
from vla_envs.group.metrics import pass_at_k, trajectory_metrics, vote_metrics
from vla_envs.group.outcomes import (
    changed_state_cluster,
    efficiency_bucket,
    env_success,
    final_state_cluster,
    given_answer,
    joint,
    noisy,
)
from vla_envs.group.prompts import (
    CurriculumPrompts,
    EveryTaskPrompts,
    PromptSampler,
    SequentialPrompts,
    UniformPrompts,
)
from vla_envs.group.rewards import contrast, progress, similarity_to_confident
from vla_envs.group.selection import Selection, select_top_k
from vla_envs.group.starts import GroupStart, NumberedStarts
from vla_envs.group.temperature import adapt_temperatures, temperature_schedule
from vla_envs.group.trajectory import Trajectory, group_diversity
from vla_envs.group.vector_env import GroupVectorEnv, Transition, rollout
from vla_envs.group.voting import (
    Rule,
    Vote,
    VoteConfig,
    VotedGroup,
    apply_vote,
    confidence_weight,
    majority_vote,
    revert_vote,
    speed_weight,
)

__all__ = [
    "NSR",
    "CurriculumPrompts",
    "Estimator",
    "EveryTaskPrompts",
    "GroupStart",
    "GroupVectorEnv",
    "NumberedStarts",
    "PromptSampler",
    "Rule",
    "Selection",
    "SequentialPrompts",
    "Trajectory",
    "Transition",
    "UniformPrompts",
    "Vote",
    "VoteConfig",
    "VotedGroup",
    "adapt_temperatures",
    "apply_vote",
    "changed_state_cluster",
    "confidence_weight",
    "contrast",
    "efficiency_bucket",
    "env_success",
    "final_state_cluster",
    "given_answer",
    "group_advantages",
    "group_diversity",
    "has_signal",
    "joint",
    "majority_vote",
    "noisy",
    "pass_at_k",
    "progress",
    "revert_vote",
    "rollout",
    "select_top_k",
    "similarity_to_confident",
    "speed_weight",
    "temperature_schedule",
    "trajectory_metrics",
    "vote_metrics",
]
