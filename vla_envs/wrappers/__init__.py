"""Single-environment wrappers, one file each."""

from vla_envs.wrappers.action_chunk import ActionChunk
from vla_envs.wrappers.efficiency_reward import EfficiencyReward
from vla_envs.wrappers.tokenize_instruction import TokenizeInstruction

__all__ = ["ActionChunk", "EfficiencyReward", "TokenizeInstruction"]
