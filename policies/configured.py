"""Policies that a configuration and weights say everything about, and how these are saved and loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from policies.interface import Policy, check_finite
from policies.options import Options
from policies.tensor_files import Shape, read_tensors, shapes_in, write_tensors
from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.files import atomic_directory

WEIGHTS_FILE = "model.safetensors"
MARKS = {
    "preprocessor_config.json": "openvla",
    "dinov2_bert.json": "dinov2-bert",
    "causal_lm.json": "causal-lm",
    "config.json": "tiny",
}
"""File -> the subcommand of ``policy`` whose directories hold it; the first one that is there tells."""


class ConfiguredPolicy(Policy):
    """A policy that is made of its configuration, and whose directory holds that and its weights.

    Args:
        config: its configuration, an instance of :attr:`config_class`.
    """

    kind: ClassVar[str]
    """Name in :data:`policies.registry.POLICIES`."""
    config_class: ClassVar[type[Options]]
    config_file: ClassVar[str]
    """Name of the configuration's file, which no other kind has: a key of :data:`MARKS`."""
    fits: ClassVar[tuple[str, ...]]
    """Fields of the configuration that the environment has to fit."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.chunk_size, self.action_dim = config.chunk_size, config.action_dim

    @property
    def made_for(self) -> dict[str, Any]:
        """What the policy asks of its environment."""
        return {name: getattr(self.config, name) for name in self.fits}

    @property
    def description(self) -> dict[str, Any]:
        """Keywords of :func:`~policies.registry.load_policy` for a policy of the same configuration."""
        return {"kind": self.kind, "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load a directory that :meth:`save_pretrained` wrote.

        Raises:
            MissingAssetsError: the directory lacks its configuration or its weights.
            InvalidArgumentError: the directory is of another kind, or its configuration is damaged, of another
                version, or does not fit the weights.
            DamagedAssetsError: the weights are damaged.
            NonFiniteError: a weight is NaN or infinite.
        """
        folder = Path(path)
        cls._check_kind(folder)
        for name in (cls.config_file, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise MissingAssetsError(
                    f"Expect `{folder}` to hold {cls.config_file} and {WEIGHTS_FILE}, but {name} is missing."
                )
        config, weights = cls.config_class.from_json(folder / cls.config_file), folder / WEIGHTS_FILE
        cls._check_shapes(config, shapes_in(weights), weights)
        policy = cls(config)
        policy.load_state_dict(dict(read_tensors(weights)), strict=False)  # names and shapes have been compared
        policy._read_rest(folder)
        check_finite(policy.named_parameters(), f"`{weights}` is of a training that failed: take an earlier one.")
        return policy

    def save_pretrained(self, path: str | Path) -> None:
        """Write weights and configuration to a directory, replacing it as a whole.

        Raises:
            NonFiniteError: a weight is NaN or infinite; what was there stays.
        """
        check_finite(self.named_parameters(), f"Nothing is written to {path}.")
        with atomic_directory(Path(path)) as folder:
            (folder / self.config_file).write_text(self.config.to_json())
            write_tensors(folder / WEIGHTS_FILE, self._tensors())
            self._write_rest(folder)

    def _tensors(self) -> dict[str, Tensor]:
        """Return what the file of weights holds: each tensor once, though a network may have two names for it."""
        state = self.state_dict(keep_vars=True)
        first = {id(each): name for name, each in reversed(state.items())}
        return {name: state[name] for name in first.values()}

    def _write_rest(self, folder: Path) -> None:
        """Write what a directory holds beside configuration and weights."""

    def _read_rest(self, folder: Path) -> None:
        """Read it."""

    @classmethod
    def _check_kind(cls, folder: Path) -> None:
        """Raise where a directory is of another kind."""
        mark = next((each for each in MARKS if (folder / each).is_file()), cls.config_file)
        if mark != cls.config_file:
            raise InvalidArgumentError(
                f"Expect a policy of the kind {cls.kind!r}, actually: `{folder}`, whose {mark} is of another kind. "
                f"Host it as such: policy:{MARKS[mark]} on the command line."
            )

    @classmethod
    def _check_shapes(cls, config: Options, given: Mapping[str, Shape], path: Path) -> None:
        """Raise where a file's tensors are not those of a configuration; no memory is taken for either."""
        try:
            with torch.device("meta"):
                expected = {name: tuple(each.shape) for name, each in cls(config)._tensors().items()}
        except KeyError as error:  # torch's modules have no names with dots
            file = path.with_name(cls.config_file)
            raise InvalidArgumentError(f"`{file}` has `image_keys` that cannot be: {error}") from error
        if wrong := sorted(name for name in {*expected, *given} if expected.get(name) != given.get(name)):
            raise InvalidArgumentError(
                f"`{path}` does not fit {cls.config_file} beside it. Expect {wrong[0]!r} (of {len(wrong)}) to have the "
                f"shape {expected.get(wrong[0])}, actually: {given.get(wrong[0])}."
            )
