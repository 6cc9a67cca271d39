"""Single-environment wrappers, one file for each kind."""

from vla_envs.wrappers.action_chunk import ActionChunk
from vla_envs.wrappers.action_history import ActionHistory
from vla_envs.wrappers.discretize_actions import DiscretizeActions
from vla_envs.wrappers.follow_expert import FollowExpert
from vla_envs.wrappers.hindsight_relabel import HindsightRelabel
from vla_envs.wrappers.instruction import EncodeInstruction, TokenizeInstruction
from vla_envs.wrappers.perturb import PerturbObservations
from vla_envs.wrappers.record import RecordTrajectory
from vla_envs.wrappers.resize_images import ResizeImages
from vla_envs.wrappers.stack_observations import StackObservations
from vla_envs.wrappers.trajectory_reward import EfficiencyReward, NoisySuccess, ShapedReward

__all__ = [
    "ActionChunk",
    "ActionHistory",
    "DiscretizeActions",
    "EfficiencyReward",
    "EncodeInstruction",
    "FollowExpert",
    "HindsightRelabel",
    "NoisySuccess",
    "PerturbObservations",
    "RecordTrajectory",
    "ResizeImages",
    "ShapedReward",
    "StackObservations",
    "TokenizeInstruction",
]
