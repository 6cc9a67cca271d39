"""Docstrings as Markdown: Sphinx's roles become links, and examples between ``>>>`` become code."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:py:)?\w+:`(?:([^`<]+) <)?(~?)([\w.]+)>?`")
EXAMPLE = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)


class SphinxRoles(griffe.Extension):
    """Rewrites the docstrings of a package when all of it is loaded, because names are looked up in their modules."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite the docstrings of a package."""
        rewrite(pkg)


def rewrite(each: griffe.Object) -> None:
    """Rewrite the docstrings of an object and of all that is in it."""
    if each.docstring:
        text = EXAMPLE.sub(r"\1```pycon\n\g<0>\n\1```", each.docstring.value)
        each.docstring.value = ROLE.sub(lambda role: link(each, *role.groups()), text)
    for member in each.members.values():
        if not member.is_alias:
            rewrite(member)


def link(scope: griffe.Object, title: str | None, short: str, name: str) -> str:
    """A link to what a name means in this place; plain code where the site does not document it."""
    try:
        target = scope.resolve(name.lstrip("."))
    except griffe.NameResolutionError:
        target = name
    shown = title or (name.rpartition(".")[2] if short else name)
    return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>'
