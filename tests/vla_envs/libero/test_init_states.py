from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vla_envs.errors import DamagedAssetsError, MissingAssetsError
from vla_envs.libero import init_states
from vla_envs.libero.init_states import UnsafePickleError, read_init_states

STATES = np.random.default_rng(0).normal(size=(50, 7))


def write(path: Path, payload: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_an_array(tmp_path, protocol, order):
    """The official files have protocol 2 and rows in C order."""
    path = write(tmp_path / "task.init", pickle.dumps(np.array(STATES, order=order), protocol=protocol))
    np.testing.assert_array_equal(read_init_states(path), STATES)


class Attack:
    """Unpickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("wrap", [lambda attack: attack, lambda attack: [STATES, {"x": attack}]])
def test_malicious_pickle_never_runs(tmp_path, wrap):
    """A pickle that would run a command is refused, wherever in it the call hides."""
    victim = tmp_path / "victim"
    payload = pickle.dumps(wrap(Attack(os.system, f"touch {victim}")), protocol=2)
    pickle.loads(payload)
    assert victim.exists()  # the attack is real
    victim.unlink()
    with pytest.raises(UnsafePickleError, match=r"task\.init is refused: its pickle names \w+\.system"):
        read_init_states(write(tmp_path / "task.init", payload))
    assert not victim.exists()


@pytest.mark.parametrize("function", [eval, getattr, np.load, np.fromfile, __import__])
def test_refuses_every_other_name(tmp_path, function):
    with pytest.raises(UnsafePickleError, match="a numpy array does not need"):
        read_init_states(write(tmp_path / "task.init", pickle.dumps(Attack(function, "x"), protocol=2)))


def test_refuses_other_encodings(tmp_path):
    """The one codec that array pickles use is latin1."""
    import _codecs

    payload = pickle.dumps(Attack(_codecs.encode, "x", "rot13"), protocol=2)
    with pytest.raises(DamagedAssetsError, match="unexpected encoding 'rot13'"):
        read_init_states(write(tmp_path / "task.init", payload))


@pytest.mark.parametrize("value", [STATES.astype(np.float32), STATES[0], np.array([[None]]), [1, 2], "text"])
def test_refuses_what_is_no_table_of_float64(tmp_path, value):
    with pytest.raises(DamagedAssetsError, match="cannot be read as an init file"):
        read_init_states(write(tmp_path / "task.init", pickle.dumps(value, protocol=2)))


def test_damaged_file_names_the_command(tmp_path):
    path = write(tmp_path / "task.init", pickle.dumps(STATES, protocol=2))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedAssetsError, match=r"pip install --no-deps hf-libero==0\.1\.4"):
        read_init_states(path)


def test_array_shorter_than_it_says(tmp_path):
    payload = pickle.dumps(STATES, protocol=2).replace(b"K\x32K\x07\x86", b"K\x33K\x07\x86")
    with pytest.raises(DamagedAssetsError, match="cannot be read"):
        read_init_states(write(tmp_path / "task.init", payload))


def test_missing_file(tmp_path):
    with pytest.raises(MissingAssetsError, match="no init file at"):
        read_init_states(tmp_path / "task.init")


def test_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """A member that claims to be large is refused before it is read."""
    monkeypatch.setattr(init_states, "MAX_BYTES", 10)
    path = write(tmp_path / "task.init", pickle.dumps(STATES, protocol=2))
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(DamagedAssetsError, match="more than 10"):
        read_init_states(path)


def test_member_that_unpacks_to_more_than_it_says(tmp_path):
    """A gigabyte of zeros compresses to a megabyte; no more is unpacked than the archive's directory promises."""
    payload = pickle.dumps(STATES, protocol=2)
    path = tmp_path / "task.init"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", payload + bytes(2**20))
    content = path.read_bytes()
    size, smaller = ((len(payload) + extra).to_bytes(4, "little") for extra in (2**20, 0))
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, smaller))
    with pytest.raises(DamagedAssetsError, match="cannot be read"):
        read_init_states(path)


def test_pickle_with_a_large_memo(tmp_path):
    """Python's reader reserves room for as many entries as the largest number says: here 32 GiB."""
    payload = pickle.dumps(STATES, protocol=2)
    payload = payload[:2] + b"Nr\xff\xff\xff\xff0" + payload[2:]
    with pytest.raises(DamagedAssetsError, match="the number 4294967295, more than 1000"):
        read_init_states(write(tmp_path / "task.init", payload))
