"""Options, wrappers and files of which the documentation speaks are there."""

from __future__ import annotations

import dataclasses
import re
import shlex

import pytest

from rllib_configs.cli.train import parse_experiment
from rllib_configs.config import CausalLMConfig, DINOv2BertConfig, EnvironmentConfig, Experiment, OpenVLAConfig
from tests.docs.pages import PAGES, ROOT, spans_of
from vla_envs import wrappers

SPANS = [span for page in PAGES for span in spans_of(page)]
SECTIONS = {
    field.name: {each.name for each in dataclasses.fields(section)}
    for field in dataclasses.fields(Experiment)
    if dataclasses.is_dataclass(section := getattr(Experiment(), field.name))
}
for kind in (DINOv2BertConfig, CausalLMConfig, OpenVLAConfig):
    SECTIONS["policy"] |= {each.name for each in dataclasses.fields(kind)}
FIELDS = [
    (span.where, *match.groups())
    for span in SPANS
    for match in re.finditer(rf"(?<![\w.-])({'|'.join(SECTIONS)})\.(?!py\b|json\b)([a-z_]+)", span.text)
    if not span.text.startswith("--")
]
OPTIONS = [span for span in SPANS if re.match(rf"--({'|'.join(SECTIONS)})\.", span.text)]
CALLS = [span for span in SPANS if span.page.name == "training.md" and re.match(r"[A-Z]\w+\(.*\)$", span.text)]
CALLS = [span for span in CALLS if span.text.partition("(")[0] in wrappers.__all__]
FILES = [
    (f"{page.relative_to(ROOT)}", name)
    for page in PAGES
    for name in sorted(set(re.findall(r"(?<![\w/.-])((?:\w+/)+\w+\.py)\b", page.read_text())))
]
"""Files that are named with a folder at least; a mere name may be one of another repository."""
SOURCES = [
    str(path.relative_to(ROOT))
    for folder in ("vla_envs", "policies", "rllib_configs", "tests", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]


@pytest.mark.parametrize(("where", "section", "name"), FIELDS)
def test_a_field_of_an_experiment_is_one(where, section, name):
    assert name in SECTIONS[section]


@pytest.mark.parametrize("span", OPTIONS, ids=lambda span: f"{span.where} {span.text}")
def test_options_are_taken(span):
    parse_experiment("tabletop_ttrl", shlex.split(span.text))


@pytest.mark.parametrize("span", CALLS, ids=lambda span: f"{span.where} {span.text}")
def test_a_wrapper_of_training_wraps(span):
    environment = EnvironmentConfig(wrappers=(span.text,))
    environment.wrap(environment.make("train")).close()


@pytest.mark.parametrize(("where", "name"), FILES)
def test_a_file_is_there(where, name):
    """By the end of its path."""
    assert any(f"/{source}".endswith(f"/{name}") for source in SOURCES)


def test_all_of_them_are_found():
    """The tests above would pass by blindness otherwise."""
    assert min(map(len, (FIELDS, OPTIONS, CALLS, FILES))) > 1
    assert ("ppo", "clip_param") in {(section, name) for _, section, name in FIELDS}
