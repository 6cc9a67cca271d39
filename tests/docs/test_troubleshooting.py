"""What the page of troubleshooting quotes is what the code says."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text().partition("## Other libraries")[0]
MESSAGES = [row[1] for row in re.finditer(r"^\| `([^|]+)` \|", PAGE, re.MULTILINE)]
"""The first cells that are a message; what a reader sees without one is text."""


def texts() -> list[str]:
    """All literals of the packages and what the Makefile says, as they are printed: without backquotes."""
    found = [(ROOT / "Makefile").read_text()]
    for package in ("vla_envs", "policies", "rllib_configs"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.walk(ast.parse(path.read_text()))
            found += [node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text.replace("`", "") for text in found]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return texts()


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_of_the_code(said, message):
    """Each part between dots, which stand for what differs."""
    for part in filter(None, map(str.strip, message.split("..."))):
        assert any(part.strip("()'[]. ") in text for text in said), part


def test_messages_are_found():
    """The test above would pass by blindness otherwise."""
    assert len(MESSAGES) > 30
