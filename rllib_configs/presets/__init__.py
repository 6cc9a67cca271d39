"""Ready experiments, one file each; every field can be replaced."""

from rllib_configs.presets.libero_grpo import LIBERO_GRPO, libero_grpo
from rllib_configs.presets.libero_rl import LIBERO_RL, libero_rl
from rllib_configs.presets.libero_ttrl import libero_ttrl
from rllib_configs.presets.math_ttrl import math_ttrl
from rllib_configs.presets.robotwin_ttrl import robotwin_ttrl
from rllib_configs.presets.tabletop_all_rl import tabletop_all_rl
from rllib_configs.presets.tabletop_bc_ppo import tabletop_bc_ppo
from rllib_configs.presets.tabletop_ppo import tabletop_ppo
from rllib_configs.presets.tabletop_ttrl import tabletop_ttrl
from rllib_configs.presets.text_ttrl import text_ttrl

PRESETS = {
    **{
        each.__name__: each
        for each in (
            tabletop_ttrl,
            tabletop_all_rl,
            tabletop_ppo,
            tabletop_bc_ppo,
            libero_ttrl,
            robotwin_ttrl,
            text_ttrl,
            math_ttrl,
        )
    },
    **LIBERO_RL,
    **LIBERO_GRPO,
}
"""Name on the command line -> preset."""

__all__ = [
    "PRESETS",
    "libero_grpo",
    "libero_rl",
    "libero_ttrl",
    "math_ttrl",
    "robotwin_ttrl",
    "tabletop_all_rl",
    "tabletop_bc_ppo",
    "tabletop_ppo",
    "tabletop_ttrl",
    "text_ttrl",
]
