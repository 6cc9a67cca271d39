"""Where the groups of a vector environment start, and start again after a fault."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vla_envs.arguments import check_instance, check_integer, check_mapping
from vla_envs.group.prompts import PromptSampler, check_prompt
from vla_envs.spec import Prompt

MAX_RETRIES = 3
"""How often in a row a group that a fault cut short is started again at its prompt."""

_log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Where an episode begins: the arguments of an environment's ``reset``."""

    seed: int
    options: Mapping[str, Any]


class GroupStart(NamedTuple):
    """Where a caller wants a group to begin."""

    group_id: int
    """What the infos call the group."""
    seed: int
    """Seeds the reset of its environments; without a prompt the environment draws one by it."""
    prompt: Prompt | None = None
    """What all environments start from; None leaves that to the environment."""


class GroupStarts:
    """Draws where the first environment of each group begins.

    Args:
        sampler: chooses the prompts; None leaves that to the environments.
    """

    def __init__(self, sampler: PromptSampler | None) -> None:
        self.sampler = sampler
        self._last: dict[int, Start] = {}
        self._faults: Counter[int] = Counter()

    def rewind(self) -> None:
        """Go back to the sampler's first prompt."""
        if self.sampler is not None:
            self.sampler.rewind()

    def forget_faults(self, groups: Iterable[int]) -> None:
        """Have these groups go on to another prompt."""
        for group in groups:
            self._faults.pop(group, None)

    def draw(
        self, group: int, options: Mapping[str, Any], rng: np.random.Generator, seed: int | None = None
    ) -> Start | None:
        """The next start of a group; the last one again after a fault; None when no prompt is left.

        Args:
            group: its number.
            options: go to the environments' ``reset``.
            rng: draws the prompt, and the seed where none is given.
            seed: that of the environments' ``reset``.
        """
        if self._faults[group] > MAX_RETRIES:
            _log.warning(
                "Faults cut a group short %d times in a row at %s: it goes on to another prompt.",
                self._faults.pop(group),
                self._last[group],
            )
        if self._faults[group]:
            return self._last[group]
        if self.sampler is not None:
            prompt = self.sampler.draw(rng)
            if prompt is None:
                return None
            options = {**options, **prompt._asdict()}
        # Not the seed plus the group: processes whose seeds follow each other would draw the same prompts.
        self._last[group] = Start(int(rng.integers(2**31)) if seed is None else seed, options)
        return self._last[group]

    def place(self, group: int, given: GroupStart) -> Start:
        """The start that a caller wants a group to have."""
        options = {} if given.prompt is None else check_prompt(given.prompt)._asdict()
        self._last[group] = Start(check_integer("seed", given.seed, 0), options)
        return self._last[group]

    def ended(self, group: int, successes: Sequence[bool]) -> None:
        """The trajectories of a group have ended, all of them valid."""
        self._faults.pop(group, None)
        options = self._last[group].options
        if self.sampler is not None and "task_id" in options:
            self.sampler.learn(Prompt(options["task_id"], options["init_state_id"]), successes)

    def cut_short(self, group: int) -> None:
        """A fault has ended the trajectories of a group."""
        self._faults[group] += 1


class NumberedStarts:
    """Numbers the groups of a run, and gives each the seed and the prompt that its number determines.

    So the same groups are sampled however many processes share them, and a run that is resumed
    goes on with the next one.

    Args:
        seed: of the run; None takes one from the operating system.
        sampler: chooses the prompts; None has the environment draw them by the seed of the group.

    >>> starts = NumberedStarts(seed=0)
    >>> [starts.draw().group_id for _ in range(3)]
    [0, 1, 2]
    """

    def __init__(self, seed: int | None, sampler: PromptSampler | None = None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed = check_integer("seed", seed, 0)
        if sampler is not None:
            check_instance("sampler", sampler, PromptSampler)
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
        known = check_mapping("state", state)
        self.seed, self.drawn = (check_integer(name, known.get(name), 0) for name in ("seed", "drawn"))
        if self.sampler is not None:
            self.sampler.load_state_dict(check_mapping("sampler", known.get("sampler")))
