from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import stat
import sys
import tarfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from gymnasium.error import DependencyNotInstalled

from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError
from vla_envs.libero import assets
from vla_envs.libero.assets import FOLDERS, MANIFEST, download_assets, find_assets, install_assets, stand_ins

COMMANDS = r"vla assets libero --from <pack\.tar\.xz>, or, to download: vla assets libero"
FILES = {f"{folder}/mesh.obj": folder.encode() * 50 for folder in FOLDERS}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A home folder of its own, without asset folders."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("VLA_LIBERO_ASSETS", raising=False)
    return tmp_path


def pack(path: Path, files: dict[str, bytes], root: str = "libero-assets/") -> Path:
    with tarfile.open(path, "w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(root + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    files.pop(MANIFEST, None)
    return files


def make_folder(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class TestFindAssets:
    def test_nothing_is_installed(self, home):
        with pytest.raises(MissingAssetsError, match=COMMANDS) as caught:
            find_assets()
        assert str(home / ".cache" / "vla_envs" / "libero-assets") in str(caught.value)

    def test_argument_then_variable_then_cache(self, home, monkeypatch):
        official = make_folder(home / ".cache" / "libero" / "assets")
        assert find_assets() == official
        cached = make_folder(home / ".cache" / "vla_envs" / "libero-assets")
        assert find_assets() == cached
        monkeypatch.setenv("VLA_LIBERO_ASSETS", str(make_folder(home / "named")))
        assert find_assets() == home / "named"
        assert find_assets(make_folder(home / "argument")) == home / "argument"

    def test_xdg_cache_home(self, home, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
        folder = make_folder(home / "xdg" / "vla_envs" / "libero-assets")
        assert find_assets() == folder

    def test_named_folder_is_not_replaced_by_another(self, home, monkeypatch):
        """A folder that was named and is absent is an error, even where the cache has assets."""
        make_folder(home / ".cache" / "vla_envs" / "libero-assets")
        monkeypatch.setenv("VLA_LIBERO_ASSETS", str(home / "absent"))
        with pytest.raises(MissingAssetsError, match="absent"):
            find_assets()

    def test_folder_is_missing(self, home):
        folder = make_folder(home / "assets")
        (folder / "textures" / "mesh.obj").unlink()
        (folder / "textures").rmdir()
        with pytest.raises(DamagedAssetsError, match=f"missing or cut short are textures. Mend it with: {COMMANDS}"):
            find_assets(folder)

    def test_file_is_cut_short(self, home):
        """Of an installed folder, every file is known."""
        folder = install_assets(pack(home / "pack.tar.xz", FILES))
        (folder / "scenes" / "mesh.obj").write_bytes(b"")
        with pytest.raises(DamagedAssetsError, match=r"scenes/mesh\.obj"):
            find_assets()


@pytest.fixture(params=["data filter", "no data filter"])
def python(request, monkeypatch):
    """Pythons with and without tarfile's filters, which the one of Debian 12 does not have."""
    if request.param == "no data filter":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


class TestInstallAssets:
    @pytest.mark.parametrize("root", ["libero-assets/", "", "./"])
    def test_installs_the_files(self, home, root):
        folder = install_assets(pack(home / "pack.tar.xz", FILES, root))
        assert folder == home / ".cache" / "vla_envs" / "libero-assets"
        assert contents(folder) == FILES
        assert find_assets() == folder

    def test_again_only_verifies(self, home, monkeypatch, caplog):
        source = pack(home / "pack.tar.xz", FILES)
        folder = install_assets(source)
        monkeypatch.setattr(assets, "_unpack", None)
        with caplog.at_level("INFO"):
            assert install_assets(source) == folder
        assert f"already installed at {folder}" in caplog.text

    def test_two_processes_at_once_install_once(self, home, monkeypatch):
        """The second waits for the first and finds the work done."""
        source = pack(home / "pack.tar.xz", FILES)
        unpack, started = assets._unpack, threading.Event()

        def slow_unpack(source, folder):
            started.set()
            time.sleep(0.2)
            unpack(source, folder)

        monkeypatch.setattr(assets, "_unpack", slow_unpack)
        first = threading.Thread(target=install_assets, args=(source,))
        first.start()
        started.wait()
        monkeypatch.setattr(assets, "_unpack", None)
        assert contents(install_assets(source)) == FILES
        first.join()

    def test_again_mends(self, home):
        source = pack(home / "pack.tar.xz", FILES)
        folder = install_assets(source)
        (folder / "scenes" / "mesh.obj").unlink()
        (folder / MANIFEST).write_text("{")
        assert contents(install_assets(source)) == FILES

    def test_another_pack_replaces(self, home):
        install_assets(pack(home / "pack.tar.xz", FILES))
        others = dict.fromkeys(FILES, b"official")
        assert contents(install_assets(pack(home / "official.tar.xz", others))) == others

    def test_stand_ins_stay_visible(self, home):
        note = b"Stand-ins made for tests:\nscenes/mesh.obj\n"
        folder = install_assets(pack(home / "pack.tar.xz", {**FILES, "STANDINS.txt": note}))
        assert stand_ins(folder) == ("scenes/mesh.obj",)
        assert stand_ins(make_folder(home / "official")) == ()

    def test_source_is_missing(self, home):
        with pytest.raises(MissingAssetsError, match=r"no asset pack at .*pack\.tar\.xz"):
            install_assets(home / "pack.tar.xz")

    def test_source_is_no_asset_pack(self, home):
        with pytest.raises(DamagedAssetsError, match="missing or cut short are articulated_objects"):
            install_assets(pack(home / "pack.tar.xz", {"readme.txt": b"hello", "more.txt": b"."}))
        assert not (home / ".cache" / "vla_envs" / "libero-assets").exists()

    @pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
    def test_damaged_pack_installs_nothing(self, home, keep):
        source = pack(home / "pack.tar.xz", {name: bytes(range(256)) * 99 + name.encode() for name in FILES})
        data = source.read_bytes()
        source.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
        with pytest.raises(DamagedAssetsError, match=r"damaged or unsafe.*nothing was installed"):
            install_assets(source)
        assert list((home / ".cache" / "vla_envs").iterdir()) == []

    @pytest.mark.parametrize("cut", [512, 1000, 5000])
    def test_uncompressed_pack_that_was_cut(self, home, cut):
        """Also where the cut falls between two files, which tarfile takes for the end."""
        with tarfile.open(pack(home / "pack.tar.xz", FILES)) as packed:
            data = packed.fileobj.read()[: 1024 * len(FILES)]
        (home / "pack.tar").write_bytes(data[: len(data) + 512 - cut])
        with pytest.raises(DamagedAssetsError, match="damaged or unsafe"):
            install_assets(home / "pack.tar")

    def test_damaged_pack_leaves_the_installed_one(self, home):
        folder = install_assets(pack(home / "pack.tar.xz", FILES))
        (home / "bad.tar.xz").write_bytes(b"not an archive")
        with pytest.raises(DamagedAssetsError):
            install_assets(home / "bad.tar.xz")
        assert contents(folder) == FILES

    def test_interruption_leaves_what_was_there(self, home, monkeypatch):
        """Ctrl-C in the middle of unpacking, first without and then with assets in place."""
        extract = tarfile.TarFile.extract

        def interrupted(self, member, *args, **kwargs):
            if "stable_hope_objects" in member.name:
                raise KeyboardInterrupt
            extract(self, member, *args, **kwargs)

        source = pack(home / "pack.tar.xz", FILES)
        other = pack(home / "other.tar.xz", dict.fromkeys(FILES, b"other"))
        cache = home / ".cache" / "vla_envs"
        monkeypatch.setattr(tarfile.TarFile, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install_assets(source)
        assert list(cache.iterdir()) == []
        monkeypatch.setattr(tarfile.TarFile, "extract", extract)
        folder = install_assets(source)
        monkeypatch.setattr(tarfile.TarFile, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install_assets(other)
        assert contents(folder) == FILES
        assert list(cache.iterdir()) == [folder]

    def test_killed_while_installing(self, home, monkeypatch):
        """Nothing can be tidied up then; what was there stays, and installing again works."""
        folder = install_assets(pack(home / "pack.tar.xz", FILES))
        other = pack(home / "other.tar.xz", dict.fromkeys(FILES, b"other"))
        with monkeypatch.context() as patch:
            patch.setattr(assets, "_finish", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            process = multiprocessing.get_context("fork").Process(target=install_assets, args=(other,))
            process.start()
            process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert contents(find_assets()) == FILES
        assert all(path == folder or path.name.startswith(".") for path in folder.parent.iterdir())
        assert contents(install_assets(other)) == dict.fromkeys(FILES, b"other")

    @pytest.mark.usefixtures("python")
    @pytest.mark.parametrize("name", ["../../escaped", "scenes/../../escaped", "{home}/escaped"])
    def test_path_traversal_is_refused(self, home, name):
        name = name.format(home=home)
        with pytest.raises(DamagedAssetsError, match=f"damaged or unsafe .{name} lies outside the pack"):
            install_assets(pack(home / "pack.tar.xz", {**FILES, name: b"x"}, root=""), home / "a" / "b" / "target")
        assert not list(home.rglob("escaped"))
        assert not (home / "a" / "b" / "target").exists()

    @pytest.mark.usefixtures("python")
    def test_modes_and_owners_are_not_the_packs(self, home):
        """A program that runs as its owner is installed as a plain file of whoever installs."""
        with tarfile.open(home / "pack.tar", "w") as archive:
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode, member.uid = len(content), 0o6777, 12345
                archive.addfile(member, io.BytesIO(content))
        folder = install_assets(home / "pack.tar")
        (home / "plain").touch()
        plain = (home / "plain").stat()
        for path in FILES:
            installed = (folder / path).stat()
            assert stat.S_IMODE(installed.st_mode) == stat.S_IMODE(plain.st_mode)
            assert installed.st_uid == plain.st_uid

    @pytest.mark.usefixtures("python")
    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
    def test_links_and_devices_are_refused(self, home, kind):
        source = pack(home / "pack.tar.xz", FILES)
        with tarfile.open(home / "bad.tar", "w") as archive:
            with tarfile.open(source) as good:
                for member in good:
                    archive.addfile(member, good.extractfile(member))
            member = tarfile.TarInfo("libero-assets/scenes/link")
            member.type, member.linkname = kind, "mesh.obj"
            archive.addfile(member)
        with pytest.raises(DamagedAssetsError, match="neither a file nor a folder"):
            install_assets(home / "bad.tar")

    @pytest.mark.parametrize(("bound", "value"), [("MAX_FILES", 5), ("MAX_BYTES", 1000)])
    def test_bomb_is_refused(self, home, monkeypatch, bound, value):
        monkeypatch.setattr(assets, bound, value)
        with pytest.raises(DamagedAssetsError, match="unpacks to more than"):
            install_assets(pack(home / "pack.tar.xz", FILES))

    @pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
    def test_headers_are_bounded(self, home, kind):
        """A name of 3 GiB would be read into memory before anybody asks which file it names."""
        member = tarfile.TarInfo("header")
        member.type, member.size = kind, 3 * 2**30
        source = home / "pack.tar"
        source.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10 * tarfile.BLOCKSIZE))
        with pytest.raises(DamagedAssetsError, match="a header says that it has 3221225472 bytes"):
            install_assets(source)

    def test_a_chain_of_headers_is_refused(self, home):
        """tarfile calls itself for each."""
        member = tarfile.TarInfo("header")
        member.type = tarfile.XHDTYPE
        source = home / "pack.tar"
        source.write_bytes(member.tobuf() * 5000)
        with pytest.raises(DamagedAssetsError, match="damaged or unsafe"):
            install_assets(source)

    def test_a_name_that_no_disk_takes(self, home):
        """It is the pack that is at fault, not the folder that it is unpacked into."""
        with pytest.raises(DamagedAssetsError, match=r"asset pack .* is damaged or unsafe .*File name too long"):
            install_assets(pack(home / "pack.tar.xz", {**FILES, f"articulated_objects/{'x' * 300}": b"x"}))

    @pytest.mark.parametrize("name", ["../pack.tar.xz", "/etc/passwd", "", "\\u0000"])
    def test_manifest_that_names_what_lies_elsewhere(self, home, name):
        folder = install_assets(pack(home / "pack.tar.xz", FILES))
        (folder / MANIFEST).write_text(f'{{"origin": "x", "files": {{"{name}": 1}}}}')
        with pytest.raises(DamagedAssetsError, match="no path inside the folder"):
            find_assets()

    def test_other_folders_are_not_overwritten(self, home):
        """A target mistaken for the asset folder keeps its files."""
        (home / "thesis").mkdir()
        (home / "thesis" / "chapter1.tex").write_text("precious")
        with pytest.raises(InvalidArgumentError, match="holds something else"):
            install_assets(pack(home / "pack.tar.xz", FILES), home / "thesis")
        assert (home / "thesis" / "chapter1.tex").read_text() == "precious"

    def test_variable_names_the_target(self, home, monkeypatch):
        monkeypatch.setenv("VLA_LIBERO_ASSETS", str(home / "named"))
        assert install_assets(pack(home / "pack.tar.xz", FILES)) == home / "named"


class TestDownloadAssets:
    def fake_hub(self, monkeypatch, snapshot_download):
        monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))

    def test_downloads_the_official_dataset(self, home, monkeypatch):
        calls = []

        def snapshot_download(repo_id, repo_type, local_dir):
            calls.append((repo_id, repo_type))
            make_folder(Path(local_dir))
            (Path(local_dir) / ".cache").mkdir()

        self.fake_hub(monkeypatch, snapshot_download)
        folder = download_assets()
        assert download_assets() == folder
        assert calls == [("lerobot/libero-assets", "dataset")]
        assert contents(folder) == FILES
        assert json.loads((folder / MANIFEST).read_text())["origin"] == "hf://datasets/lerobot/libero-assets"

    def test_no_network(self, home, monkeypatch):
        def snapshot_download(**kwargs):
            make_folder(Path(kwargs["local_dir"]) / "half")
            raise ConnectionError("name resolution failed")

        self.fake_hub(monkeypatch, snapshot_download)
        with pytest.raises(MissingAssetsError, match=f"name resolution failed.*{COMMANDS}"):
            download_assets()
        assert list((home / ".cache" / "vla_envs").iterdir()) == []

    def test_hub_is_not_installed(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(DependencyNotInstalled, match="pip install huggingface_hub"):
            download_assets()
