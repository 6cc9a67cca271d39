"""The reach environment in worker processes that die where a test says so."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import gymnasium as gym

from rllib_configs.experiment import Environment
from tests.reach_env import ReachEnv
from tests.rllib_configs import seeker
from vla_envs.registration import make_groups

ENV_ID = f"{__name__}:VLA-Unlucky-v0"
ENVIRONMENT = Environment(id=ENV_ID, chunk_size=2, token_length=6, num_workers=2)
LUCKY = seeker.ENVIRONMENT
"""The same without faults and without workers."""
FOLDER = "VLA_TEST_FAULTS"
"""Environment variable with the folder of the faults to come."""


class UnluckyEnv(ReachEnv):
    """Takes a file away that is named after its prompt, or ``any``, and ends its process in the middle of a step."""

    def __init__(self, image_size=16, cameras=(), **kwargs):
        super().__init__(**kwargs)

    def _apply(self, action):
        folder = Path(os.environ[FOLDER])
        for fault in [*folder.glob("any.*"), *folder.glob("{}-{}.*".format(*self.prompt))]:
            with suppress(FileNotFoundError):  # another worker was faster
                fault.unlink()
                os._exit(3)
        return super()._apply(action)


def add_faults(folder: Path, count: int, prompt: tuple[int, int] | None = None) -> None:
    """Have the next ``count`` steps from a prompt, or from any, end their process."""
    name = "any" if prompt is None else "{}-{}".format(*prompt)
    for number in range(count):
        (folder / f"{name}.{number}").touch()


if "VLA-Unlucky-v0" not in gym.registry:
    gym.register("VLA-Unlucky-v0", entry_point=UnluckyEnv, vector_entry_point=partial(make_groups, ENV_ID))
