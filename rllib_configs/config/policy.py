"""Which policy a run trains: one class for each kind, which the command line offers as subcommands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_type_hints

import tyro
from pydantic import Field, PositiveInt

from policies.causal_lm.config import SMALL, Length
from policies.causal_lm.config import Architecture as LanguageModel
from policies.causal_lm.config import LoraRank as LanguageModelRank
from policies.dinov2_bert.config import Architecture, LoraRank, Std, Training
from policies.openvla.config import PLATFORMS, OpenVLAOptions, saved_options
from policies.options import Options
from policies.tiny.config import Head, Size, TinyConfig
from rllib_configs.config.environment import EnvironmentConfig, absolute
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import expanded
from vla_envs.spec import MAX_INSTRUCTION_LENGTH


def policy_folder(path: str) -> str:
    """The directory of a checkpoint, which in the directory of a run is ``policy/``."""
    run = Path(absolute(path))
    return str(run / "policy" if (run / "policy").is_dir() else run)


@dataclass(frozen=True)
class TinyPolicyConfig(Options):
    """A small policy that learns on a CPU."""

    section: ClassVar[str] = "policy."
    instruction: ClassVar[Literal["words", "text"]] = "words"
    chunk_size: ClassVar[int] = TinyConfig.chunk_size
    history: ClassVar[int] = TinyConfig.history

    path: str | None = None
    """Directory of a checkpoint or of a run to start from; None starts afresh, from demonstrations where there are
    any."""
    head: Head | None = None
    """Whether a fresh policy chooses among bins of each number of an action (``tokens``, as None does) or draws the
    numbers from normal distributions; a checkpoint has its own head."""
    patch_size: Size | None = None
    """Side in pixels of the patches into which a fresh policy divides an image; None takes 4, a checkpoint has its
    own."""
    kind: Annotated[Literal["tiny"], tyro.conf.Suppress] = "tiny"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in self._fresh().items():
            if self.path is not None:
                raise InvalidArgumentError(
                    f"Expect `policy.{name}` without `policy.path`, whose checkpoint has one of its own, actually: "
                    f"{value!r} with {self.path}. Leave one of them out."
                )

    def load_keywords(self, environment: EnvironmentConfig) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy` for a policy of this environment."""
        if self.path is not None:
            return {"kind": self.kind, "path": policy_folder(self.path)}
        return {"kind": self.kind, "config": {**self._fresh(), **environment.policy_config()}}

    def _fresh(self) -> dict[str, Any]:
        """What was said of a fresh policy."""
        said = {"head": self.head, "patch_size": self.patch_size}
        return {name: value for name, value in said.items() if value is not None}

    def saved_at(self, path: Path) -> TinyPolicyConfig:
        """The same for the directory that the policy was saved in."""
        return TinyPolicyConfig(path=absolute(str(path)))


