"""Prompt samplers: which prompt the next group of trajectories starts from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import (
    check_choice,
    check_flags,
    check_integer,
    check_mapping,
    check_number,
    check_numbers,
    check_sequence,
    shown,
)
from vla_envs.errors import InvalidArgumentError
from vla_envs.spec import Prompt


def spread_over_tasks(prompts: Iterable[Prompt], rng: np.random.Generator | None = None) -> list[Prompt]:
    """The same prompts, each once and those of different tasks by turns, so that the first of them are of all tasks.

    ``rng`` draws the order of the tasks anew in every round; without it they keep that of their first prompts.

    >>> [tuple(each) for each in spread_over_tasks([Prompt(0, 5), Prompt(0, 6), Prompt(1, 5), Prompt(0, 5)])]
    [(0, 5), (1, 5), (0, 6)]
    """
    by_task: dict[int, list[Prompt]] = {}
    for prompt in dict.fromkeys(prompts):
        by_task.setdefault(prompt.task_id, []).append(prompt)
    rounds = [[prompt for prompt in each if prompt is not None] for each in zip_longest(*by_task.values())]
    if rng is not None:
        rounds = [[each[place] for place in rng.permutation(len(each))] for each in rounds]
    return [prompt for each in rounds for prompt in each]


class PromptSampler(ABC):
    """Chooses the prompts of groups, and may learn from how their trajectories end.

    Args:
        prompts: those to choose from, as :class:`~vla_envs.spec.Prompt` or pairs of task and initial state, Python's
            integers or NumPy's.

    Raises:
        InvalidArgumentError: no prompt, or something else than pairs of integers.
    """

    def __init__(self, prompts: Sequence[Prompt | tuple[int, int]]) -> None:
        self.prompts = tuple(map(check_prompt, check_sequence("prompts", prompts)))
        if not self.prompts:
            raise InvalidArgumentError("Expect `prompts` to have at least one prompt, actually: none.")

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Prompt | None:
        """The prompt of the next group, by the generator of the vector environment; None leaves the group idle."""

    def rewind(self) -> None:  # noqa: B027  (most have no place to go back to)
        """Go back to the first prompt, as ``reset(seed=...)`` asks; what was learned stays."""

    def learn(self, prompt: Prompt, successes: Sequence[bool]) -> None:  # noqa: B027  (most do not learn)
        """Take note of the finished trajectories of a group."""

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to go on from here: plain numbers, lists and strings."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027  (most have no state)
        """Go on from where :meth:`state_dict` was called."""


class UniformPrompts(PromptSampler):
    """Every prompt with the same probability."""

    def draw(self, rng: np.random.Generator) -> Prompt:
        """Any prompt."""
        return self.prompts[rng.integers(len(self.prompts))]


class SequentialPrompts(PromptSampler):
    """One prompt after the other.

    Args:
        prompts: in their order.
        repeat: begin again after the last; False leaves groups idle from there on.
    """

    def __init__(self, prompts: Sequence[Prompt | tuple[int, int]], repeat: bool = True) -> None:
        super().__init__(prompts)
        self.repeat = repeat
        self.position = 0
        """Prompts drawn so far."""

    def draw(self, rng: np.random.Generator) -> Prompt | None:
        """The next prompt; the generator is not used."""
        if self.position >= len(self.prompts) and not self.repeat:
            return None
        self.position += 1
        return self.prompts[(self.position - 1) % len(self.prompts)]

    def rewind(self) -> None:
        """Begin with the first prompt."""
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        """How many prompts were drawn."""
        return {"position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the prompt after those."""
        self.position = check_integer("position", check_mapping("state", state).get("position"), 0)


