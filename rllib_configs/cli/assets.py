"""``vla assets libero``: install what a simulator needs, from a pack on disk or by download."""

from __future__ import annotations

# Not tyro, as the other commands: it is in the extra `rllib`, and this one needs no extra.
import argparse
from pathlib import Path

from vla_envs.libero.assets import download_assets, install_assets


def main(arguments: list[str]) -> None:
    """Install and say where."""
    parser = argparse.ArgumentParser(prog="vla assets", description="Install what a simulator needs.")
    parser.add_argument("simulator", choices=["libero"], help="which simulator")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="PACK",
        help="a pack (.tar.xz) on disk; without it the pack is downloaded",
    )
    given = parser.parse_args(arguments)
    folder = download_assets() if given.source is None else install_assets(given.source)
    print(f"{given.simulator} assets are in {folder}")
