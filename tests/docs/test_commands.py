"""Every command that the documentation names is one that there is."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator

import pytest
import tyro

from rllib_configs.cli import COMMANDS, assets, bench, compare, doctor, play, report, seeds
from rllib_configs.cli.bc import parse_bc
from rllib_configs.cli.options import parse_options
from rllib_configs.cli.train import Resumption, parse_experiment
from rllib_configs.config import OpenVLAConfig, Sweep
from tests.docs.pages import PAGES, ROOT, Command, blocks_of, commands_in, spans_of
from vla_envs.errors import VLAEnvsError

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) *\?=", MAKEFILE, re.MULTILINE))
MARKERS = set(re.findall(r'^    "(\w+): ', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
PLACEHOLDERS = {
    "PRESET": "tabletop_ttrl",
    "TASK": "stack_blocks_two",
    "N": "1",
    "M": "1",
    "policy:KIND": "policy:openvla",
}
"""What a reader puts there -> an example of it; other words in capitals are texts of any kind."""


def commands_of_pages() -> Iterator[Command]:
    for page in PAGES:
        for code in [*(block for block in blocks_of(page) if block.language == ""), *spans_of(page)]:
            yield from commands_in(code.where, code.text)


def commands_of_makefile() -> Iterator[Command]:
    """What the help of a target says behind it, and what comments say."""
    for target, text in re.findall(r"^([a-z]+):.*## (.*)$", MAKEFILE, re.MULTILINE):
        variables = [word for word in shlex.split(text) if re.match("[A-Z]+=", word)]
        yield Command("Makefile", ("make", target, *variables))
    for text in re.findall(r"^#.*?: (make .*)$", MAKEFILE, re.MULTILINE):
        yield from commands_in("Makefile", text)


def commands_of_the_command_line() -> Iterator[Command]:
    """In the docstrings of its modules."""
    for path in sorted((ROOT / "rllib_configs" / "cli").glob("*.py")):
        for text in re.findall(r"``(vla [^`]+)``", path.read_text()):
            yield from commands_in(str(path.relative_to(ROOT)), text)


NAMED = [
    each
    for each in [*commands_of_pages(), *commands_of_makefile(), *commands_of_the_command_line()]
    if each.words[0] in ("vla", "make", "python", "pytest") and len(each.words) > 1
]


@pytest.mark.parametrize("command", NAMED, ids=str)
def test_a_command_is_one_that_there_is(command):
    """With options and values that it takes; nothing is run."""
    program, *words = [PLACEHOLDERS.get(word, word) for word in command.words if word not in ("OPTIONS", "...")]
    {"vla": check_vla, "make": check_make, "python": check_python, "pytest": check_pytest}[program](words)


@pytest.mark.parametrize(
    "start", ["make train", "make test", *(f"vla {name}" for name in COMMANDS), "python examples", "python benchmarks"]
)
def test_commands_of_each_kind_are_found(start):
    """The test above would pass by blindness otherwise."""
    assert sum(shlex.join(each.words).startswith(start) for each in NAMED) > 1


@pytest.mark.parametrize(
    "line",
    [
        "vla fly",
        "vla train nothing",
        "vla train tabletop_ttrl --ttrl.votes 5",
        "vla train tabletop_ttrl --ppo.lr -1",
        "vla bc tabletop_ttrl --demonstration x",
        "vla train --resume runs/x --epochs 3",
        "vla evaluate runs/x --fast",
        "vla doctor gazebo",
        "vla seeds stack_blocks_two --number 3",
        "vla assets openvla --tiny",
        "vla bench speed",
        "vla bench parity --suites all",
        "make all",
        "make train PRESETS=tabletop_ttrl",
        'make train ARGS="--ttrl.votes 5"',
        'make test ARGS="tests/nowhere"',
        'make test ARGS="-m fast"',
        "pytest tests/nowhere.py",
        "python examples/nothing.py",
        "python examples/gymnasium_loop.py --fly 1",
    ],
)
def test_a_command_that_there_is_not_is_seen(line):
    (command,) = commands_in("here", line)
    with pytest.raises((AssertionError, VLAEnvsError)):
        test_a_command_is_one_that_there_is(command)


def sweep_of(what: str) -> Sweep:
    """How the actor is evaluated if nothing else is said, as far as the options that there are depend on it."""
    return Sweep(policy=OpenVLAConfig(path=what)) if what.startswith("checkpoints/") else Sweep()


def check_vla(words: list[str]) -> None:
    name, *arguments = words
    assert name in COMMANDS
    parse = {
        "train": parse_train,
        "bc": lambda arguments: parse_bc(arguments[0], arguments[1:]),
        "evaluate": lambda arguments: parse_options("vla evaluate", "", sweep_of(arguments[0]), arguments[1:]),
        "compare": lambda arguments: parse_options("vla compare", "", compare.Compared(), arguments[2:]),
        "play": lambda arguments: parse_options("vla play", "", play.Play(), arguments[1:]),
        "report": lambda arguments: tyro.cli(report.Arguments, args=arguments),
        "bench": parse_bench,
        "doctor": doctor.parser().parse_args,
        "seeds": seeds.parser().parse_args,
        "assets": assets.parser().parse_args,
    }[name]
    if arguments:  # the text speaks of the command itself otherwise
        try:
            parse(arguments)
        except SystemExit as stop:
            if stop.code:
                raise AssertionError(words) from stop


def parse_train(arguments: list[str]) -> None:
    if "--resume" in arguments:
        tyro.cli(Resumption, args=arguments)
    else:
        parse_experiment(arguments[0], arguments[1:])


def parse_bench(arguments: list[str]) -> None:
    name, *options = arguments
    assert name in ("BENCH", *bench.BENCHES)
    if name == "parity":
        tyro.cli(pytest.importorskip("rllib_configs.cli.bench_parity").Arguments, args=options)


def check_make(words: list[str]) -> None:
    given = dict(word.split("=", 1) for word in words if "=" in word)
    targets = {word for word in words if "=" not in word}
    assert targets <= TARGETS
    assert {name for name in given if not name.startswith("PIP_")} <= VARIABLES
    arguments = shlex.split(given.get("ARGS", ""))
    if "train" in targets:
        check_vla(["train", given.get("PRESET", "tabletop_ttrl"), *arguments])
    if "test" in targets:
        check_pytest(arguments)


def check_pytest(words: list[str]) -> None:
    """That paths and marks exist."""
    rest = iter(words)
    for word in rest:
        if word in ("-m", "-k"):
            chosen = set(re.findall(r"\w+", next(rest))) - {"not", "and", "or"}
            assert word == "-k" or chosen <= MARKERS
        elif not word.startswith("-"):
            assert (ROOT / word.partition("::")[0]).exists()


def check_python(words: list[str]) -> None:
    """That the script is there, and it or a module beside it speaks of the options."""
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1])
        return
    script = ROOT / words[0]
    assert script.is_file()
    beside = re.findall(r"from benchmarks\.(\w+)", script.read_text())
    modules = [path for folder in beside for path in (ROOT / "benchmarks" / folder).glob("*.py")]
    source = "".join(path.read_text() for path in [script, *modules])
    for option in (word for word in words if word.startswith("--")):
        assert option in source or re.search(rf"\b{option[2:].replace('-', '_')}\b", source), option
