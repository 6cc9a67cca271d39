"""The answer of a response, in a form in which equal answers are equal texts."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 400
"""Digits up to which an answer is read as a number: the time to read one grows with their square."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[+-]?\.\d+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_FRACTION = re.compile(r"([+-]?)\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}")
_SLASH = re.compile(r"([+-]?[\d.]+)/([\d.]+)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf)\{([^{}]*)\}")
_DECORATION = re.compile(r"\\(?:left|right|!|,|;|:|quad| )|[\s$]|\\?%|\^\\circ|\\degree|\.$")


def extract_answer(response: str) -> str | None:
    r"""The answer of a response: what its last ``\boxed{...}`` holds, else its last number; None where there is none.

    The order is that of TTRL and of the graders of verl.

    >>> extract_answer(r"So 2 + 2 = \boxed{\frac{8}{2}}, not 5.")
    '\\frac{8}{2}'
    >>> extract_answer("2 + 2 = 4.")
    '4'
    """
    boxed = extract_boxed(response)
    return last_number(response) if boxed is None else boxed


def extract_boxed(response: str) -> str | None:
    r"""What the last ``\boxed{...}`` of a response holds; None where there is none, or its brace is never closed.

    >>> extract_boxed(r"\boxed{1} or \boxed{\sqrt{2}}")
    '\\sqrt{2}'
    """
    _, found, rest = response.rpartition(r"\boxed{")
    depth = 1
    for end, character in enumerate(rest if found else ""):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:end].strip()
    return None


def last_number(response: str) -> str | None:
    """The last number of a response, as it is written; None where there is none.

    >>> last_number("12 apples and 1,345.50 pears")
    '1,345.50'
    """
    *_, last = [None, *_NUMBER.findall(response)]
    return last


def canonical(answer: str) -> str:
    r"""A text that is the same for equal answers: numbers as reduced fractions, others without decoration.

    Decoration is white space, dollar, percent and degree signs, and LaTeX's commands for spaces and text. Nothing is
    computed: a sum or a root is no number.

    >>> [canonical(each) for each in ("1,000", r"\frac{2}{4}", "0.50", "-3/6", r"\text{even}", r"x = 5\,")]
    ['1000', '1/2', '1/2', '-1/2', 'even', 'x=5']
    """
    bare, before = answer, None
    while bare != before:  # what is inside may be decorated too
        bare, before = _DECORATION.sub("", _TEXT.sub(r"\1", bare)), bare
    bare = _THOUSANDS.sub("", bare)
    number = _number(bare)
    return bare if number is None else str(number)


def equivalent(a: str, b: str) -> bool:
    """Whether two answers are the same one.

    >>> equivalent("0.25", "1/4"), equivalent("7", "8")
    (True, False)
    """
    return canonical(a) == canonical(b)


def _number(bare: str) -> Fraction | None:
    """The number that a text is, None where it is none."""
    if len(bare) > MAX_DIGITS:
        return None
    if match := _FRACTION.fullmatch(bare):
        sign, over, under = match.groups()
        return _quotient(over, under, -1 if sign == "-" else 1)
    if match := _SLASH.fullmatch(bare):
        return _quotient(match[1], match[2], 1)
    return Fraction(bare) if _DECIMAL.fullmatch(bare) else None


def _quotient(over: str, under: str, sign: int) -> Fraction | None:
    if not (_DECIMAL.fullmatch(over) and _DECIMAL.fullmatch(under)) or Fraction(under) == 0:
        return None
    return sign * Fraction(over) / Fraction(under)
