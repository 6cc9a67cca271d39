"""Files of tensors."""

import pytest
import torch
from safetensors.torch import save_file

from policies.tensor_files import open_tensors, read_tensors, shapes_in
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
