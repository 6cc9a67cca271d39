"""How the command line reads options: help from the docstrings of their fields, errors in their own words."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from rllib_configs.config import Assessment, Experiment
from rllib_configs.presets import PRESETS
from vla_envs.errors import InvalidArgumentError, VLAEnvsError
from vla_envs.files import check_writable
from vla_envs.strict_json import parse_json

if TYPE_CHECKING:
    from rllib_configs.run.subjects import Subject

Parsed = TypeVar("Parsed", bound=Experiment | Assessment)
Assessed = TypeVar("Assessed", bound=Assessment)

REGISTRY = ConstructorRegistry()
"""What ``tyro.cli`` takes as ``registry``."""


def field_docs(options: type) -> Mapping[str, str]:
    """Field of a dataclass -> the docstring below it, in one line.

    >>> from rllib_configs.config import BehaviorCloning
    >>> field_docs(BehaviorCloning)["steps"]
    'Number of gradient steps.'
    """
    docs = {}
    for each in filter(dataclasses.is_dataclass, reversed(options.__mro__)):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        for field, doc in pairwise(definition.body):  # type: ignore[attr-defined]
            if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
                docs[ast.unparse(field.target)] = " ".join(str(doc.value.value).split())
    return docs


def check_output(path: Path | None) -> None:
    """Check that a command can write the file of its ``--output``, before its work is done for nothing.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if path is None:
        return
    if path.is_dir():
        raise InvalidArgumentError(f"Expect `--output` to be a file, actually: {path}, a directory.")
    check_writable(path.parent, "`--output`", "Name another file.")


def description(preset: Callable[..., Any]) -> str:
    """The docstring of a preset, each paragraph in one line."""
    return "\n\n".join(" ".join(each.split()) for each in (preset.__doc__ or "").split("\n\n"))


def preset_lines() -> str:
    """The presets, each with the first paragraph of its docstring."""
    summaries = {name: description(preset).partition("\n")[0] for name, preset in PRESETS.items()}
    return "\n".join(["presets:", *(f"  {name:<21}{each.replace('``', '')}" for name, each in summaries.items())])


def parse_options(program: str, text: str, default: Parsed, options: Sequence[str]) -> Parsed:
    """What options over the values of a default make; keywords of the environment are added to its own.

    Args:
        program: the command, for the help.
        text: the help's first paragraphs.
        default: the values that no option changes.
        options: the words of the command line.
    """
    names_policy = any(option.startswith("policy:") for option in options)
    parsed: Any = tyro.cli(
        type(default),
        args=options,
        default=default,
        prog=program,
        description=text,
        config=() if names_policy else (tyro.conf.AvoidSubcommands,),
        registry=REGISTRY,
    )
    for section in ("environment", "bc") if isinstance(default, Experiment) else ("environment",):
        usual, given = getattr(default, section), getattr(parsed, section)
        parsed = parsed.replace(**{section: given.replace(env_kwargs={**usual.env_kwargs, **given.env_kwargs})})
    return parsed


def parse_assessment(program: str, subject: Subject, default: Assessed, options: Sequence[str]) -> Assessed:
    """How a subject is assessed: as options over the values of a default say.

    Raises:
        InvalidArgumentError: options of a policy beside an actor that is none.
    """
    parsed = parse_options(program, description(type(default)), default, options)
    if parsed.protocol is not None:
        suite = parsed.environment.env_kwargs.get("suite", "libero_spatial")
        default = default.following(parsed.protocol, suite).replace(train_ok=subject.run is None)
        parsed = parse_options(program, description(type(default)), default, options)
    if not subject.is_policy and parsed.policy != default.policy:
        raise InvalidArgumentError(f"Expect no options of a policy with `{subject.name}`, actually: {parsed.policy}.")
    if not subject.is_policy and parsed.temperature is not None:
        raise InvalidArgumentError(f"Expect no `temperature` with `{subject.name}`, actually: {parsed.temperature}.")
    return parsed


@REGISTRY.struct_rule
def _dataclass(info: StructTypeInfo) -> StructConstructorSpec | None:
    """A dataclass, whose help tyro itself breaks where the source does, and whose errors it puts into a frame."""
    if not dataclasses.is_dataclass(info.type):
        return None
    default = info.default if isinstance(info.default, info.type) else info.type()
    types, docs = get_type_hints(info.type, include_extras=True), field_docs(info.type)

    @wraps(info.type, updated=())
    def make(**values: Any) -> Any:
        try:
            return info.type(**values)
        except InvalidArgumentError as error:
            raise VLAEnvsError(str(error)) from None  # tyro takes every ValueError for its own

    fields = [
        StructFieldSpec(each.name, types[each.name], getattr(default, each.name), docs.get(each.name))
        for each in dataclasses.fields(info.type)
    ]
    return StructConstructorSpec(make, tuple(fields))


@REGISTRY.primitive_rule
def _mapping(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """``--environment.env-kwargs KEY=VALUE ...``."""
    if info.type_origin is not dict:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="[KEY=VALUE ...]",
        instance_from_str=lambda texts: dict(map(_pair, texts)),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [f"{key}={json.dumps(each)}" for key, each in value.items()],
    )


def _pair(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``, whose value is JSON, or a plain string where it is none."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"expected KEY=VALUE, such as suite=libero_goal, not {text!r}")
    try:
        return key, parse_json(value)
    except json.JSONDecodeError:
        return key, value
