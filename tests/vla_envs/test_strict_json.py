"""JSON whose mistakes are errors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.strict_json import MAX_BYTES, MAX_DEPTH, parse_json, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_whatever_json_can_say_is_read(value):
    """To the last bit."""
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "the key 'b' is there twice"),
        ("[NaN]", "NaN is no finite number"),
        ("[-Infinity]", "-Infinity is no finite number"),
        ("[1e999]", "1e999 is no finite number"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 100 levels"),
        ('{"a":' * 100_000, "nested deeper than 100 levels"),
        ("", "Expecting value"),
        ('{"a": 1}\0\0\0', "Extra data"),
        ("[" + "9" * 10_000 + "]", "digits"),
    ],
)
def test_what_would_change_in_silence_is_an_error(text, problem):
    """Python's reader takes the last of two values, numbers that JSON does not have, and fails at depth."""
    with pytest.raises(ValueError, match=problem):
        parse_json(text)


def test_the_deepest_nesting_is_read():
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    """As some editors put one before it."""
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa4"}')
    assert read_json(tmp_path / "a.json") == {"a": "ä"}


def test_other_encodings_are_refused(tmp_path):
    (tmp_path / "a.json").write_bytes('{"a": "ä"}'.encode("utf-16"))
    with pytest.raises(ValueError, match="utf-8"):
        read_json(tmp_path / "a.json")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1000 * MAX_BYTES)
    with pytest.raises(ValueError, match=f"more than {MAX_BYTES} bytes"):
        read_json(tmp_path / "a.json")


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_json(tmp_path)
