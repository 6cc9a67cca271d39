"""Questions with known answers: sums from a generator, or those of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vla_envs.arguments import check_integer, check_number, check_path, shown
from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.files import expanded, named
from vla_envs.strict_json import MAX_BYTES, parse_json, read_json

MAX_DIGITS = 9
"""Most digits of a number to add."""
MAX_QUESTIONS = 2**20
"""Most questions of an environment."""
MAX_LENGTH = 2**15
"""Longest question in characters."""
FORMATS = (".json", ".jsonl", ".parquet")
"""Endings of the files that questions are read from."""


class Question(NamedTuple):
    """What is asked, and what is right."""

    text: str
    """1 to 32768 characters."""
    answer: str
    """As its file has it: see :func:`~vla_envs.text.answers.canonical`."""


def sums(digits: int = 3, num_questions: int = 1000, skipped: int = 0, errors: float = 0.0) -> tuple[Question, ...]:
    """Sums of two numbers, in an order that looks random and is the same in every process.

    No sum is there twice, with its terms exchanged neither, so that no question of one part answers one of another.

    Args:
        digits: of each of the two numbers, 1 to 9.
        num_questions: at least 2.
        skipped: how many sums are left out first, such as those that a policy was cloned from. Both together are at
            most as many as there are: 45 of one digit, 4095 of two.
        errors: probability that a digit of an answer is another one, from 0 to 1. A policy that is cloned from such
            answers and sampled at temperature 1 errs about as often, each time in another way.

    Raises:
        InvalidArgumentError: a number outside its range.

    >>> sums(digits=2, num_questions=2)
    (Question(text='85+33=', answer='118'), Question(text='19+36=', answer='55'))
    """
    check_integer("digits", digits, 1, MAX_DIGITS)
    check_number("errors", errors, 0.0, 1.0)
    numbers = 9 * 10 ** (digits - 1)
    most = min(numbers * (numbers + 1) // 2, MAX_QUESTIONS)
    check_integer("num_questions", num_questions, 2, most)
    check_integer("skipped", skipped, 0, most - num_questions)
    return _sums(int(digits), int(num_questions), int(skipped), float(errors))


@cache
def _sums(digits: int, num_questions: int, skipped: int, errors: float) -> tuple[Question, ...]:
    lowest, numbers = 10 ** (digits - 1), 9 * 10 ** (digits - 1)
    rng, drawn = np.random.default_rng(digits), dict[frozenset[int], Question]()
    while len(drawn) < skipped + num_questions:
        a, b = rng.integers(lowest, lowest + numbers, 2).tolist()
        drawn.setdefault(frozenset((a, b)), Question(f"{a}+{b}=", str(a + b)))
    return tuple(Question(text, _erring(answer, errors, text)) for text, answer in [*drawn.values()][skipped:])


def _erring(answer: str, errors: float, text: str) -> str:
    """An answer of which each digit is another one with probability ``errors``; the same for every question's text."""
    if not errors:
        return answer
    rng = np.random.default_rng([*text.encode()])
    shifts = np.where(rng.random(len(answer)) < errors, rng.integers(1, 10, len(answer)), 0)
    return "".join(str((int(digit) + shift) % 10) for digit, shift in zip(answer, shifts.tolist(), strict=True))


def read_questions(path: str | Path) -> tuple[Question, ...]:
    """The questions of a file in the layouts of TTRL and of verl.

    Each record has ``prompt``, a text or a conversation of one message of the user, and ``answer``, or verl's
    ``reward_model`` with ``ground_truth``. Other keys are left alone, and a question that is there twice is one.

    Args:
        path: a list in JSON, a record a line (``.jsonl``), or a table (``.parquet``, which needs pyarrow).

    Raises:
        MissingAssetsError: no such file.
        InvalidArgumentError: an ending of another kind, something else than such records, or a file that is too large.
    """
    return _read_questions(expanded(check_path("path", path)))


@cache
def _read_questions(path: Path) -> tuple[Question, ...]:
    if path.suffix not in FORMATS:
        raise InvalidArgumentError(
            f"Expect the questions in a file that ends in {', '.join(FORMATS)}, actually: {path}."
        )
    if not path.is_file():
        raise MissingAssetsError(f"Expect a file of questions, actually: {named(path)}.")
    try:
        questions = tuple(dict.fromkeys(_question(each) for each in _records(path)))
        if len({each.text for each in questions}) < max(len(questions), 1):
            raise ValueError("no question, or two answers to one")
    except (ValueError, OSError) as error:
        raise InvalidArgumentError(
            f"Expect `{path}` to hold records with `prompt` and `answer`, actually: {error}."
        ) from error
    return questions


def _records(path: Path) -> Iterator[Any]:
    if path.suffix == ".json":
        records = read_json(path)
        if not isinstance(records, list):
            raise ValueError(f"{shown(records)} in place of a list")
        yield from records
        return
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as file:
            yield from (parse_json(line) for line in file if line.strip())
        return
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(path)
    if file.metadata.num_rows > MAX_QUESTIONS:
        raise ValueError(f"it has more than {MAX_QUESTIONS} rows")
    columns = [each for each in ("prompt", "answer", "reward_model") if each in file.schema_arrow.names]
    for batch in file.iter_batches(columns=columns):
        yield from batch.to_pylist()


def _question(record: Any) -> Question:
    if not isinstance(record, Mapping):
        raise ValueError(f"{shown(record)} in place of a record")
    text, answer = _said(record.get("prompt")), record.get("answer")
    if answer is None and isinstance(record.get("reward_model"), Mapping):
        answer = record["reward_model"].get("ground_truth")
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        answer = json.dumps(answer)
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError(f"{shown(record)} without an answer")
    return Question(text, answer)


def _said(prompt: Any) -> str:
    """The text of a prompt, or of the one message of a conversation."""
    if isinstance(prompt, Sequence) and not isinstance(prompt, str) and len(prompt) == 1:
        (message,) = prompt
        if isinstance(message, Mapping) and message.get("role") == "user":
            prompt = message.get("content")
    if not isinstance(prompt, str) or not 0 < len(prompt) <= MAX_LENGTH:
        raise ValueError(f"{shown(prompt)} in place of a `prompt` of 1 to {MAX_LENGTH} characters")
    return prompt
