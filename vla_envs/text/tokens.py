"""From texts to the ids of tokens and back, by the file that every policy of Hugging Face has beside its weights."""

from __future__ import annotations

import json
import string
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_envs.errors import DamagedAssetsError, MissingAssetsError
from vla_envs.files import expanded, named
from vla_envs.strict_json import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
END_FILES = ("generation_config.json", "config.json")
"""Files whose ``eos_token_id`` ends a response; the first that has one tells."""
END = "<end>"
"""Token of :func:`characters` that ends a response."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenizer, and which of its tokens end a response."""

    tokenizer: Tokenizer
    """Of the library ``tokenizers``."""
    end: tuple[int, ...]
    """Ids of the tokens that end a response, first the one to write."""

    @property
    def size(self) -> int:
        """How many tokens there are; their ids lie below it."""
        return self.tokenizer.get_vocab_size()

    @property
    def fingerprint(self) -> str:
        """What tells tokenizers apart."""
        return f"{zlib.crc32(self.tokenizer.to_str().encode()):08x} {self.end}"

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without marks for its beginning and its end."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; those that stand for no text, such as marks for an end, are left out."""
        return self.tokenizer.decode([*ids], skip_special_tokens=True)

    def save(self, folder: Path) -> None:
        """Write what :func:`read_tokens` reads."""
        self.tokenizer.save(str(folder / TOKENIZER_FILE))
        (folder / END_FILES[0]).write_text(json.dumps({"eos_token_id": list(self.end)}))


@cache
def characters() -> Tokens:
    """A token for each printable character of ASCII, and one that ends a response.

    >>> tokens = characters()
    >>> tokens.decode(tokens.encode("1+1=2")), tokens.size, tokens.end
    ('1+1=2', 101, (0,))
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    ids = {END: 0, **{each: place for place, each in enumerate(string.printable, start=1)}}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return Tokens(tokenizer, (0,))


def model_folder(source: str, further: Sequence[str] = ()) -> Path:
    """The directory of a language model: the one that ``source`` names here, or else what the hub has.

    Args:
        source: directory or name on Hugging Face's hub.
        further: patterns of files to fetch beside those of the tokenizer.

    Raises:
        MissingAssetsError: there is neither.
    """
    if (folder := expanded(source)).is_dir():
        return folder
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(source, allow_patterns=[TOKENIZER_FILE, *END_FILES, *further]))
    except (ImportError, OSError, ValueError) as error:
        raise MissingAssetsError(
            f"Expect a directory, or a name on the hub, with {TOKENIZER_FILE}, actually: {named(source)} "
            f"({str(error).splitlines()[0]}). Download one with: hf download <repository> --local-dir DIRECTORY"
        ) from error


@cache
def read_tokens(folder: Path) -> Tokens:
    """The tokenizer of a language model's directory.

    Raises:
        MissingAssetsError: the directory has no ``tokenizer.json``, or no file that names the token of the end.
        DamagedAssetsError: a file is damaged, or names a token that is none.
    """
    from tokenizers import Tokenizer

    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise MissingAssetsError(
            f"Expect the directory of a language model with {TOKENIZER_FILE}, actually: {named(folder)}."
        )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # what the library raises has no class of its own
        raise DamagedAssetsError(f"`{file}` is no tokenizer: {error}. Fetch it again.") from error
    tokens = Tokens(tokenizer, _end(folder))
    if beyond := sorted(each for each in tokens.end if not 0 <= each < tokens.size):
        raise DamagedAssetsError(f"`{folder}` ends a response by token {beyond[0]}, of {tokens.size}. Fetch it again.")
    return tokens


def _end(folder: Path) -> tuple[int, ...]:
    for file in (folder / name for name in END_FILES):
        if not file.is_file():
            continue
        try:
            settings = read_json(file)
            found: Any = settings.get("eos_token_id") if isinstance(settings, Mapping) else None
            ids = found if isinstance(found, list) else [] if found is None else [found]
            if not all(type(each) is int for each in ids):
                raise ValueError(f"its `eos_token_id` is {found!r}")
        except (ValueError, OSError) as error:
            raise DamagedAssetsError(f"`{file}` is damaged: {error}. Fetch it again.") from error
        if ids:
            return tuple(ids)
    raise MissingAssetsError(
        f"Expect {' or '.join(END_FILES)} in {named(folder)} to name the `eos_token_id` that ends a response, but "
        "neither does."
    )
