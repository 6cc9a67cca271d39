"""Which policy a run trains: one class for each kind, which the command line offers as subcommands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro
from pydantic import Field

from policies.openvla.config import PLATFORMS, OpenVLAOptions
from policies.options import Options
from policies.tiny.config import TinyConfig
from rllib_configs.config.environment import EnvironmentConfig, absolute


@dataclass(frozen=True)
class TinyPolicyConfig(Options):
    """A small policy that learns on a CPU."""

    section: ClassVar[str] = "policy."
    instruction: ClassVar[Literal["words", "text"]] = "words"
    chunk_size: ClassVar[int] = TinyConfig.chunk_size

    path: str | None = None
    """Directory of a checkpoint to start from; None starts afresh, from demonstrations where there are any."""
    head: Literal["tokens", "gaussian"] = "tokens"
    """Whether a fresh policy chooses among bins of each number of an action or draws the numbers from normal
    distributions."""
    kind: Annotated[Literal["tiny"], tyro.conf.Suppress] = "tiny"

    def load_keywords(self, environment: EnvironmentConfig) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy` for a policy of this environment."""
        if self.path is not None:
            return {"kind": self.kind, "path": absolute(self.path)}
        return {"kind": self.kind, "config": {"head": self.head, **environment.policy_config()}}

    def saved_at(self, path: Path) -> TinyPolicyConfig:
        """The same for the directory that the policy was saved in."""
        return self.replace(path=absolute(str(path)))


@dataclass(frozen=True)
class OpenVLAConfig(OpenVLAOptions, Options):
    """A checkpoint of OpenVLA or OpenVLA-OFT."""

    section: ClassVar[str] = "policy."
    instruction: ClassVar[Literal["words", "text"]] = "text"

    path: str | None = None
    """Directory of the checkpoint."""
    kind: Literal["openvla", "openvla_oft", "openvla_oft_l1"] = "openvla"
    """How the checkpoint decodes actions: one token after another (``openvla``), all tokens of a chunk at once
    (``openvla_oft``), or by OpenVLA-OFT's regression head (``openvla_oft_l1``)."""

    @property
    def chunk_size(self) -> int:
        """Number of actions that are decoded for one observation."""
        return 1 if self.kind == "openvla" else PLATFORMS[self.platform].chunk_size

    def load_keywords(self, environment: EnvironmentConfig) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy`.

        Options that are not the default go before those that the checkpoint was saved with, and these go before what
        the environment says.
        """
        default = vars(OpenVLAOptions())
        given = {name: getattr(self, name) for name, usual in default.items() if getattr(self, name) != usual}
        if self.base is not None:
            given["base"] = absolute(self.base)
        usual = {"image_keys": environment.image_keys, "unnorm_key": environment.env_kwargs.get("suite")}
        return {
            "kind": self.kind,
            "path": self.path and absolute(self.path),
            "config": {"unless_saved": usual, **given},
        }

    def saved_at(self, path: Path) -> OpenVLAConfig:
        """The same for the directory that the policy was saved in, which needs no ``base``."""
        return self.replace(path=absolute(str(path)), base=None)


PolicyConfig = Annotated[
    Annotated[TinyPolicyConfig, tyro.conf.subcommand("tiny")]
    | Annotated[OpenVLAConfig, tyro.conf.subcommand("openvla")],
    Field(discriminator="kind"),
]
"""Any of them; a configuration file tells them apart by ``kind``."""
