"""Archives: packs of assets and init files, of which damage makes others whose checksums are in order."""

from __future__ import annotations

import io
import lzma
import pickle
import random
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.damage import HUGE, damaged
from tests.fuzz.harness import MisreadError
from vla_envs.libero.assets import FOLDERS, install_assets
from vla_envs.libero.init_states import read_init_states

PACK = "pack.tar.xz"
INIT_FILE = "task.init"
PICKLE = "archive/data.pkl"


def write_pack(folder: Path) -> None:
    """A pack of one file in each folder."""
    with tarfile.open(folder / PACK, "w:xz", preset=0) as archive:
        for name in FOLDERS:
            content = (name * 40).encode()
            member = tarfile.TarInfo(f"assets/{name}/mesh.obj")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def install(folder: Path) -> dict[str, bytes]:
    """Install the pack; the names and contents of the files, and nothing beside them."""
    target = folder / "installed"
    try:
        install_assets(folder / PACK, target)
    finally:
        outside = [path for path in folder.iterdir() if path.name not in (PACK, "installed")]
        if outside or (folder.parent / "outside").exists():
            raise MisreadError(f"it leaves {outside} or something outside the folder")
    return {
        str(path.relative_to(target)): path.read_bytes()
        for path in sorted(target.rglob("*"))
        if path.is_file() and path.parent != target
    }


def crafted_pack(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """A pack of which one header says what no pack of ours would."""
    archive = bytearray(lzma.decompress(content))
    headers = [at for at in range(0, len(archive), 512) if archive[at + 257 : at + 262] == b"ustar"]
    place = rng.choice(headers)
    header, before = archive[place : place + 512], b""
    done = rng.choice(["type", "size", "name", "long name", "pax", "chain"])
    if done == "type":
        header[156:157] = rng.choice([b"1", b"2", b"3", b"4", b"6", b"S", b"L", b"K", b"x", b"g", b"5", b"V"])
        header[157:180] = b"../outside".ljust(23, b"\0")
    elif done == "size":
        header[124:136] = _size(rng.choice(HUGE))
    elif done == "name":
        header[:100] = rng.choice(NAMES).ljust(100, b"\0")
    else:
        before = _extended(rng, done)
    archive[place : place + 512] = before + _summed(header)
    return done, lzma.compress(bytes(archive), preset=0)


NAMES = (b"../outside", b"/outside", b"a/" * 50, b"\xff" * 100, b"", b".", b"x" * 100)
PAX = (b"x" * 5000, b"d/" * 3000 + b"f", b"30 GNU.sparse.size=3221225472\n", b"99999999999 path=x\n", b"13 size=-99\n")


def _extended(rng: random.Random, done: str) -> bytes:
    """Headers before a header: for names and sizes that do not fit into it."""
    header = bytearray(512)
    header[257:265] = b"ustar\x0000"
    header[156:157] = b"L" if done == "long name" else b"x"
    if done == "chain":
        header[124:136] = _size(0)
        return bytes(_summed(header)) * 3000
    text = rng.choice(PAX)
    header[124:136] = _size(rng.choice([len(text), 3 * 2**30, 2**40]))
    return bytes(_summed(header)) + text.ljust(-(-len(text) // 512) * 512, b"\0")


def _size(number: int) -> bytes:
    return b"%011o\0" % number if number < 8**11 else b"\x80" + number.to_bytes(11, "big")


def _summed(header: bytearray) -> bytearray:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


def write_init_file(folder: Path) -> None:
    """The states of a task as the official files have them."""
    states = np.random.default_rng(0).normal(size=(5, 7))
    with zipfile.ZipFile(folder / INIT_FILE, "w") as archive:
        archive.writestr(PICKLE, pickle.dumps(states, protocol=2))


def read_init_file(folder: Path) -> Any:
    """The states in it."""
    return read_init_states(folder / INIT_FILE)


def crafted_init_file(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """The pickle in an init file, whose own checksum is in order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        done, after = damaged(rng, archive.read(PICKLE))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        archive.writestr(PICKLE, after)
    return f"pickle, {done}", written.getvalue()