class EveryTaskPrompts(PromptSampler):
    """Every task from one initial state, one after the other, then all of them from another.

    So the trajectories of several instructions can be compared that start alike, see
    :func:`~vla_envs.group.contrast`.

    Args:
        prompts: those to choose from; initial states that not every task has are left out.

    Raises:
        InvalidArgumentError: no initial state that all tasks have.

    >>> sampler = EveryTaskPrompts([(0, 5), (1, 5), (0, 6)])
    >>> rng = np.random.default_rng(0)
    >>> [tuple(sampler.draw(rng)) for _ in range(3)]
    [(0, 5), (1, 5), (0, 5)]
    """

    def __init__(self, prompts: Sequence[Prompt | tuple[int, int]]) -> None:
        super().__init__(prompts)
        self.tasks = sorted({each.task_id for each in self.prompts})
        """The tasks that follow each other."""
        have = {task: {each.init_state_id for each in self.prompts if each.task_id == task} for task in self.tasks}
        self._shared = sorted(set.intersection(*have.values()))
        if not self._shared:
            raise InvalidArgumentError(f"Expect an initial state that all tasks have, actually none of {self.tasks}.")
        self._drawn = 0
        self._init_state = self._shared[0]

    def draw(self, rng: np.random.Generator) -> Prompt:
        """The next task, from an initial state that is drawn with the first of them."""
        place = self._drawn % len(self.tasks)
        if place == 0:
            self._init_state = self._shared[rng.integers(len(self._shared))]
        self._drawn += 1
        return Prompt(self.tasks[place], self._init_state)

    def rewind(self) -> None:
        """Begin with the first task."""
        self._drawn = 0

    def state_dict(self) -> dict[str, Any]:
        """How many prompts were drawn, and the initial state of the last one."""
        return {"drawn": self._drawn, "init_state_id": self._init_state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the task after that."""
        known = check_mapping("state", state)
        self._drawn = check_integer("drawn", known.get("drawn"), 0)
        init_state = check_integer("init_state_id", known.get("init_state_id"), 0)
        if init_state not in self._shared:
            raise InvalidArgumentError(f"Expect an initial state that all tasks have, actually: {init_state}.")
        self._init_state = init_state


class CurriculumPrompts(PromptSampler):
    """Favors prompts that are solved about half of the time, where siblings differ and so teach most.

    A prompt's weight is the expected variance of a trajectory's success, p (1 - p), under the
    posterior of its success rate p. With a uniform prior and s successes and f failures that is
    Beta(1 + s, 1 + f), and the expectation is

        (1 + s) (1 + f) / ((2 + s + f) (3 + s + f)):

    1/6 for a prompt that was never tried, near 1/4 for one solved half of the time, and small, but
    never 0, for one that is always or never solved.

    Args:
        prompts: those to choose from; one that is listed several times is known once and drawn as often as all its
            places together.
        decay: factor in 0..1 on what is known of a prompt whenever a group of it has ended, because the
            policy that earlier groups showed is no longer the policy; 1 forgets nothing.

    Raises:
        InvalidArgumentError: a decay outside its range.

    >>> sampler = CurriculumPrompts([(0, 0), (0, 1), (0, 2)])
    >>> sampler.learn(Prompt(0, 0), [True, True, True, True])
    >>> sampler.learn(Prompt(0, 1), [True, False, True, False])
    >>> sampler.probabilities().round(3).tolist()
    [0.238, 0.429, 0.333]
    """

    def __init__(self, prompts: Sequence[Prompt | tuple[int, int]], decay: float = 0.9) -> None:
        super().__init__(prompts)
        self.decay = check_number("decay", decay, 0.0, 1.0)
        self._rows = {prompt: row for row, prompt in enumerate(dict.fromkeys(self.prompts))}
        self._outcomes = np.zeros((len(self._rows), 2))  # successes and failures

    def probabilities(self) -> NDArray[np.float64]:
        """(number of prompts,): with which each is drawn next."""
        a, b = (1.0 + self._outcomes[[self._rows[prompt] for prompt in self.prompts]]).T
        weights = a * b / ((a + b) * (a + b + 1.0))
        return weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> Prompt:
        """A prompt by its probability."""
        return self.prompts[rng.choice(len(self.prompts), p=self.probabilities())]

    def learn(self, prompt: Prompt, successes: Sequence[bool]) -> None:
        """Count the group's successes and failures; prompts that are not among those to choose from do not count."""
        prompt = check_prompt(prompt)
        if prompt in self._rows:
            solved = check_flags("successes", successes)
            outcomes = self._outcomes[self._rows[prompt]]
            outcomes *= self.decay
            outcomes += (np.count_nonzero(solved), np.count_nonzero(~solved))

    def state_dict(self) -> dict[str, Any]:
        """``{"outcomes": [[task_id, init_state_id, successes, failures], ...]}`` of the prompts that were tried."""
        known = zip(self._rows, self._outcomes.tolist(), strict=True)
        return {"outcomes": [[*prompt, *counts] for prompt, counts in known if any(counts)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know exactly that of the prompts.

        Raises:
            InvalidArgumentError: a prompt that is not among those to choose from.
        """
        outcomes = np.zeros_like(self._outcomes)
        for each in check_sequence("outcomes", check_mapping("state", state).get("outcomes")):
            known = check_sequence("outcomes", each)
            prompt, counts = check_prompt(known[:2]), check_numbers("outcomes", known[2:])
            if prompt not in self._rows or counts.shape != (2,) or (counts < 0).any():
                raise InvalidArgumentError(
                    f"Expect the successes and failures of the same {len(self.prompts)} prompts, "
                    f"actually: {shown(counts)} of {prompt}."
                )
            outcomes[self._rows[prompt]] = counts
        self._outcomes = outcomes


SamplerName = Literal["uniform", "sequential", "every_task", "curriculum"]
SAMPLERS: dict[SamplerName, Callable[[Sequence[Prompt]], PromptSampler]] = {
    "uniform": UniformPrompts,
    "sequential": SequentialPrompts,
    "every_task": EveryTaskPrompts,
    "curriculum": CurriculumPrompts,
}
"""Samplers by name, over every prompt that the environment may draw."""


def make_sampler(
    prompts: PromptSampler | str | Sequence[Prompt | tuple[int, int]], make_env: Callable[[], gym.Env]
) -> PromptSampler:
    """The sampler that is meant: itself, one by its name, or one that walks through a list once.

    Args:
        prompts: a sampler, a name in :data:`SAMPLERS`, or prompts.
        make_env: an environment of the contract; for a name one is made, asked for its prompts and closed.

    Raises:
        InvalidArgumentError: an unknown name, or one where the environment cannot list its prompts.
    """
    if isinstance(prompts, PromptSampler):
        return prompts
    if not isinstance(prompts, str):
        return SequentialPrompts(prompts, repeat=False)
    check_choice("prompts", prompts, SAMPLERS)
    env = make_env()
    try:
        return SAMPLERS[cast(SamplerName, prompts)](_prompts_of(env))
    finally:
        env.close()


def check_prompt(value: Any) -> Prompt:
    """Return a pair of integers as a prompt, or raise InvalidArgumentError."""
    pair = check_sequence("prompt", value)
    if len(pair) != 2:
        raise InvalidArgumentError(f"Expect a prompt to be a task and an initial state, actually: {shown(value)}.")
    return Prompt(check_integer("task_id", pair[0], 0), check_integer("init_state_id", pair[1], 0))


def _prompts_of(env: gym.Env) -> Sequence[Prompt]:
    if not hasattr(env.unwrapped, "prompts"):
        raise InvalidArgumentError(
            f"Expect an environment that lists its `prompts()` for a sampler by name, actually: {env}. "
            "Give a list of prompts, or None to have the environments draw."
        )
    if hasattr(env.unwrapped, "warn_of_open_split"):
        env.unwrapped.warn_of_open_split()
    return env.unwrapped.prompts()
