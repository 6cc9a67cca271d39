"""Where LIBERO's meshes, textures and scenes live, how they get there and whether they are whole.

No Python package contains them (130-180 MB). ``vla assets libero --from <pack.tar.xz>`` and
``vla assets libero`` call :func:`install_assets` and :func:`download_assets`.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import importlib
import json
import logging
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from gymnasium.error import DependencyNotInstalled

from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError
from vla_envs.files import atomic_directory, exclusive, expanded, sha256_of, user_cache
from vla_envs.strict_json import read_json

ENVIRONMENT_VARIABLE = "VLA_LIBERO_ASSETS"
"""Names the asset folder when no argument does."""
REPOSITORY = "lerobot/libero-assets"
"""The Hugging Face dataset that :func:`download_assets` fetches."""
FOLDERS = (
    "articulated_objects",
    "scenes",
    "stable_hope_objects",
    "stable_scanned_objects",
    "textures",
    "turbosquid_objects",
)
"""What an asset folder must contain."""
STAND_IN_LIST = "STANDINS.txt"
"""File of a test pack that lists the files which are not the official ones."""
MANIFEST = "vla-assets.json"
"""File that an installed folder carries: where it came from and the size of each file."""
KEYS = {"origin", "files"}
"""Keys of the manifest."""
MAX_FILES = 20_000
MAX_BYTES = 4 * 2**30
"""Bounds of a pack; the complete official assets are 585 files of 180 MB."""
MAX_HEADER = 2**14
"""Bytes of the longest name or other header of a pack, which tarfile reads and searches at once."""
OPENERS = {b"\xfd7zXZ\0": lzma.open, b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
"""How a compressed pack begins -> what reads it."""

_COMMANDS = "Mend it with: vla assets libero --from <pack.tar.xz>, or, to download: vla assets libero"
_log = logging.getLogger(__name__)


def default_target() -> Path:
    """Where assets are installed: ``$VLA_LIBERO_ASSETS``, else ``vla_envs/libero-assets`` in the user's cache."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return expanded(named) if named else user_cache() / "vla_envs" / "libero-assets"


def find_assets(path: str | os.PathLike[str] | None = None) -> Path:
    """The asset folder: ``path``, else ``$VLA_LIBERO_ASSETS``, else the user's cache, else LIBERO's own cache.

    Raises:
        MissingAssetsError: the folder that was named, or every default one, is absent.
        DamagedAssetsError: the folder lacks something.
    """
    if path is not None:
        candidates = [expanded(path)]
    elif os.environ.get(ENVIRONMENT_VARIABLE):
        candidates = [default_target()]
    else:
        candidates = [default_target()]
        with suppress(InvalidArgumentError):  # a user without a home
            candidates.append(expanded("~/.cache/libero/assets"))
    for folder in candidates:
        if folder.is_dir():
            check_assets(folder)
            return folder.resolve()
    looked = " or ".join(str(folder) for folder in candidates)
    raise MissingAssetsError(f"There are no LIBERO assets at {looked}. {_COMMANDS}")


def check_assets(folder: Path) -> None:
    """Raise DamagedAssetsError unless ``folder`` has every required folder and every file it was installed with."""
    missing = [name for name in FOLDERS if not (folder / name).is_dir()]
    manifest = _read_manifest(folder)
    if manifest is not None:
        missing += [name for name, size in manifest["files"].items() if not _has_size(folder / name, size)]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DamagedAssetsError(
            f"The LIBERO assets at {folder} are damaged: missing or cut short are {', '.join(missing[:3])}{more}. "
            f"{_COMMANDS}"
        )


def stand_ins(folder: Path) -> tuple[str, ...]:
    """The files of an asset folder that are stand-ins for the official ones, visible in images only.

    Say so beside results that come from such a folder. Empty for the official assets.
    """
    listing = folder / STAND_IN_LIST
    if not listing.is_file():
        return ()
    return tuple(line for line in listing.read_text().splitlines() if line.startswith(tuple(f"{f}/" for f in FOLDERS)))


def install_assets(source: Path, target: Path | None = None) -> Path:
    """Unpack an asset pack (a tar archive of any compression) and return the folder.

    The pack is unpacked and checked aside and then renamed into place, so that an interruption
    leaves what was there before. Installing the same pack again only verifies it.

    Args:
        source: the archive; its files lie at its top or in one folder.
        target: where to install; :func:`default_target` by default.

    Raises:
        MissingAssetsError: there is no such archive.
        DamagedAssetsError: the archive is damaged, unsafe or not an asset pack.
        InvalidArgumentError: ``target`` holds something that is not an asset folder.
    """
    source = expanded(source)
    if not source.is_file():
        raise MissingAssetsError(f"There is no asset pack at {source}. {_COMMANDS}")
    origin = f"sha256:{sha256_of(source)}"
    with _installation(target, origin) as (target, folder):
        if folder is not None:
            with _named_errors(source):
                _unpack(source, folder)
    return target


def download_assets(target: Path | None = None) -> Path:
    """Download the official assets from the Hugging Face dataset ``lerobot/libero-assets`` and return the folder.

    Raises:
        DependencyNotInstalled: ``huggingface_hub`` is not installed.
        MissingAssetsError: the download failed; nothing was changed.
        DamagedAssetsError: what arrived is not an asset folder.
        InvalidArgumentError: ``target`` holds something that is not an asset folder.
    """
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise DependencyNotInstalled(
            "Downloading needs `huggingface_hub`. Install it with: pip install huggingface_hub"
        ) from error
    origin = f"hf://datasets/{REPOSITORY}"
    with _installation(target, origin) as (target, folder):
        if folder is not None:
            try:
                hub.snapshot_download(repo_id=REPOSITORY, repo_type="dataset", local_dir=str(folder))
            except Exception as error:  # the hub raises many kinds: network, authorisation, disk
                raise MissingAssetsError(f"Could not download {origin} ({error}). {_COMMANDS}") from error
            shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's own bookkeeping
    return target


