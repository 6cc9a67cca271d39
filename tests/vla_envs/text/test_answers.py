"""Answers of responses."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_envs.text.answers import MAX_DIGITS, canonical, equivalent, extract_answer, extract_boxed, last_number

integers = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{3}", "3"),
        (r"first \boxed{3}, then \boxed{\frac{1}{2}} and 7", r"\frac{1}{2}"),
        (r"\boxed{ \text{no} }", r"\text{no}"),
        (r"\boxed{never closed, but 5", "5"),
        ("17 + 5 = 22", "22"),
        ("the answer is -3.5.", "-3.5"),
        ("1,234 apples", "1,234"),
        ("12, 13", "13"),
        ("nothing", None),
        ("", None),
    ],
)
def test_the_last_box_or_else_the_last_number_is_the_answer(response, answer):
    """A box that is never closed is none."""
    assert extract_answer(response) == answer


@given(st.text(alphabet="ab{}", max_size=20))
def test_a_box_holds_what_was_put_into_it(text):
    """Where its braces match."""
    depths = [0]
    for character in text:
        depths.append(depths[-1] + (character == "{") - (character == "}"))
    if min(depths) == depths[-1] == 0:
        assert extract_boxed(rf"x \boxed{{{text}}} y") == text


@given(integers)
def test_the_last_number_is_found_behind_words(number):
    """With thousands apart or not."""
    for written in (str(number), f"{number:,}"):
        assert canonical(last_number(f"So 12 gives {written}.")) == str(number)


@given(integers, st.integers(1, 10**6))
def test_a_number_is_one_text_however_it_is_written(over, under):
    """As a fraction of LaTeX or with a slash, reduced or not."""
    value = Fraction(over, under)
    sign, size = "-" if over < 0 else "", abs(over)
    for written in (
        rf"{sign}\frac{{{size}}}{{{under}}}",
        rf"\dfrac{{{over}}}{{{under}}}",
        f"{over}/{under}",
        f"${over} / {under}$",
    ):
        assert canonical(written) == str(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**6), max_value=10**6))
def test_a_decimal_equals_its_fraction(number):
    """Exactly, and without the zeros at its end."""
    assert canonical(f"{number:f}") == str(Fraction(number))


@pytest.mark.parametrize(
    ("one", "other"),
    [("50%", "50"), (r"90^\circ", "90"), (r"\text{ yes }", "yes"), (".5", "0.5"), ("5.", "5"), (r"(1,\, 2)", "(1,2)")],
)
def test_decoration_makes_no_difference(one, other):
    """Nor do spaces."""
    assert equivalent(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("5", "-5"), ("1/2", "2"), ("(1,2)", "(2,1)"), ("1,23", "123"), ("2x", "x2")]
)
def test_other_answers_differ(one, other):
    """Also where they have the same characters."""
    assert not equivalent(one, other)


@given(st.text(max_size=60))
def test_any_text_has_a_form_of_its_own(text):
    """Which is its own form."""
    assert canonical(canonical(text)) == canonical(text)


def test_what_is_too_long_for_a_number_is_a_text():
    """And a division by zero, or of something else than numbers, is none."""
    long = "9" * (MAX_DIGITS + 1)
    assert canonical(long) == long
    assert canonical("1/0") == "1/0"
    assert canonical(r"\frac{a}{2}") == r"\frac{a}{2}"
