"""Single-environment wrappers, one file each."""

from vla_envs.wrappers.action_chunk import ActionChunk
from vla_envs.wrappers.action_history import ActionHistory
from vla_envs.wrappers.discretize_actions import DiscretizeActions
from vla_envs.wrappers.efficiency_reward import EfficiencyReward
from vla_envs.wrappers.encode_instruction import EncodeInstruction
from vla_envs.wrappers.hindsight_relabel import HindsightRelabel
from vla_envs.wrappers.noisy_success import NoisySuccess
from vla_envs.wrappers.perturb import PerturbObservations
from vla_envs.wrappers.record import RecordTrajectory
from vla_envs.wrappers.resize_images import ResizeImages
from vla_envs.wrappers.shaped_reward import ShapedReward
from vla_envs.wrappers.stack_observations import StackObservations
from vla_envs.wrappers.tokenize_instruction import TokenizeInstruction

__all__ = [
    "ActionChunk",
    "ActionHistory",
    "DiscretizeActions",
    "EfficiencyReward",
    "EncodeInstruction",
    "HindsightRelabel",
    "NoisySuccess",
    "PerturbObservations",
    "RecordTrajectory",
    "ResizeImages",
    "ShapedReward",
    "StackObservations",
    "TokenizeInstruction",
]
