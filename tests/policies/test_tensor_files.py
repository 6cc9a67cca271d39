"""Files of tensors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from policies.tensor_files import open_tensors, read_tensors, shapes_in, write_tensors
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError


def test_shapes_are_those_of_the_tensors(tmp_path):
    """By their names."""
    tensors = {"a": torch.rand(2, 3), "b": torch.rand(4).bfloat16()}
    save_file(tensors, tmp_path / "file")
    assert shapes_in(tmp_path / "file") == {"a": (2, 3), "b": (4,)}
    read = dict(read_tensors(tmp_path / "file"))
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], each) for name, each in tensors.items())


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.bool, torch.float8_e4m3fn])
def test_numbers_that_stand_for_others_are_refused(tmp_path, dtype):
    """Taken as they are, quantized weights would be other weights."""
    save_file({"sound": torch.zeros(2), "weight": torch.zeros(2).to(dtype)}, tmp_path / "file")
    with pytest.raises(InvalidArgumentError, match=r"for 'weight'\. Quantized weights"):
        open_tensors(tmp_path / "file")


def test_another_file_is_named(tmp_path):
    """With what to do."""
    (tmp_path / "file").write_bytes(b"something else")
    with pytest.raises(DamagedAssetsError, match="file` is cut short or no safetensors file"):
        open_tensors(tmp_path / "file")


TENSORS = {"a": torch.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": torch.linspace(0.0, 1.0, 4).bfloat16()}


def test_what_is_written_is_read(tmp_path):
    """In its own type."""
    write_tensors(tmp_path / "file", TENSORS)
    read = dict(read_tensors(tmp_path / "file"))
    assert {name: each.dtype for name, each in read.items()} == {"a": torch.float32, "b": torch.bfloat16}
    assert all(torch.equal(read[name], each) for name, each in TENSORS.items())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("tensors") / "file"
    write_tensors(path, TENSORS)
    return path, path.read_bytes()


@given(st.data())
def test_a_flipped_bit_is_never_another_weight(written, data):
    """Wherever in the file it is. In a tensor's name it makes another tensor, which is missed under its own."""
    path, content = written
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    damaged = bytearray(content)
    damaged[place // 8] ^= 1 << place % 8
    path.write_bytes(damaged)
    try:
        read = dict(read_tensors(path))
    except (DamagedAssetsError, InvalidArgumentError):
        return
    assert all(torch.equal(read[name], each) for name, each in TENSORS.items() if name in read)
