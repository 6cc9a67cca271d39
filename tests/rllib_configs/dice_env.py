"""A tabletop whose episodes tell apart policies that differ in a single action."""

from __future__ import annotations

import zlib

from vla_envs import registration
from vla_envs.tabletop import TabletopEnv

ENV_ID = f"{__name__}:VLA-Dice-v0"


class DiceEnv(TabletopEnv):
    """The checksum of each action throws dice: in one of sixteen cases it is a success."""

    def _apply(self, action):
        super()._apply(action)
        return zlib.crc32(action.tobytes()) % 16 == 0


registration.register(ENV_ID, DiceEnv)
