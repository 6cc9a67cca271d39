"""``vla doctor --model``."""

import pytest

pytest.importorskip("transformers")

from rllib_configs.cli import main


def test_it_says_what_fits(capsys):
    """Adapters on a large GPU, not all parameters on a small one."""
    assert main(["doctor", "--model", "openvla-7b", "--gpu", "24"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "24 GB" in lines[0]
    verdicts = {line.split("  ")[1]: line.split()[-1] for line in lines[2:7]}
    assert int(verdicts["adapters of rank 32"]) >= 1
    assert verdicts["all parameters"] == "fit"  # of "does not fit"


def test_a_gpu_without_memory_is_refused(capsys):
    """The error names the option."""
    assert main(["doctor", "--model", "openvla-7b", "--gpu", "0"]) == 1
    assert "`--gpu` to be above 0" in capsys.readouterr().err
