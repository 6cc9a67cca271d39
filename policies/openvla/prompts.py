"""Instructions as the token ids that a checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError, check_choice

TEMPLATES = {
    "openvla": "In: What action should the robot take to {instruction}?\nOut:",
    "openvla-v01": (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. "
        "USER: What action should the robot take to {instruction}? ASSISTANT:"
    ),
}
"""Name -> text around an instruction. ``openvla-v01`` is that of the first models, on Vicuna."""

BOS, EOS, PAD = 1, 2, 32000
"""Begin of sequence, end of sequence and padding."""
SPACE = 29871
"""The empty piece that a prompt ends with: what comes next is an action."""


class Prompter:
    """Instructions to token ids.

    Args:
        tokenizer: the checkpoint's ``tokenizer.json``.
        template: a name of :data:`TEMPLATES`.

    Raises:
        MissingAssetsError: no such file.
        DamagedAssetsError: no tokenizer in it.
        InvalidArgumentError: one without the ids above, or an unknown template.
    """

    def __init__(self, tokenizer: Path, template: str = "openvla") -> None:
        if not tokenizer.is_file():
            raise MissingAssetsError(f"Expect the checkpoint's tokenizer at `{tokenizer}`, actually: no such file.")
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise DamagedAssetsError(f"`{tokenizer}` is damaged or no tokenizer: {error}") from error
        check_choice("template", template, TEMPLATES)
        self.template = TEMPLATES[template]
        self.ids = lru_cache(maxsize=4096)(self._ids)
        actual = {"begin of sequence": self.ids("")[0], "\u2581": self._tokenizer.token_to_id("\u2581")}
        expected = {"begin of sequence": BOS, "\u2581": SPACE}
        if actual != expected:
            raise InvalidArgumentError(f"Expect `{tokenizer}` to have the ids {expected}, actually: {actual}.")

    def _ids(self, instruction: str) -> tuple[int, ...]:
        """The ids of one instruction, the begin of the sequence and the final space included."""
        ids = self._tokenizer.encode(self.template.format(instruction=instruction.lower())).ids
        return tuple(ids if ids[-1] == SPACE else [*ids, SPACE])

    def __call__(self, instructions: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
        """int64 (B, L): prompts of different length are padded behind the first id."""
        rows = [self.ids(each) for each in instructions]
        length = max(map(len, rows))
        return torch.tensor([[row[0], *[PAD] * (length - len(row)), *row[1:]] for row in rows], device=device)
