"""Instructions in other words."""

import numpy as np
import pytest

from vla_envs.libero.suites import SUITES
from vla_envs.spec import MAX_INSTRUCTION_LENGTH
from vla_envs.tabletop.tasks import TASKS
from vla_envs.wrappers.perturb.instruction import LONG_FRAMES, SHORT_FRAMES, SYNONYMS, VARIANTS, Paraphrase

INSTRUCTIONS = [
    *(task.instruction for task in TASKS),
    *(task.language for suite in SUITES.values() for task in suite.tasks),
]
VERBS = {verb.split()[0] for verb in SYNONYMS}


@pytest.mark.parametrize("variant", range(1, VARIANTS + 1))
def test_every_command_of_every_task_gets_another_verb(variant):
    """What it is done to, and where, stays word for word."""
    for instruction in INSTRUCTIONS:
        reworded = Paraphrase("{}", variant).apply(instruction)
        assert reworded.split()[0] != instruction.split()[0] or "turn" in instruction or "open" in instruction
        assert reworded != instruction
        kept = [word for word in instruction.split() if word not in {*VERBS, "up", "on", "off"}]
        assert [word for word in reworded.split() if word in kept][-2:] == kept[-2:]


@pytest.mark.parametrize("frame", [*SHORT_FRAMES, *LONG_FRAMES])
def test_a_frame_holds_the_instruction_and_fits(frame):
    """No task of the package becomes too long for the observation space."""
    for instruction in INSTRUCTIONS:
        for variant in range(VARIANTS + 1):
            assert Paraphrase("{}", variant).apply(instruction) in Paraphrase(frame, variant).apply(instruction)
            assert len(Paraphrase(frame, variant).apply(instruction)) <= MAX_INSTRUCTION_LENGTH


def test_only_commands_are_reworded():
    """An adjective that looks like one is none."""
    said = Paraphrase("{}", 1).apply("close the open drawer and put the bowl in the close corner")
    assert said == "shut the open drawer and place the bowl in the close corner"


@pytest.mark.parametrize(
    ("severity", "frames", "reworded"),
    [(0.3, SHORT_FRAMES, False), (0.6, SHORT_FRAMES, True), (1.0, LONG_FRAMES, True)],
)
def test_severity_goes_from_polite_to_talkative(severity, frames, reworded):
    """First a frame, then other verbs, then a long frame."""
    drawn = [Paraphrase.draw(np.random.default_rng(seed), severity) for seed in range(30)]
    assert {paraphrase.frame for paraphrase in drawn} == set(frames)
    assert {paraphrase.variant for paraphrase in drawn} == ({1, 2} if reworded else {0})
