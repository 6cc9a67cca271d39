"""The exceptions of the package: each names what was given, what is valid and what mends it.

A missing Python package is Gymnasium's own :class:`gymnasium.error.DependencyNotInstalled`,
raised by :func:`require_extra`; everything else derives from :class:`VLAEnvsError`.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from gymnasium import logger
from gymnasium.error import DependencyNotInstalled

__all__ = [
    "DamagedAssetsError",
    "DamagedRecordingError",
    "DependencyNotInstalled",
    "InvalidActionError",
    "InvalidArgumentError",
    "MissingAssetsError",
    "NonFiniteError",
    "RendererUnavailableError",
    "UnknownAttributeError",
    "UnknownCameraError",
    "UnknownInitStateError",
    "UnknownSuiteError",
    "UnknownTaskError",
    "UnsupportedError",
    "VLAEnvsError",
    "WorkerError",
    "require_extra",
    "warn_once",
]


class VLAEnvsError(Exception):
    """Base class of every error that this package raises on its own account."""


class InvalidArgumentError(VLAEnvsError, ValueError):
    """A constructor or reset argument is outside its valid range."""


class UnknownSuiteError(InvalidArgumentError):
    """No suite of tasks has this name."""


class UnknownTaskError(InvalidArgumentError):
    """The suite has no task of this index or name."""


class UnknownInitStateError(InvalidArgumentError):
    """The task has no initial state of this index."""


class UnknownAttributeError(InvalidArgumentError, AttributeError):
    """The environments of a group have no attribute of this name."""


class UnknownCameraError(InvalidArgumentError):
    """The environment has no camera of this name."""


class InvalidActionError(VLAEnvsError, ValueError):
    """An action has the wrong shape or is not finite."""


class MissingAssetsError(VLAEnvsError, FileNotFoundError):
    """Files that the simulator needs are not on this machine."""


class DamagedAssetsError(VLAEnvsError, OSError):
    """Files that the simulator needs are there but cannot be used."""


class DamagedRecordingError(VLAEnvsError, OSError):
    """A recording is not as it was written."""


class RendererUnavailableError(VLAEnvsError, RuntimeError):
    """No OpenGL (or Vulkan) library could be loaded to draw with."""


class NonFiniteError(VLAEnvsError, FloatingPointError):
    """A number that a run rests on is NaN or infinite: a weight, a loss, an observation or a reward."""


class UnsupportedError(VLAEnvsError, NotImplementedError):
    """This environment cannot do what others of the package can."""


class WorkerError(VLAEnvsError, RuntimeError):
    """A process of its own failed, and its replacements, where there are any, did too."""


@cache
def warn_once(message: str) -> None:
    """Warn by Gymnasium's logger, the first time that this process comes to this message."""
    logger.warn(message)


def require_extra(module: str, extra: str) -> ModuleType:
    """Import ``module``, or say which extra of this package installs it.

    Raises:
        DependencyNotInstalled: naming the module and the pip command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DependencyNotInstalled(
            f"`{module}` cannot be imported ({error}). Install it with: pip install 'vla-envs[{extra}]'"
        ) from error
