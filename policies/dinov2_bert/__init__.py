"""DINOv2 for images and BERT for instructions, fused with proprioception and past actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.dinov2_bert.config import DINOv2BertOptions
from policies.lazily import lazily

if TYPE_CHECKING:
    from policies.dinov2_bert.policy import DINOv2BertPolicy

__all__ = ["DINOv2BertOptions", "DINOv2BertPolicy"]
__getattr__ = lazily(__name__, {"DINOv2BertPolicy": "policy"})
