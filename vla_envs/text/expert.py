"""What knows the answers of ``VLA-Text-v0`` and writes them behind any beginning of a response."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs import expert


class Expert(expert.Expert[list[int]]):
    """Says the right answer of the running episode.

    From the start that is the answer and the token that ends a response. Behind anything else it is the answer in a
    ``\\boxed{}``, which counts as the last word.

    Args:
        env: a :class:`~vla_envs.text.TextEnv`, whose question it answers.
    """

    def __init__(self, env: Any) -> None:
        super().__init__()
        self._env = env
        answer, (end, *_) = env.question.answer, env.tokens.end
        self._plain, self._boxed = ([*env.tokens.encode(text), end] for text in (answer, f"\\boxed{{{answer}}}"))

    def _limited(self, world: list[int]) -> NDArray[np.float32]:
        return self._act(world).astype(np.float32)

    def _world(self) -> list[int]:
        return self._env.response

    def _copy_world(self) -> list[int]:
        return [*self._env.response]

    def _act(self, world: list[int]) -> NDArray[np.float64]:
        said = len(world)
        if world == self._plain[:said] and said < len(self._plain):
            return np.array([self._plain[said]], np.float64)
        begun = next(n for n in range(min(said, len(self._boxed) - 1), -1, -1) if world[said - n :] == self._boxed[:n])
        return np.array([self._boxed[begun]], np.float64)

    def _step(self, world: list[int], action: NDArray[np.float64]) -> bool:
        world.append(int(action.item()))
        return world[-1] in self._env.tokens.end
