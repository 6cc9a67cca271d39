"""The file of an evaluation: a JSON line for each episode, to which an interrupted evaluation adds the others."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import TypeAdapter, ValidationError

from policies.options import STRICT
from rllib_configs.run.evaluation import Episode
from vla_envs.errors import InvalidArgumentError
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
    prompts: int
    """Number of prompts of the evaluation: a file with fewer lines is not whole."""
    prompt: Prompt
    episode: Episode | None
    """None where faults of a worker process have left none that is valid."""
    setup: Setup


_RESULT = TypeAdapter(Result)
_log = logging.getLogger(__name__)


class ResultsFile:
    """Writes the results of an evaluation to a file, batch by batch.

    Args:
        path: of the file; None keeps the results in memory alone. The whole batches that a file holds already count as
            done, and what follows them is dropped.
        setup: of the evaluation.
        prompts: of the evaluation, in order.

    Raises:
        InvalidArgumentError: the file is damaged, of an evaluation with another setup or other prompts, or one that
            another process writes.
    """

    def __init__(self, path: Path | None, setup: Setup, prompts: Sequence[Prompt]) -> None:
        self.path, self.setup, self.prompts = path, setup, prompts
        self.results: list[Result] = []
        if path is not None:
            self._file = _locked(path)
            self._go_on(path, self._file.read())

    def append(self, episodes: Sequence[Episode | None]) -> list[Result]:
        """Add the episodes of a batch and return their results; they are on disk when this returns."""
        first, n = len(self.results), len(self.prompts)
        added = [Result(index, n, self.prompts[index], each, self.setup) for index, each in enumerate(episodes, first)]
        self.results += added
        if self.path is not None:
            self._file.write(b"".join(map(_line, added)))
            self._file.flush()
            os.fsync(self._file.fileno())
        return added

    def _go_on(self, path: Path, data: bytes) -> None:
        """Take the whole batches of a file, and cut off what follows them."""
        *lines, _ = data.split(b"\n")
        found = _parsed(path, lines)
        self._check(found)
        batch = self.setup.num_envs
        kept = len(found) if len(found) == len(self.prompts) else len(found) // batch * batch
        self.results = found[:kept]
        self._file.truncate(sum(len(line) + 1 for line in lines[:kept]))

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


def read_results(path: Path, whole: bool = True) -> list[Result]:
    """The results that a file holds.

    Args:
        path: of the file.
        whole: whether it has to hold a result for every prompt, which an interrupted evaluation does not.

    Raises:
        InvalidArgumentError: the file cannot be read, has no results or those of several evaluations, or is not whole.
    """
    try:
        *lines, rest = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InvalidArgumentError(f"Expect the results of `vla evaluate`, actually: {path} ({error}).") from error
    results = _parsed(path, lines)
    if not results:
        raise InvalidArgumentError(f"Expect results of episodes, actually: {path} has none.")
    prompts = results[-1].prompts
    if whole and (rest or len(results) < prompts):
        raise InvalidArgumentError(
            f"Expect the results of a whole evaluation, actually: {path} has {len(results)} of {prompts}, because it "
            "was interrupted, or ended by the comparison that it belongs to. The command that began it goes on with it."
        )
    return results


def caveats(setup: Setup, *evaluations: Sequence[Result]) -> list[str]:
    """What has to be said beside success rates, a sentence each; the evaluations are of the same prompts."""
    sentences = []
    if left_out := {each.index for results in evaluations for each in results if each.episode is None}:
        of = len(evaluations[0])
        sentences.append(f"{len(left_out)} of {of} prompts gave no valid episode and are left out.")
    if stand_ins := setup.environment.get("stand_ins", ()):
        sentences.append(f"{len(stand_ins)} stand-ins for files of the assets: images are not the official ones.")
    return sentences


def _parsed(path: Path, lines: Sequence[bytes]) -> list[Result]:
    """The results of lines, of one evaluation and in its order."""
    try:
        results = [_RESULT.validate_json(json.dumps(parse_json(line.decode())), strict=True) for line in lines]
    except (ValueError, ValidationError) as error:
        reason = " ".join(str(error).split("\n")[:3])
        raise InvalidArgumentError(f"Expect the results of `vla evaluate`, actually: {path} ({reason}).") from error
    if [each.index for each in results] != [*range(len(results))] or any(
        each.setup != results[0].setup for each in results
    ):
        raise InvalidArgumentError(
            f"Expect the results of one evaluation, actually: {path}, whose lines are of several, or not in order."
        )
    return results


def _locked(path: Path) -> BinaryIO:
    """The file, empty if it was absent, at its beginning; nobody else writes it until this process has ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b")
    try:
        # Of the process and not of this handle, so that the same process can go on with what it has begun.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise InvalidArgumentError(
            f"Expect `--output` to be a file that no other process writes, actually: {path}. Wait until that has "
            "ended, or name another file."
        ) from None
    except OSError as error:
        _log.warning("%s cannot be locked (%s): let no other process write it.", path, error)
    file.seek(0)
    return file


def _line(result: Result) -> bytes:
    return _RESULT.dump_json(result) + b"\n"