@contextmanager
def _installation(target: Path | None, origin: str) -> Iterator[tuple[Path, Path | None]]:
    """The target and, unless it holds ``origin`` already, a folder to fill that takes its place at the end.

    One process installs at a time; the others wait and find the work done.
    """
    target = _checked_target(target)
    with exclusive(target.parent):
        if _is_installed(target, origin):
            _log.info("The assets of %s are already installed at %s.", origin, target)
            yield target, None
            return
        with atomic_directory(target) as folder:
            yield target, folder
            _finish(folder, origin)
    _log.info("Installed the assets of %s at %s.", origin, target)


def _checked_target(target: Path | None) -> Path:
    """The target, after making sure that replacing it destroys nothing but an asset folder."""
    target = (default_target() if target is None else expanded(target)).absolute()
    if not target.exists():
        return target
    replaceable = target.is_dir() and (
        (target / MANIFEST).exists() or (target / FOLDERS[0]).is_dir() or not any(target.iterdir())
    )
    if not replaceable:
        raise InvalidArgumentError(
            f"Expect the `target` to be absent, empty or an asset folder, actually: {target} holds something else."
        )
    return target


def _is_installed(target: Path, origin: str) -> bool:
    try:
        manifest = _read_manifest(target)
        check_assets(target)
    except DamagedAssetsError:
        return False
    return manifest is not None and manifest["origin"] == origin


@contextmanager
def _named_errors(source: Path) -> Iterator[None]:
    """Turn what a damaged or unsafe archive raises into DamagedAssetsError."""
    try:
        yield
    except (OSError, *_DAMAGE) as error:
        if isinstance(error, OSError) and error.errno not in _OF_NAMES:
            raise  # the disk, not the archive
        reason = str(error).partition("\n")[0]
        raise DamagedAssetsError(
            f"The asset pack {source} is damaged or unsafe ({reason}); nothing was installed. "
            "Fetch it again, or download the official assets with: vla assets libero"
        ) from error


_DAMAGE = (tarfile.TarError, EOFError, ValueError, lzma.LZMAError, zlib.error, RecursionError, MemoryError)
"""What the readers of an archive raise; a chain of headers for one file makes tarfile call itself."""
_OF_NAMES = (None, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EILSEQ)
"""Numbers of errors that come from names in an archive."""


class _Bounded:
    """The archive inside a pack, of which no more is read than a pack may have, and no header longer than it may be."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes."""
        if size > MAX_HEADER:
            raise ValueError(f"a header says that it has {size} bytes, more than {MAX_HEADER}")
        self._check(self.tell() + size)
        return self._stream.read(size)

    def seek(self, place: int) -> int:
        """Go on from ``place``."""
        self._check(place)
        return self._stream.seek(place)

    def _check(self, place: int) -> None:
        if place > MAX_BYTES + MAX_FILES * 4 * tarfile.BLOCKSIZE:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")


def _open_pack(source: Path) -> BinaryIO:
    with source.open("rb") as file:
        beginning = file.read(max(map(len, OPENERS)))
    opener: Any = next((each for magic, each in OPENERS.items() if beginning.startswith(magic)), open)
    return opener(source, "rb")


def _unpack(source: Path, folder: Path) -> None:
    """Unpack files and folders only, none outside ``folder``, up to the bounds; drop a single folder around them."""
    files = size = 0
    with _open_pack(source) as stream, tarfile.open(fileobj=cast(BinaryIO, _Bounded(stream)), mode="r:") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2, Debian 12's, has none
        for member in archive:
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise ValueError(f"{member.name} is neither a file nor a folder")
            if not _is_inside(member.name) and member.name != ".":
                raise ValueError(f"{member.name} lies outside the pack")
            files += 1
            size += member.size
            if files > MAX_FILES or size > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_FILES} files or {MAX_BYTES} bytes")
            archive.extract(member, folder, set_attrs=False)  # no owner or mode of the pack's
        _read_to_the_end(archive)
    tops = list(folder.iterdir())
    if len(tops) == 1 and tops[0].is_dir() and tops[0].name not in FOLDERS:
        for path in tops[0].iterdir():
            path.rename(folder / path.name)
        tops[0].rmdir()


def _read_to_the_end(archive: tarfile.TarFile) -> None:
    """After the last member: tarfile takes a cut for the end, and a checksum is checked where its stream ends."""
    stream = archive.fileobj
    assert stream is not None
    if stream.tell() < archive.offset + tarfile.BLOCKSIZE:
        raise ValueError("it is cut short")
    while stream.read(MAX_HEADER):
        pass


def _finish(folder: Path, origin: str) -> None:
    """Check an unpacked folder and write its manifest."""
    check_assets(folder)
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    (folder / MANIFEST).write_text(json.dumps({"origin": origin, "files": dict(sorted(files.items()))}, indent=0))


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = read_json(folder / MANIFEST)
        if not (isinstance(manifest, dict) and manifest.keys() == KEYS and isinstance(manifest["files"], dict)):
            raise ValueError(f"it does not have {' and '.join(sorted(KEYS))}")
        if outside := [name for name in manifest["files"] if not _is_inside(name)]:
            raise ValueError(f"it names {outside[0]!r}, which is no path inside the folder")
        return manifest
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedAssetsError(f"{folder / MANIFEST} cannot be read ({error}). {_COMMANDS}") from error


def _is_inside(name: str) -> bool:
    """Whether a name is a path inside a folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
