"""A small policy with a VLA's interface, trainable on a CPU in minutes."""

from policies.tiny.config import TinyConfig
from policies.tiny.model import TinyPolicy

__all__ = ["TinyConfig", "TinyPolicy"]
