"""``vla bench BENCH``: compare with what is official."""

from __future__ import annotations

import importlib

from vla_envs.arguments import check_choice

BENCHES = {"parity": "Compare VLA-Libero-v0 and the official environment on the same actions, task by task."}
"""Bench -> what it compares; each lives in the module ``bench_<name>``."""


def main(arguments: list[str]) -> int:
    """Run a bench; without one, list them."""
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"  {name:<10}{text}" for name, text in BENCHES.items()]
        print(
            "\n".join(["usage: vla bench BENCH [options]", "", *lines, "", "vla bench BENCH --help lists its options."])
        )
        return 0
    bench, *options = arguments
    check_choice("bench", bench, BENCHES)
    return importlib.import_module(f"rllib_configs.cli.bench_{bench}").main(options)
