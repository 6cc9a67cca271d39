"""The recorded answers of the original OpenVLA code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

PARITY = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "openvla_parity"
"""Beside the repository, and no part of it."""


@pytest.fixture(scope="session")
def openvla_parity() -> Path:
    """The folder of the recorded answers; skips without it."""
    if not PARITY.is_dir():
        pytest.skip("the recorded answers of the original OpenVLA are not at ../shared/fixtures/openvla_parity")
    return PARITY


@pytest.fixture(scope="session")
def recorded_image(openvla_parity: Path) -> Callable[[str, str], torch.Tensor]:
    """``recorded_image(name, stage)``: uint8 (1, H, W, 3) as TensorFlow left it."""
    stages = np.load(openvla_parity / "preproc" / "tf_image_pipeline.npz")
    return lambda name, stage: torch.from_numpy(stages[f"{name}.{stage}"])[None]
