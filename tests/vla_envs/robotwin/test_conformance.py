"""The contract of all environments, on the fake checkout."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.conformance import RobotConformance
from vla_envs.robotwin.tasks import TASKS

STACK_BLOCKS_TWO = list(TASKS).index("stack_blocks_two")


class RoboTwinConformance(RobotConformance):
    env_id = "VLA-RoboTwin-v0"
    kwargs: ClassVar = {"task": "stack_blocks_two", "cameras": ("head", "left_wrist"), "chunk": "sequential"}
    prompt: ClassVar = {"task_id": STACK_BLOCKS_TWO, "init_state_id": 1}
    other_prompt: ClassVar = {"task_id": STACK_BLOCKS_TWO, "init_state_id": 2}


class TestFakeConformance(RoboTwinConformance):
    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def checkout(fake_root):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROBOTWIN_PATH", str(fake_root))
            yield
