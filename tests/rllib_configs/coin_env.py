"""An environment whose successes are short and whose failures are long: what a biased sampler gets wrong."""

from __future__ import annotations

import zlib
from functools import partial

import gymnasium as gym
import numpy as np

from tests.rllib_configs.setups import TOKEN_LENGTH
from vla_envs import spec
from vla_envs.base import VLAEnv
from vla_envs.registration import make_groups
from vla_envs.spec import IMAGE, INSTRUCTION, STATE
from vla_envs.wrappers import ActionChunk, TokenizeInstruction

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


def make_coin(**kwargs) -> gym.Env:
    """One environment that takes chunks of one action, for RLlib's own vectorisation."""
    return TokenizeInstruction(ActionChunk(CoinEnv(**kwargs), 1), TOKEN_LENGTH)


def register() -> None:
    """Register ``VLA-Coin-v0`` for groups and ``Coin-v0`` for RLlib's own vectorisation."""
    if "VLA-Coin-v0" not in gym.registry:
        groups = partial(make_groups, f"{__name__}:VLA-Coin-v0")
        gym.register("VLA-Coin-v0", entry_point=CoinEnv, vector_entry_point=groups)
        gym.register("Coin-v0", entry_point=make_coin, disable_env_checker=True)


register()
