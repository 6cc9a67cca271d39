"""A small policy with a VLA's interface, trainable on a CPU in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.lazily import lazily
from policies.tiny.config import TinyConfig

if TYPE_CHECKING:
    from policies.tiny.model import TinyPolicy

__all__ = ["TinyConfig", "TinyPolicy"]
__getattr__ = lazily(__name__, {"TinyPolicy": "model"})
