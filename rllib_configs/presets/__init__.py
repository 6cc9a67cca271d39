"""Ready experiments, one file each; every field can be replaced."""

from rllib_configs.presets.libero_ttrl import libero_ttrl
from rllib_configs.presets.tabletop_ttrl import tabletop_ttrl

PRESETS = {preset.__name__: preset for preset in (tabletop_ttrl, libero_ttrl)}
"""Name on the command line -> preset."""

__all__ = ["PRESETS", "libero_ttrl", "tabletop_ttrl"]
