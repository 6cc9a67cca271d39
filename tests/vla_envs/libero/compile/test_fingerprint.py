from __future__ import annotations

import os

import pytest

from vla_envs.libero.compile.fingerprint import fingerprint


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "assets"
    (folder / "textures").mkdir(parents=True)
    (folder / "textures" / "wood.png").write_bytes(b"wood")
    (folder / "scene.xml").write_bytes(b"<scene/>")
    return folder


def test_content_decides_and_not_the_time(folder):
    before = fingerprint(folder)
    os.utime(folder / "scene.xml", (1, 1))
    assert fingerprint(folder) == before
    (folder / "scene.xml").write_bytes(b"<SCENE/>")
    assert fingerprint(folder) != before


def test_a_renamed_file_changes_it(folder):
    before = fingerprint(folder)
    (folder / "scene.xml").rename(folder / "other.xml")
    assert fingerprint(folder) != before


def test_it_is_remembered(folder, monkeypatch):
    """A second call reads no file of the folder."""
    before = fingerprint(folder)
    monkeypatch.setattr("vla_envs.libero.compile.fingerprint._content", lambda _: pytest.fail("read again"))
    assert fingerprint(folder) == before


@pytest.mark.parametrize("damaged", ["{", "[]", "{}", "[" * 100_000, '{"state": 1, "content": 2}'])
def test_a_damaged_memory_is_ignored(folder, tmp_path, damaged):
    before = fingerprint(folder)
    (memory,) = (tmp_path / "cache").rglob("*.json")
    memory.write_text(damaged)
    assert fingerprint(folder) == before
