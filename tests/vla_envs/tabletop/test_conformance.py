"""The tabletop obeys the contract that all environments share, and an environment that does not is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance import RobotConformance
from vla_envs.base import VLAEnv
from vla_envs.spec import Prompt
from vla_envs.tabletop import TabletopEnv


class TestTabletopConformance(RobotConformance):
    """Both cameras, at a small size."""

    env_id = "VLA-Tabletop-v0"
    kwargs = {"image_size": 32, "cameras": ["agentview", "wrist"]}  # noqa: RUF012


class EvaluatesOnTraining(TabletopEnv):
    """Says and does the same for both splits."""

    def init_states(self, task_id: int, split: str) -> range:
        return super().init_states(task_id, "train" if split == "eval" else split)


class LosesStates(TabletopEnv):
    """Leaves out every initial state between those of the splits."""

    def init_states(self, task_id: int, split: str) -> range:
        return super().init_states(task_id, split)[:-1]


class DrawsEverything(TabletopEnv):
    """Says which prompts its split has, and draws from all."""

    def _choose_prompt(self, options: Mapping[str, Any]) -> Prompt:
        split, self.split = self.split, "all"
        prompt = super()._choose_prompt(options)
        self.split = split
        return prompt


def conformance_of(broken: type[VLAEnv]) -> RobotConformance:
    """The tests of the contract on another class under the tabletop's id."""

    class Broken(TestTabletopConformance):
        __test__ = False

        @classmethod
        def construct(cls, **kwargs: Any) -> VLAEnv:
            return broken(**{**cls.kwargs, **kwargs})

    return Broken()


@pytest.mark.parametrize("broken", [EvaluatesOnTraining, LosesStates])
def test_splits_that_overlap_or_lose_states_are_found(broken: type[VLAEnv]) -> None:
    """Whatever the environment says of single prompts."""
    with pytest.raises(AssertionError):
        conformance_of(broken).test_splits_are_disjoint(broken())  # type: ignore[call-arg]


@pytest.mark.parametrize("split", ["train", "eval"])
def test_draws_outside_the_split_are_found(split: str) -> None:
    """Though its prompts are disjoint."""
    conformance_of(DrawsEverything).test_splits_are_disjoint(DrawsEverything())
    with pytest.raises(AssertionError):
        conformance_of(DrawsEverything).test_drawn_prompts_respect_the_split(split)
