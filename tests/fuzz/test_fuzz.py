"""A bounded run of the fuzz harness; ``make fuzz`` is the long one."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.harness import ACCEPTED, FAILURES, RAW, Case, Kind, try_cases
from vla_envs.errors import InvalidArgumentError


def _refuse() -> None:
    raise InvalidArgumentError("Expect something else.")


ENDINGS = {
    "sound": (lambda: None, ACCEPTED),
    "named": (_refuse, "refused"),
    "foreign": (lambda: [][0], RAW),
    "memory": (lambda: bytes(2**40), RAW),
    "death": (lambda: os._exit(3), RAW),
}
"""Name -> what a case does, and its outcome."""
KINDS = {name: Kind(lambda rng, folder, run=run: Case("", run)) for name, (run, _) in ENDINGS.items()}


@pytest.mark.parametrize("module", ["calls", "files"])
def test_a_foreign_error_or_other_data_comes_of_nothing(module):
    """Whatever a caller gives or a disk does to a file: a named error, or a sound result."""
    verdicts = [*try_cases(module, range(50), seed=0)]
    assert len(verdicts) == 50
    assert [each for each in verdicts if each.outcome in FAILURES] == []


def test_each_ending_costs_its_own_case_alone():
    """A process that dies or fills its memory is counted once, and the cases after it are tried."""
    verdicts = [*try_cases("test_fuzz", range(12), seed=0)]
    assert [each.outcome for each in verdicts] == [ENDINGS[each.kind][1] for each in verdicts]
    assert {each.kind for each in verdicts} == set(ENDINGS)
    assert [each.description for each in verdicts] == [f"test_fuzz:{number} " for number in range(12)]
