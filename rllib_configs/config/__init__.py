"""What a run is: frozen dataclasses that are checked by their types and import neither ray nor torch."""

from rllib_configs.config.assessment import Assessment, Axis, Measurement, Sweep
from rllib_configs.config.environment import EnvironmentConfig
from rllib_configs.config.experiment import Experiment
from rllib_configs.config.policy import CausalLMConfig, DINOv2BertConfig, OpenVLAConfig, PolicyConfig, TinyPolicyConfig
from rllib_configs.config.run import Evaluation, Resources
from rllib_configs.config.training import PPO, TTRL, BehaviorCloning

__all__ = [
    "PPO",
    "TTRL",
    "Assessment",
    "Axis",
    "BehaviorCloning",
    "CausalLMConfig",
    "DINOv2BertConfig",
    "EnvironmentConfig",
    "Evaluation",
    "Experiment",
    "Measurement",
    "OpenVLAConfig",
    "PolicyConfig",
    "Resources",
    "Sweep",
    "TinyPolicyConfig",
]
