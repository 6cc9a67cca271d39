"""Where the groups of a run begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vla_envs.group import GroupStart, PromptSampler


class Starts:
    """Numbers the groups of a run, and gives each the seed and the prompt that its number determines.

    So the same groups are sampled however many processes share them, and a run that is resumed
    goes on with the next one.

    Args:
        seed: of the run; None takes one from the operating system.
        sampler: chooses the prompts; None has the environment draw them by the seed of the group.

    >>> starts = Starts(seed=0)
    >>> [starts.draw().group_id for _ in range(3)]
    [0, 1, 2]
    """

    def __init__(self, seed: int | None, sampler: PromptSampler | None = None) -> None:
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self.sampler = sampler
        self.drawn = 0
        """Groups numbered so far."""

    def draw(self) -> GroupStart:
        """The start of the next group."""
        group_id, self.drawn = self.drawn, self.drawn + 1
        rng = np.random.default_rng([self.seed, group_id])
        prompt = None if self.sampler is None else self.sampler.draw(rng)
        return GroupStart(group_id, int(rng.integers(2**31)), prompt)

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to go on from here: plain numbers, lists and strings."""
        return {
            "seed": self.seed,
            "drawn": self.drawn,
            "sampler": {} if self.sampler is None else self.sampler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was called."""
        self.seed, self.drawn = state["seed"], state["drawn"]
        if self.sampler is not None:
            self.sampler.load_state_dict(state["sampler"])
