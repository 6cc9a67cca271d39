"""The ``vla`` command: which commands there are, and how they end where something is wrong."""

import os
import re
import runpy
import signal
import sys

import pytest

from rllib_configs.cli import COMMANDS, main


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(capsys, arguments):
    """On the standard output."""
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert all(re.search(rf"^  {command} ", output, re.MULTILINE) for command in COMMANDS)


def test_an_unknown_command_lists_the_known_ones(capsys):
    """On the error output, with the code of a usage error."""
    assert main(["fly"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vla: no command 'fly'")
    assert "train" in error


@pytest.mark.parametrize(("command", "module"), [("train", "tyro"), ("report", "tyro")])
def test_a_missing_extra_is_named(capsys, monkeypatch, command, module):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"rllib_configs.cli.{command}", raising=False)
    assert main([command, "runs/none"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"vla {command}: import of {module}")
    assert error.endswith("pip install 'vla-envs[rllib]'\n")
    assert error.count("\n") == 1


def test_a_broken_import_of_our_own_is_no_missing_extra(monkeypatch):
    """It keeps its traceback."""
    monkeypatch.setitem(sys.modules, "rllib_configs.cli.train", None)
    with pytest.raises(ImportError):
        main(["train"])


@pytest.mark.parametrize("module", ["rllib_configs", "rllib_configs.cli"])
def test_the_command_is_a_module_too(monkeypatch, capsys, module):
    """Where no script is on the path."""
    monkeypatch.setattr(sys, "argv", ["vla", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert not ended.value.code
    assert "usage: vla COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["seeds", "--help"], ["doctor", "--model", "openvla-7b"]])
@pytest.mark.parametrize("unbuffered", [True, False])
def test_a_reader_that_ends_before_the_command_costs_no_traceback(capsys, monkeypatch, arguments, unbuffered):
    """As `vla doctor | head -1`: the exit code is that of SIGPIPE, also where a parser has ended the command."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1 if unbuffered else -1) as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(arguments) == 128 + signal.SIGPIPE
    assert capsys.readouterr().err == ""


def test_a_full_disk_under_the_output_costs_one_line(capsys, monkeypatch):
    """As `vla doctor > report.txt`."""
    with open("/dev/full", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["--help"]) == 1
    assert capsys.readouterr().err == "vla --help: [Errno 28] No space left on device\n"
