"""How a checkpoint is hosted: what its files do not say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vla_envs.errors import InvalidArgumentError, check_choice
from vla_envs.spec import IMAGE


@dataclass(frozen=True)
class Platform:
    """The constants of a robot in OpenVLA-OFT."""

    action_dim: int
    """A: numbers per action."""
    chunk_size: int
    """K: actions that parallel decoding gives at once."""
    bounds: str
    """How actions and proprioception were normalised, a name of ``statistics.BOUNDS``."""
    signed_gripper: bool
    """Whether the last number is a gripper in [0, 1], 1 open, for an environment that takes -1 (open) or 1 (close)."""


PLATFORMS = {
    "libero": Platform(action_dim=7, chunk_size=8, bounds="quantiles", signed_gripper=True),
    "robotwin": Platform(action_dim=14, chunk_size=25, bounds="extremes", signed_gripper=False),
}
"""Name -> constants; ``robotwin`` is what OpenVLA-OFT calls ALOHA."""

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class OpenVLAOptions:
    """How a checkpoint is hosted."""

    unnorm_key: str | None = None
    """Data set whose statistics apply; None takes the only one."""
    platform: str = "libero"
    """A name of :data:`PLATFORMS`."""
    image_keys: tuple[str, ...] = (IMAGE,)
    """Images of the observation, in the order of training."""
    image_transform: str = "libero"
    """What is done to camera images, a name of ``images.IMAGE_TRANSFORMS``."""
    template: str = "openvla"
    """Prompt, a name of ``prompts.TEMPLATES``."""
    vision_heads: tuple[int, ...] | None = None
    """Attention heads of each vision transformer; None takes those of timm's model of the configured name."""
    full_vocabulary: bool = False
    """Whether tokens are sampled among all ids and not among the 256 of actions."""
    end_of_sequence: bool = True
    """Whether the end of the sequence stands behind the slots of parallel decoding, as in OpenVLA-OFT and
    SimpleVLA-RL; RLinf leaves it out."""
    lora_rank: int = 0
    """Rank of the adapters that are trained in place of the network's own parameters; 0 trains these."""
    gradient_checkpointing: bool = False
    """Whether activations are computed twice instead of kept for the update."""
    dtype: str = "float32"
    """Of the network's parameters, adapters aside: ``float32`` or ``bfloat16``."""
    autocast: bool = False
    """Whether matrix products are computed in bfloat16 whatever the parameters are: with ``float32``, a master copy
    is trained in full."""

    def __post_init__(self) -> None:
        check_choice("platform", self.platform, PLATFORMS)
        check_choice("dtype", self.dtype, DTYPES)
        if not self.image_keys:
            raise InvalidArgumentError("Expect `image_keys` to name at least one image, actually: none.")
        if self.lora_rank < 0:
            raise InvalidArgumentError(f"Expect `lora_rank` to be at least 0, actually: {self.lora_rank}.")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> OpenVLAOptions:
        """The options of a JSON object.

        Raises:
            InvalidArgumentError: a field that is none of the options.
        """
        known = {each.name for each in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            raise InvalidArgumentError(f"Expect options among {sorted(known)}, actually: {unknown[0]!r}.")
        default = dataclasses.asdict(cls())
        for name, value in fields.items():
            if type(default[name]) in (bool, int) and type(value) is not type(default[name]):
                raise InvalidArgumentError(f"Expect `{name}` to be like {default[name]}, actually: {value!r}.")
        return cls(**{name: tuple(each) if isinstance(each, list) else each for name, each in fields.items()})