@dataclass(frozen=True)
class DINOv2BertConfig(Options):
    """DINOv2 for images and BERT for instructions, with normal distributions of actions."""

    section: ClassVar[str] = "policy."
    instruction: ClassVar[Literal["words", "text"]] = "text"
    chunk_size: ClassVar[int] = Architecture.chunk_size
    history: ClassVar[int] = Architecture.history

    path: str | None = None
    """Directory of a checkpoint or of a run to start from; None starts afresh, from demonstrations where there are
    any."""
    vision: str | None = None
    """Directory or name on Hugging Face's hub of a pretrained DINOv2, such as facebook/dinov2-small, whose images have
    sides of a multiple of 14 pixels (``environment.image_size``); None takes a small one of random weights."""
    text: str | None = None
    """Directory or name of a pretrained BERT, such as google-bert/bert-base-uncased; None takes a small one of random
    weights."""
    vision_training: Training = Architecture.vision_training
    """Whether all of the image encoder is trained, adapters of low rank, or nothing."""
    text_training: Training | None = Architecture.text_training
    """How much of the instruction's encoder is trained, likewise. None trains all of one that starts from random
    weights, and nothing of a pretrained one, so that each instruction is encoded once."""
    lora_rank: LoraRank = Architecture.lora_rank
    """Rank of the adapters, where there are any."""
    std: Std | None = Architecture.std
    """Standard deviation of the actions at temperature 1, in units of half their range; None learns that of each
    number of a chunk."""
    kind: Annotated[Literal["dinov2_bert"], tyro.conf.Suppress] = "dinov2_bert"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None:
            self.check_left(_FRESH, "a fresh policy, whose `policy.path` is None,")

    def load_keywords(self, environment: EnvironmentConfig) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy` for a policy of this environment."""
        if self.path is not None:
            return {"kind": self.kind, "path": policy_folder(self.path)}
        options = {name: getattr(self, name) for name in _FRESH if name not in ("vision", "text")}
        pretrained = {"pretrained_vision": _local(self.vision), "pretrained_text": _local(self.text)}
        offered = {name: each for name, each in environment.policy_config().items() if name != "token_length"}
        return {"kind": self.kind, "config": {**options, **pretrained, **offered}}

    def saved_at(self, path: Path) -> DINOv2BertConfig:
        """The same for the directory that the policy was saved in, which holds all the rest."""
        return DINOv2BertConfig(path=absolute(str(path)))


_FRESH = ("vision", "text", "vision_training", "text_training", "lora_rank", "std")
"""Options that say what a fresh policy is made of."""


def _local(source: str | None) -> str | None:
    """Where a pretrained encoder is: a name on the hub is left as it is."""
    return absolute(source) if source is not None and expanded(source).is_dir() else source


@dataclass(frozen=True)
class CausalLMConfig(Options):
    """A causal language model, which answers the questions of ``VLA-Text-v0``."""

    section: ClassVar[str] = "policy."
    instruction: ClassVar[Literal["words", "text"]] = "text"
    history: ClassVar[int] = 0

    path: str | None = None
    """Directory of a checkpoint or of a run to start from; None starts afresh."""
    model: str | None = None
    """Directory or name on Hugging Face's hub of a pretrained language model, such as Qwen/Qwen2.5-Math-1.5B; None
    takes a small one of random weights, with a token for each character."""
    hidden_size: PositiveInt = SMALL["hidden_size"]
    """Width of the small one."""
    num_hidden_layers: PositiveInt = SMALL["num_hidden_layers"]
    """Number of its layers."""
    response_length: Length = LanguageModel.chunk_size
    """Length of the longest response in tokens; one that is longer is cut and counts as it is."""
    prompt: str = LanguageModel.prompt
    """What is put before a response, with ``{question}`` in place of the question."""
    lora_rank: LanguageModelRank = LanguageModel.lora_rank
    """Rank of the adapters that are trained in place of the network; 0 trains all of it."""
    dtype: Literal["float32", "bfloat16"] = LanguageModel.dtype
    """Type of the network's parameters; adapters are always float32."""
    gradient_checkpointing: bool = LanguageModel.gradient_checkpointing
    """Whether an update computes activations twice instead of keeping them."""
    kind: Annotated[Literal["causal_lm"], tyro.conf.Suppress] = "causal_lm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None:
            self.check_left(("model", *_SMALL, "response_length", *_HOSTED), "a policy whose `policy.path` is None")
        elif self.model is not None:
            self.check_left(_SMALL, "a policy whose `policy.model` is None")

    @property
    def chunk_size(self) -> int:
        """Length of the longest response in tokens."""
        return self.response_length if self.path is None else self._saved.chunk_size

    @property
    def tokenizer(self) -> str | None:
        """Directory or name of the model whose tokenizer the environment needs; None for that of characters."""
        return _local(self.model) if self.path is None else policy_folder(self.path)

    def load_keywords(self, environment: EnvironmentConfig) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy`."""
        if self.path is not None:
            return {"kind": self.kind, "path": policy_folder(self.path)}
        config = {"chunk_size": self.response_length, **{name: getattr(self, name) for name in _HOSTED}}
        if self.model is not None:
            return {"kind": self.kind, "config": {**config, "pretrained": _local(self.model)}}
        sizes = {**SMALL, **{name: getattr(self, name) for name in _SMALL}}
        sizes["intermediate_size"] = 8 * self.hidden_size // 3
        sizes["max_position_embeddings"] = 4 * self.response_length + MAX_INSTRUCTION_LENGTH
        return {"kind": self.kind, "config": {**config, "network": sizes}}

    def saved_at(self, path: Path) -> CausalLMConfig:
        """The same for the directory that the policy was saved in, which holds all the rest."""
        return CausalLMConfig(path=absolute(str(path)))

    @property
    def _saved(self) -> LanguageModel:
        assert self.path is not None
        return LanguageModel.from_json(Path(policy_folder(self.path)) / "causal_lm.json")


_SMALL = ("hidden_size", "num_hidden_layers")
_HOSTED = ("prompt", "lora_rank", "dtype", "gradient_checkpointing")
"""Options that say how a network is hosted."""

T = TypeVar("T")


def _saved_unless_given(config: type[T]) -> type[T]:
    """Let options of a hosted checkpoint be None: what the checkpoint was saved with, or the usual; none has a base."""
    hints = get_type_hints(OpenVLAOptions, include_extras=True)
    usual = {**vars(OpenVLAOptions()), "unnorm_key": "the environment's suite", "image_keys": "the environment's"}
    for name in usual.keys() - {"base"}:
        default = tyro.conf.arg(help_behavior_hint=f"(default: as the checkpoint was saved, or else {usual[name]})")
        config.__annotations__[name] = Annotated[hints[name] | None, default]
        setattr(config, name, None)
    return config


@dataclass(frozen=True)
@_saved_unless_given
class OpenVLAConfig(OpenVLAOptions, Options):
    """A checkpoint of OpenVLA or OpenVLA-OFT."""

    section: ClassVar[str] = "policy."
    instruction: ClassVar[Literal["words", "text"]] = "text"
    history: ClassVar[int] = 0

    path: str | None = None
    """Directory of the checkpoint."""
    kind: Literal["openvla", "openvla_oft", "openvla_oft_l1"] = "openvla"
    """How the checkpoint decodes actions: one token after another (``openvla``), all tokens of a chunk at once
    (``openvla_oft``), or by OpenVLA-OFT's regression head (``openvla_oft_l1``)."""

    @property
    def chunk_size(self) -> int:
        """Number of actions that are decoded for one observation."""
        if self.kind == "openvla":
            return 1
        saved = saved_options(Path(policy_folder(self.path))) if self.path else {}
        return PLATFORMS[self.platform or saved.get("platform", OpenVLAOptions.platform)].chunk_size

    def load_keywords(self, environment: EnvironmentConfig) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy`.

        Options that are given go before those that the checkpoint was saved with, and these go before what the
        environment says.
        """
        options = {each.name: getattr(self, each.name) for each in fields(OpenVLAOptions)}
        given = {name: value for name, value in options.items() if value is not None}
        if self.base is not None:
            given["base"] = absolute(self.base)
        usual = {"image_keys": environment.image_keys, "unnorm_key": environment.env_kwargs.get("suite")}
        return {
            "kind": self.kind,
            "path": self.path and policy_folder(self.path),
            "config": {"unless_saved": usual, **given},
        }

    def saved_at(self, path: Path) -> OpenVLAConfig:
        """The same for the directory that the policy was saved in, which needs no ``base``."""
        return self.replace(path=absolute(str(path)), base=None)


PolicyConfig = Annotated[
    Annotated[TinyPolicyConfig, tyro.conf.subcommand("tiny")]
    | Annotated[DINOv2BertConfig, tyro.conf.subcommand("dinov2-bert")]
    | Annotated[CausalLMConfig, tyro.conf.subcommand("causal-lm")]
    | Annotated[OpenVLAConfig, tyro.conf.subcommand("openvla")],
    Field(discriminator="kind"),
]
"""Any of them; a configuration file tells them apart by ``kind``."""
