"""The walks through the code in docs/contributing.md are true, and as short as they shall stay."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = {
    "A reward, from": 12,
    "The temperature, from": 8,
    "An option, from": 6,
    "An OpenVLA directory": 11,
}
"""Beginning of a walk's title -> the most files that it may lead through."""


def walks() -> dict[str, list[list[str]]]:
    """Title -> rows of its table: file, what happens there, word to search for."""
    section = (ROOT / "docs/contributing.md").read_text().partition("## Four walks")[2].partition("\n## ")[0]
    titles = re.split(r"^\*\*(.+?)\*\*.*$", section, flags=re.M)[1:]
    return {
        title: [
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:3] == "| `"
        ]
        for title, table in zip(titles[::2], titles[1::2], strict=True)
    }


WALKS = walks()


@pytest.mark.parametrize(("title", "longest"), LONGEST.items())
def test_a_walk_leads_through_few_files(title, longest):
    (rows,) = (rows for each, rows in WALKS.items() if each.startswith(title))
    files = [row[0] for row in rows]
    assert 0 < len(set(files)) == len(files) <= longest


@pytest.mark.parametrize("title", WALKS)
def test_what_a_row_names_is_in_its_file(title):
    """The first name of its description is defined there, or an option of that part."""
    for file, text, _ in WALKS[title]:
        source = (ROOT / file.strip("`")).read_text()
        named = re.search(r"`(?:ttrl\.)?(\w+)`", text).group(1)
        assert named in defined_in(source), f"{file}: {named}"


@pytest.mark.parametrize("title", WALKS)
def test_the_word_of_a_row_leads_there_from_a_file_before(title):
    sources: list[str] = []
    for file, _, word in WALKS[title]:
        source = (ROOT / file.strip("`")).read_text()
        if sources:
            pattern = re.compile(rf"\b{word.strip('`')}\b")
            assert pattern.search(source), f"{file}: {word}"
            assert any(pattern.search(each) for each in sources), f"no file before {file} has {word}"
        sources.append(source)


def test_no_other_file_is_passed_on_the_way_to_an_action(random_checkpoint):
    """Of an OpenVLA directory: whatever is called, from loading to acting."""
    torch = pytest.importorskip("torch")
    from policies.openvla import AutoregressiveOpenVLA

    called: set[str] = set()

    def profile(frame, event, arg):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT) and frame.f_code.co_name != "<module>":
            called.add(path.relative_to(ROOT).as_posix())

    sys.setprofile(profile)
    try:
        policy = AutoregressiveOpenVLA.from_pretrained(random_checkpoint, vision_heads=(2, 3))
        policy.predict_action([torch.zeros(1, 64, 64, 3, dtype=torch.uint8)], ["pick up the bowl"])
    finally:
        sys.setprofile(None)
    (rows,) = (rows for title, rows in WALKS.items() if title.startswith("An OpenVLA directory"))
    ours = {path for path in called if path.startswith(("vla_envs/", "policies/", "rllib_configs/"))}
    ours -= {"vla_envs/strict_json.py", "vla_envs/arguments.py", "policies/tensor_files.py"}  # named beside the table
    assert ours == {row[0].strip("`") for row in rows}


def defined_in(source: str) -> set[str]:
    """Names of classes, functions and fields."""
    tree = ast.walk(ast.parse(source))
    names = set()
    for node in tree:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names
