"""The file of an evaluation: a JSON line for each episode, to which an interrupted evaluation adds the others."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from policies.options import STRICT
from rllib_configs.run.evaluation import Episode
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import atomic_write_text
from vla_envs.spec import Prompt
from vla_envs.strict_json import parse_json


@dataclass(frozen=True)
class Setup:
    """What the episodes of an evaluation have in common: an evaluation goes on only with the same."""

    __pydantic_config__ = STRICT

    vla_envs: str
    """Version of this package."""
    actor: str
    """Directory of the policy, ``expert`` or ``random``."""
    sha256: str | None
    """Of the policy's files; None for other actors."""
    policy: dict[str, Any] | None
    """How the policy is hosted: its options without its directory; None for other actors."""
    protocol: str | None
    """Code base whose evaluation is followed."""
    temperature: float | None
    """At which actions are sampled; None takes the most probable ones."""
    sampling_seed: int
    """Of what is drawn: sampled or random actions."""
    split: Literal["train", "eval", "all"]
    num_envs: int
    """Environments side by side, on which the last bits of a network's answers depend."""
    environment: dict[str, Any]
    """Its id and keywords, and of its metadata what results rest on: versions, stand-ins, quality of the images."""


@dataclass(frozen=True)
class Result:
    """A line of the file: an episode and the setup."""

    __pydantic_config__ = STRICT

    index: int
    """Of the prompt among those of the evaluation; it seeds the episode."""
    prompt: Prompt
    episode: Episode | None
    """None where faults of a worker process have left none that is valid."""
    setup: Setup


_RESULT = TypeAdapter(Result)


class ResultsFile:
    """Writes the results of an evaluation to a file, batch by batch.

    Args:
        path: of the file; None keeps the results in memory alone. The whole batches that a file holds already count as
            done, and what follows them is dropped.
        setup: of the evaluation.
        prompts: of the evaluation, in order.

    Raises:
        InvalidArgumentError: the file is damaged, or of an evaluation with another setup or other prompts.
    """

    def __init__(self, path: Path | None, setup: Setup, prompts: Sequence[Prompt]) -> None:
        self.path, self.setup, self.prompts = path, setup, prompts
        self.results: list[Result] = []
        if path is not None and path.is_file():
            found = read_results(path, torn=True)
            self._check(found)
            whole = len(found) if len(found) == len(prompts) else len(found) // setup.num_envs * setup.num_envs
            self.results = found[:whole]
        if path is not None:
            atomic_write_text(path, "".join(map(_line, self.results)))

    def append(self, episodes: Sequence[Episode | None]) -> list[Result]:
        """Add the episodes of a batch and return their results; they are on disk when this returns."""
        first = len(self.results)
        added = [Result(index, self.prompts[index], each, self.setup) for index, each in enumerate(episodes, first)]
        self.results += added
        if self.path is not None:
            with self.path.open("a") as file:
                file.write("".join(map(_line, added)))
                file.flush()
                os.fsync(file.fileno())
        return added

    def _check(self, found: Sequence[Result]) -> None:
        """Raise where results are not the first ones of this evaluation."""
        theirs = [(each.index, each.prompt) for each in found]
        ours = list(enumerate(self.prompts))[: len(found)]
        others = [each.setup for each in found if each.setup != self.setup]
        if theirs != ours or others:
            given, expected = asdict(others[0]) if others else {}, asdict(self.setup)
            differing = [key for key in given if given[key] != expected[key]]
            named = [f"{key}={given[key]!r} instead of {expected[key]!r}" for key in differing]
            raise InvalidArgumentError(
                f"Expect `--output` to be a new file or one that this evaluation has begun, actually: {self.path}, of "
                f"another one with {', '.join(named) or 'other prompts'}. Name another file, or remove this one."
            )


def read_results(path: Path, torn: bool = False) -> list[Result]:
    """The results that a file holds.

    Args:
        path: of the file.
        torn: whether the last line may be the beginning of one, which a kill has left; it is left out.

    Raises:
        InvalidArgumentError: the file cannot be read, or a line is none.
    """
    try:
        *lines, rest = path.read_bytes().decode().split("\n")
        if rest and not torn:
            raise ValueError("its last line has no end: the evaluation was interrupted. Start it again to go on")
        return [_RESULT.validate_json(json.dumps(parse_json(line)), strict=True) for line in lines]
    except (OSError, ValueError, ValidationError) as error:
        reason = " ".join(str(error).split("\n")[:3])
        raise InvalidArgumentError(f"Expect the results of `vla evaluate`, actually: {path} ({reason}).") from error


def _line(result: Result) -> str:
    return _RESULT.dump_json(result).decode() + "\n"
