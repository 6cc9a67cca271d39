"""Damage to the bytes of a file, and to the structure of JSON."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

from tests.fuzz.values import DEPTH

HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 2**31, 3 * 2**30, 2**40, 2**62, 2**63 - 1, 2**64 - 1)


def damaged(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """What was done, and the file as it is then; never as it was."""
    while True:
        damage = rng.choice(DAMAGES)
        after = damage(rng, bytearray(content))
        if bytes(after) != content:
            return damage.__name__, bytes(after)


def flip_a_bit(rng: random.Random, content: bytearray) -> bytes:
    """As a bad disk does."""
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def flip_bytes(rng: random.Random, content: bytearray) -> bytes:
    """Several, anywhere."""
    for _ in range(rng.randrange(1, 20)):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return content


def cut(rng: random.Random, content: bytearray) -> bytes:
    """The end is missing; as of a copy that did not finish."""
    return content[: rng.randrange(len(content) + 1)]


def insert(rng: random.Random, content: bytearray) -> bytes:
    """Bytes that belong elsewhere."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randrange(1, 64)) + content[place:]


def zero(rng: random.Random, content: bytearray) -> bytes:
    """A block of NULs, as after a power cut."""
    place, length = rng.randrange(len(content) + 1), rng.choice([1, 8, 64, 512, 4096])
    content[place : place + length] = bytes(min(length, len(content) - place))
    return content


def append_zeros(rng: random.Random, content: bytearray) -> bytes:
    """The same behind the end."""
    return content + bytes(rng.choice([1, 512, 4096]))


def remove_a_block(rng: random.Random, content: bytearray) -> bytes:
    """What follows moves up."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + content[place + rng.choice([1, 8, 64, 512]) :]


def swap_blocks(rng: random.Random, content: bytearray) -> bytes:
    """Two blocks of one size change places."""
    length = rng.choice([1, 4, 16, 256])
    first, second = sorted(rng.randrange(max(len(content) - length, 1)) for _ in range(2))
    if second - first >= length:
        content[first : first + length], content[second : second + length] = (
            content[second : second + length],
            content[first : first + length],
        )
    return content


def edit_a_length(rng: random.Random, content: bytearray) -> bytes:
    """A number of 4 or 8 bytes becomes one that some reader takes for a length."""
    form = rng.choice(["<I", ">I", "<Q", ">Q"])
    size = struct.calcsize(form)
    place = rng.randrange(max(len(content) - size, 1))
    content[place : place + size] = struct.pack(form, rng.choice(HUGE) % 2 ** (8 * size))
    return content


def edit_a_figure(rng: random.Random, content: bytearray) -> bytes:
    """A number that is written in figures becomes another."""
    numbers = list(re.finditer(rb"\d+", bytes(content)))
    if numbers:
        number = rng.choice(numbers)
        content[number.start() : number.end()] = rng.choice([b"-1", b"0", b"1e12", b"9" * 5000, b"NaN", b"1.5", b'"1"'])
    return content


def empty(rng: random.Random, content: bytearray) -> bytes:
    """Nothing is left."""
    return b""


DAMAGES: tuple[Callable[[random.Random, bytearray], bytes], ...] = (
    *(flip_a_bit, flip_a_bit, flip_bytes, cut, insert, zero, append_zeros, remove_a_block, swap_blocks),
    *(edit_a_length, edit_a_length, edit_a_figure, empty),
)


def mutated(rng: random.Random, text: str) -> bytes:
    """JSON that says something else: a value, a key, or a depth that is not its own."""
    written = json.dumps(edited(rng, json.loads(text)))
    if rng.random() < 0.1:
        nested = rng.choice(["[" * DEPTH + "]" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH, "[" * DEPTH])
        written = nested if rng.random() < 0.3 else re.sub(r": (\d+|null|true|false)", f": {nested}", written, count=1)
    return written.encode()


def edited(rng: random.Random, content: Any) -> Any:
    """The content of JSON, of which one value or key is another."""
    if isinstance(content, dict) and content and rng.random() < 0.9:
        key = rng.choice(list(content))
        action = rng.random()
        if action < 0.15:
            return {name: value for name, value in content.items() if name != key}
        if action < 0.25:
            return {(name + "x" if name == key else name): value for name, value in content.items()}
        if action < 0.3:
            return {**content, "nonsense": 1}
        return {**content, key: edited(rng, content[key])}
    if isinstance(content, list) and content and rng.random() < 0.8:
        place = rng.randrange(len(content))
        return [*content[:place], edited(rng, content[place]), *content[place + rng.choice([1, 1, 2]) :]]
    return rng.choice([*VALUES, [content], {"a": content}, str(content)])


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 10**12, 2**63, 10**30, 1.5, -0.5, 1e308, float("nan"), float("inf")),
    *("", "nonsense", "é", "\0", "/nowhere/at/all", [], {}, [[]], [1, "a"], {"": None}, "x" * 1000),
)
