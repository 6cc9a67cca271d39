"""The instruction in other words that mean the same."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

SHORT_FRAMES = ("please {}", "{}, please", "now {}", "can you {}?")
LONG_FRAMES = (
    "I would like you to {}",
    "your next task is to {}",
    "could you do me a favor and {}?",
    "when you are ready, {}, then wait for me",
)
SYNONYMS = {
    "pick up": ("grab", "take"),
    "put": ("place", "set"),
    "place": ("put", "set"),
    "stack": ("pile", "place"),
    "push": ("slide", "shove"),
    "open": ("pull open", "open up"),
    "close": ("shut", "push shut"),
    "turn on": ("switch on", "activate"),
    "turn off": ("switch off", "deactivate"),
}
"""What an instruction asks for -> other words for it."""
VARIANTS = 2
"""Other words for each."""

_COMMAND = re.compile(rf"(^|\band |\bthen )({'|'.join(SYNONYMS)})\b", re.IGNORECASE)
"""Only where a command begins: "the open drawer" is no request to open it."""


class Paraphrase(NamedTuple):
    """Other words for an instruction.

    Attributes:
        frame: the sentence around it.
        variant: 0 keeps the instruction's verbs, 1 and 2 put synonyms in their place.
    """

    frame: str
    variant: int

    @classmethod
    def draw(cls, rng: np.random.Generator, severity: float) -> Paraphrase:
        """Up to a third of the severity a short frame, up to two thirds other verbs in it, above a long frame."""
        level = math.ceil(3.0 * severity)
        frame = str(rng.choice(LONG_FRAMES if level == 3 else SHORT_FRAMES))
        variant = int(rng.integers(1, VARIANTS + 1))
        return cls(frame, variant if level > 1 else 0)

    def apply(self, instruction: str) -> str:
        """The paraphrase.

        >>> Paraphrase("please {}", 1).apply("pick up the bowl and place it on the plate")
        'please grab the bowl and put it on the plate'
        """
        return self.frame.format(_COMMAND.sub(self._reword, instruction) if self.variant else instruction)

    def _reword(self, command: re.Match[str]) -> str:
        return command[1] + SYNONYMS[command[2].lower()][self.variant - 1]
