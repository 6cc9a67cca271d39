"""A tabletop whose episodes tell apart policies that differ in a single action."""

from __future__ import annotations

import zlib

from vla_envs import registration
from vla_envs.tabletop import TabletopEnv

ENV_ID = f"{__name__}:VLA-Dice-v0"


class DiceEnv(TabletopEnv):
    """The checksum of each action and of where it leads throws dice: in one of sixteen cases it is a success.

    Actions alone would not do: a policy that says the same ones everywhere would throw once for all episodes.
    """

    def _apply(self, action):
        super()._apply(action)
        seen = action, self._final_state(), self.world.gripper.proprioception()
        return zlib.crc32(b"".join(each.tobytes() for each in seen)) % 16 == 0


registration.register(ENV_ID, DiceEnv)
