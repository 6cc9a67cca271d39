"""The recorded answers of the original OpenVLA code, and checkpoints with random weights."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

SHARED = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "openvla_parity"
"""Beside the repository, and no part of it."""
PARITY = Path(os.environ.get("VLA_OPENVLA_PARITY", SHARED))
"""Another folder of the same files checks another checkpoint of the same shape."""
VISION_HEADS = (2, 3)
"""Of the recorded checkpoints, whose configuration does not tell them."""


@pytest.fixture(scope="session")
def openvla_parity() -> Path:
    """The folder of the recorded answers; skips without it."""
    if not PARITY.is_dir():
        pytest.skip(f"the recorded answers of the original OpenVLA are not at {PARITY}; VLA_OPENVLA_PARITY names them")
    return PARITY


@pytest.fixture(scope="session")
def recorded_image(openvla_parity: Path) -> Callable[[str, str], torch.Tensor]:
    """``recorded_image(name, stage)``: uint8 (1, H, W, 3) as TensorFlow left it."""
    stages = np.load(openvla_parity / "preproc" / "tf_image_pipeline.npz")
    return lambda name, stage: torch.from_numpy(stages[f"{name}.{stage}"])[None]


@pytest.fixture(scope="session")
def recorded(openvla_parity: Path) -> Callable[[str], dict[str, np.ndarray]]:
    """``recorded(file)``: the arrays of ``openvla/expected.npz`` and the like, by name."""
    return lru_cache(lambda name: dict(np.load(openvla_parity / f"{name}.npz")))


@pytest.fixture(scope="session")
def l1_checkpoint(openvla_parity: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded checkpoint with its regression head and proprioception beside it, as official ones have them."""
    path = tmp_path_factory.mktemp("openvla") / "l1"
    shutil.copytree(openvla_parity / "openvla_oft" / "ckpt", path)
    for file in (openvla_parity / "openvla_oft" / "l1").glob("*.pt"):
        shutil.copy(file, path)
    return path


@pytest.fixture(scope="session")
def l1_checkpoint_of_random(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random checkpoint with a regression head and a projector of eight numbers of proprioception."""
    from policies.openvla.heads import L1Head, ProprioProjector

    path = tmp_path_factory.mktemp("openvla") / "random_l1"
    shutil.copytree(random_checkpoint, path)
    bounds = {"proprio": {"q01": [-1.0] * 8, "q99": [1.0] * 8}}
    config = json.loads((path / "config.json").read_text())
    config["norm_stats"]["random"].update(bounds)
    (path / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    head = {f"module.model.{name}": each for name, each in L1Head(32, 7).state_dict().items()}
    torch.save(head, path / "action_head--100_checkpoint.pt")
    torch.save(ProprioProjector(8, 32).state_dict(), path / "proprio_projector--100_checkpoint.pt")
    return path
