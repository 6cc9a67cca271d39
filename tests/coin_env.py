"""An environment whose successes are short and whose failures are long: what a biased sampler gets wrong."""

from __future__ import annotations

import zlib

import numpy as np

from vla_envs import spec
from vla_envs.base import VLAEnv
from vla_envs.spec import IMAGE, INSTRUCTION, STATE

SHORT, LONG = 2, 20


class CoinEnv(VLAEnv):
    """The first action's checksum tosses a coin: heads is a success after 2 steps, tails a failure after 20."""

    def __init__(self, split="all", render_mode=None):
        super().__init__(
            suite="coin",
            tasks=("toss",),
            task_id=None,
            split=split,
            max_episode_steps=None,
            render_mode=render_mode,
        )
        self.action_space = spec.action_space()
        self.observation_space = spec.observation_space((IMAGE,), 16)

    def num_init_states(self, task_id):
        return 2

    def _horizon(self, task_id):
        return LONG

    def _begin(self, prompt):
        self.step_number = 0

    def _apply(self, action):
        self.step_number += 1
        if self.step_number == 1:
            self.heads = bool(zlib.crc32(action.tobytes()) & 1)
        return self.heads and self.step_number == SHORT

    def _observe(self):
        image = np.zeros((16, 16, 3), np.uint8)
        return {IMAGE: image, STATE: np.zeros(spec.STATE_DIM, np.float32), INSTRUCTION: self.tasks[0]}

    def _final_state(self):
        return np.float32([self.heads])
