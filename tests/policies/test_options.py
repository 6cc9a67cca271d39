"""Options: dataclasses that are checked by their types."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from annotated_types import Le
from hypothesis import given
from hypothesis import strategies as st
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

import vla_envs
from policies.openvla.config import OpenVLAOptions
from policies.options import Options
from vla_envs.errors import InvalidArgumentError


@dataclass(frozen=True)
class Weights:
    """A dataclass of another package, which checks itself."""

    left: float = 1.0

    def __post_init__(self) -> None:
        if self.left < 0:
            raise InvalidArgumentError(f"Expect `left` to be at least 0, actually: {self.left}.")


@dataclass(frozen=True)
class Inner(Options):
    section: ClassVar[str] = "inner."

    share: Annotated[NonNegativeFloat, Le(1.0)] = 0.5
    weights: Weights = field(default_factory=Weights)


@dataclass(frozen=True)
class Outer(Options):
    name: str = "outer"
    mode: Literal["fast", "slow"] = "fast"
    size: PositiveInt = 8
    rate: PositiveFloat | None = None
    shape: tuple[PositiveInt, ...] = (1, 2)
    flag: bool = False
    anything: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


@pytest.fixture
def path(tmp_path) -> Path:
    """Of a file of options."""
    return tmp_path / "options.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "Expect the `size` to be above 0, actually: 0."),
        ({"size": -1}, "Expect the `size` to be above 0, actually: -1."),
        ({"mode": "lazy"}, "Expect the `mode` to be 'fast' or 'slow', actually: 'lazy'."),
        ({"size": "8"}, "Expect the `size` to be a valid integer, actually: '8'."),
        ({"size": 8.5}, "Expect the `size` to be a valid integer, actually: 8.5."),
        ({"size": 8.0}, "Expect the `size` to be a valid integer, actually: 8.0."),
        ({"size": True}, "Expect the `size` to be a valid integer, actually: True."),
        ({"size": None}, "Expect the `size` to be a valid integer, actually: None."),
        ({"name": 3}, "Expect the `name` to be a valid string, actually: 3."),
        ({"flag": "yes"}, "Expect the `flag` to be a valid boolean, actually: 'yes'."),
        ({"flag": 1}, "Expect the `flag` to be a valid boolean, actually: 1."),
        ({"rate": 0.0}, "Expect the `rate` to be above 0, actually: 0.0."),
        ({"rate": math.nan}, "Expect the `rate` to be a finite number, actually: nan."),
        ({"rate": math.inf}, "Expect the `rate` to be a finite number, actually: inf."),
        ({"shape": (1, 0)}, "Expect the `shape` to be above 0, actually: (1, 0)."),
        ({"shape": 3}, "Expect the `shape` to be a valid tuple, actually: 3."),
        ({"shape": "12"}, "Expect the `shape` to be a valid tuple, actually: '12'."),
        ({"anything": [1]}, "Expect the `anything` to be a valid dictionary, actually: [1]."),
        ({"inner": {"share": 0.1}}, "Expect the `inner` to be an instance of Inner, actually: {'share': 0.1}."),
    ],
)
def test_a_value_that_its_type_does_not_allow_is_named(changes, message):
    """What was given, and what is valid."""
    with pytest.raises(InvalidArgumentError) as error:
        Outer(**changes)
    assert str(error.value) == message


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan, -math.inf])
def test_a_field_is_named_with_its_section(share):
    with pytest.raises(InvalidArgumentError, match=r"^Expect the `inner\.share` to be .*, actually: "):
        Inner(share=share)


def test_bounds_themselves_are_valid():
    assert (Inner(share=0.0).share, Inner(share=1.0).share, Outer(size=1).size) == (0.0, 1.0, 1)


def test_an_unknown_field_is_an_error_of_python():
    """As with any dataclass."""
    with pytest.raises(TypeError, match="'width'"):
        Outer(width=3)


def test_a_list_counts_as_a_tuple_and_an_integer_as_a_float():
    outer = Outer(shape=[3, 4], rate=2)
    assert (outer.shape, outer.rate) == ((3, 4), 2.0)
    assert isinstance(outer.rate, float)


def test_a_copy_is_checked_as_well():
    assert Outer().replace(size=3) == Outer(size=3)
    with pytest.raises(InvalidArgumentError, match="`size`"):
        Outer().replace(size=0)


def test_options_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outer().size = 3


@given(
    st.builds(
        Outer,
        name=st.text(),
        mode=st.sampled_from(["fast", "slow"]),
        size=st.integers(1, 10**9),
        rate=st.none() | st.floats(1e-300, 1e300),
        shape=st.lists(st.integers(1, 99)).map(tuple),
        flag=st.booleans(),
        anything=st.dictionaries(st.text(), st.integers() | st.lists(st.text())),
        inner=st.builds(Inner, share=st.floats(0, 1), weights=st.builds(Weights, left=st.floats(0, 9))),
    )
)
def test_json_gives_back_what_it_was_given(tmp_path_factory, outer):
    """Whatever the values are, to the last bit."""
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    path.write_text(outer.to_json())
    assert Outer.from_json(path) == outer


def test_what_fields_do_not_say_is_the_default():
    assert Outer.from_fields({"inner": {"share": 1}}) == Outer(inner=Inner(share=1.0))


@pytest.mark.parametrize("lacking", ["size", "inner.share", "inner.weights.left"])
def test_a_file_says_every_field(path, lacking):
    """A default in place of one would be another value in silence, and an empty object no options at all."""
    fields = json.loads(Outer().to_json())
    *outer, name = lacking.split(".")
    del reduce(dict.__getitem__, outer, fields)[name]
    path.write_text(json.dumps(fields))
    with pytest.raises(InvalidArgumentError, match=rf": Outer lacks its field `{lacking}`\.$"):
        Outer.from_json(path)


def test_an_empty_object_is_no_file_of_options(path):
    path.write_text("{}")
    with pytest.raises(InvalidArgumentError, match=r"Outer lacks its field `name`\..* And 5 more\.$"):
        Outer.from_json(path)


def test_a_directory_is_no_file_of_options(path):
    path.mkdir()
    with pytest.raises(InvalidArgumentError, match="Is a directory"):
        Outer.from_json(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"width": 3}', "Outer has no field `width`."),
        ('{"raet": 3}', "Outer has no field `raet`. Did you mean `rate`?"),
        ('{"inner": {"shares": 3}}', "Outer has no field `inner.shares`. Did you mean `share`?"),
        ('{"inner": {"weights": {"lfet": 3}}}', "Outer has no field `inner.weights.lfet`. Did you mean `left`?"),
        ('{"size": 8, "size": 9}', "the key 'size' is there twice"),
        ('{"anything": ' + "[" * 200 + "]" * 200 + "}", "it is nested deeper than 100 levels"),
        ('{"inner": {"width": 3}}', "Outer has no field `inner.width`."),
        ('{"inner": {"weights": {"right": 3}}}', "Outer has no field `inner.weights.right`."),
        ('{"inner": {"weights": {"left": -1}}}', "Expect `left` to be at least 0, actually: -1.0"),
        ('{"inner": {"share": 2}}', "Expect the `inner.share` to be at most 1, actually: 2."),
        ('{"size": "8"}', "Expect the `size` to be a valid integer, actually: '8'."),
        ('{"size": 0}', "Expect the `size` to be above 0, actually: 0."),
        ('{"rate": NaN}', "NaN is no finite number"),
        ('{"inner": {"weights": {"left": 1e999}}}', "1e999 is no finite number"),
        ('{"flag": "yes"}', "Expect the `flag` to be a valid boolean, actually: 'yes'."),
        ('{"mode": "lazy"}', "Expect the `mode` to be 'fast' or 'slow', actually: 'lazy'."),
        ("[]", "Expect Outer to be an object, actually: []."),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
        ("\xff", "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_file_that_holds_no_such_options_is_named(path, text, problem):
    """With this version, which others write other files, and with what is wrong."""
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidArgumentError) as error:
        Outer.from_json(path)
    assert str(error.value).startswith(f"{path} is damaged or of another version than this vla_envs ")
    assert f" {vla_envs.__version__}: {problem}" in str(error.value)
    assert "\n" not in str(error.value)


def test_of_many_problems_a_few_are_told(path):
    """A file of another version can have one in every line."""
    path.write_text(json.dumps(dict.fromkeys("abcdefg", 1)))
    with pytest.raises(
        InvalidArgumentError, match=r"`a`\. Outer has no field `b`\. Outer has no field `c`\. And 4 more\.$"
    ):
        Outer.from_json(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": "float16"}, "`dtype` to be 'float32' or 'bfloat16', actually: 'float16'"),
        ({"lora_rank": -1}, "`lora_rank` to be at least 0, actually: -1"),
        ({"lora_rank": "4"}, "`lora_rank` to be a valid integer, actually: '4'"),
        ({"lora_rank": True}, "`lora_rank` to be a valid integer, actually: True"),
        ({"autocast": 1}, "`autocast` to be a valid boolean, actually: 1"),
        ({"image_keys": []}, r"`image_keys` to have at least 1 item .*, actually: \[\]"),
        ({"vision_heads": [2, 0]}, "`vision_heads.1` to be above 0, actually: 0"),
        ({"lora_rang": 4}, "OpenVLAOptions has no field `lora_rang`"),
    ],
)
def test_fields_of_a_checkpoint_s_options_are_checked(fields, message):
    """The error names the field, what is valid and what was given."""
    with pytest.raises(InvalidArgumentError, match=message):
        OpenVLAOptions.from_fields(fields)
