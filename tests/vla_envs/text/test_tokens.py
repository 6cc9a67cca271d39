"""Tokens: those of characters, and those of a directory."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.errors import DamagedAssetsError, MissingAssetsError
from vla_envs.text.tokens import characters, read_tokens


@given(st.text(string.printable))
def test_a_text_is_its_characters(text):
    """One token each; none of them ends a response, and ends stand for no text."""
    tokens = characters()
    ids = tokens.encode(text)
    assert len(ids) == len(text)
    assert not {*ids} & {*tokens.end}
    assert all(0 <= each < tokens.size for each in ids)
    assert tokens.decode([*tokens.end, *ids, *tokens.end]) == text


@pytest.fixture
def folder(tmp_path):
    """Where a language model could be."""
    characters().tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 3}))
    return tmp_path


def test_a_directory_is_read(folder):
    """The first file that names an end tells, and may name several."""
    assert read_tokens(folder).decode(characters().encode("1+1")) == "1+1"
    assert read_tokens(folder).end == (3,)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 5]}))
    read_tokens.cache_clear()
    assert read_tokens(folder).end == (7, 5)


def test_without_an_end_no_response_would_be_over(folder):
    """The error names the files that could name one."""
    (folder / "config.json").write_text("{}")
    with pytest.raises(MissingAssetsError, match=r"generation_config\.json or config\.json .*`eos_token_id`"):
        read_tokens(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "no json"),
        ("config.json", '{"eos_token_id": "</s>"}'),
        ("config.json", '{"eos_token_id": [1, true]}'),
        ("config.json", '{"eos_token_id": 101}'),
        ("config.json", '{"eos_token_id": -1}'),
        ("config.json", "no json"),
    ],
)
def test_damaged_files_are_refused(folder, name, text):
    """By name."""
    (folder / name).write_text(text)
    with pytest.raises(DamagedAssetsError, match="Fetch it again"):
        read_tokens(folder)
