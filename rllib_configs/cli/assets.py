"""``vla assets libero``: install what a simulator needs, from a pack on disk or by download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vla_envs.libero.assets import download_assets, install_assets


@dataclass(frozen=True)
class Arguments:
    """Install what a simulator needs."""

    simulator: Annotated[Literal["libero"], tyro.conf.Positional]
    """Which simulator."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """A pack (.tar.xz) on disk; without it the pack is downloaded."""


def main(arguments: list[str]) -> None:
    """Install and say where."""
    given = tyro.cli(Arguments, args=arguments, prog="vla assets")
    folder = download_assets() if given.source is None else install_assets(given.source)
    print(f"{given.simulator} assets are in {folder}")
