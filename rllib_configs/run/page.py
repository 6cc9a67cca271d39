"""A page of HTML that holds all that it shows, tables, figures and films, and needs neither network nor scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from vla_envs.files import atomic_write_text

MAX_BYTES = 5_000_000
"""Size of the largest page: films that do not fit are named instead."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #8886; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .25rem .75rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
tr + tr > * { border-top: 1px solid #8884; } tr:last-child > td { font-weight: 600; }
table.plain tr:last-child > td { font-weight: inherit; }
td + td, th + th { font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; background: #fff; color: #222; border-radius: .25rem; padding: .5rem; }
figure svg, figure video { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .85rem; }
"""


class Section(NamedTuple):
    """A part of a page."""

    title: str
    blocks: Sequence[str]
    """HTML, made by the functions below."""


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Write a page: a title, a sentence that says the most important thing, and sections."""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>\n{paragraph(lead)}",
    ]
    for section in sections:
        parts += [f"<h2>{escape(section.title)}</h2>", *section.blocks]
    atomic_write_text(path, "\n".join([*parts, "</body>\n</html>\n"]))


def paragraph(text: str) -> str:
    """A paragraph of plain text.

    >>> paragraph("1 < 2")
    '<p>1 &lt; 2</p>'
    """
    return f"<p>{escape(text)}</p>"


def table(rows: Sequence[Sequence[str]], has_total: bool = False) -> str:
    """Rows under a header; the last one stands out if it is a total."""
    header, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in header)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    kind = "" if has_total else ' class="plain"'
    return f'<div class="wide"><table{kind}>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def drawing(figure: Figure, caption: str) -> str:
    """A figure of Matplotlib as lines, sharp at every size."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": caption}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return _figure(svg[svg.index("<svg") :], caption)


def film(path: Path, caption: str, room: int = MAX_BYTES) -> str:
    """An MP4 that plays in the page; where it has more bytes than ``room``, the sentence that says where it is."""
    if path.stat().st_size * 4 / 3 > room:
        return paragraph(f"{caption}: {path.name}, beside this page.")
    data = base64.b64encode(path.read_bytes()).decode()
    return _figure(f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video>', caption)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values by their names with points between them."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"
