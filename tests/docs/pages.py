"""What the documentation says in code: fenced blocks, and spans between backticks in the text around them."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Code:
    """A fenced block, or a span."""

    page: Path
    line: int
    text: str
    language: str = ""

    @property
    def where(self) -> str:
        """Page and line, for people."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command that a page tells its reader to run."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where} {shlex.join(self.words)}"


def blocks_of(page: Path) -> list[Code]:
    """The fenced blocks of a page."""
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Code(page, _line(text, match.start()), match[2], match[1]) for match in found]


def spans_of(page: Path) -> list[Code]:
    """The spans of a page, none of which is in a block."""
    text = re.sub(
        r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"), page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    return [Code(page, _line(text, match.start()), match[1]) for match in re.finditer(r"`([^`\n]+)`", text)]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def commands_in(where: str, text: str) -> Iterator[Command]:
    """The commands of lines, without comments, assignments before them, what a prompt answers, and ``.venv/bin/``."""
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        with contextlib.suppress(ValueError):  # a single apostrophe: what a program prints
            for is_joint, words in itertools.groupby(shlex.split(line, comments=True), "&&".__eq__):
                command = list(itertools.dropwhile(re.compile(r"\w+=").match, words))
                if command and not is_joint:
                    yield Command(where, (command[0].removeprefix(".venv/bin/"), *command[1:]))
