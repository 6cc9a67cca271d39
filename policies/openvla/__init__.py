"""OpenVLA and OpenVLA-OFT: official checkpoints on current transformers."""

from __future__ import annotations

from policies.lazily import lazily
from policies.openvla.config import OpenVLAOptions

_CLASSES = {
    "AutoregressiveOpenVLA": "autoregressive",
    "OpenVLAPolicy": "policy",
    "ParallelOpenVLA": "oft",
    "RegressionOpenVLA": "oft",
}

__all__ = ["OpenVLAOptions", *_CLASSES]
__getattr__ = lazily(__name__, _CLASSES)
