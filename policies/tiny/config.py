"""Configuration of the tiny policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from policies.options import Options
from vla_envs.spec import ACTION_DIM, IMAGE
from vla_envs.wrappers.instruction import VOCABULARY_SIZE

Head = Literal["tokens", "gaussian"]
MOST = 2**16
"""Largest size of a policy that is tiny."""
Size = Annotated[int, Ge(1), Le(MOST)]


@dataclass(frozen=True)
class TinyConfig(Options):
    """Sizes of a :class:`~policies.tiny.TinyPolicy`."""

    chunk_size: Size = 8
    """Number of actions K that the policy decides on at a time."""
    action_dim: Size = ACTION_DIM
    """Number of dimensions A of an action."""
    action_low: tuple[float, ...] | None = None
    """Lower bound of each action dimension. None means -1 for each, and actions that are displacements; actions with
    given bounds are targets, such as those of joints."""
    action_high: tuple[float, ...] | None = None
    """Upper bound of each action dimension. None means 1 for each."""
    head: Head = "tokens"
    """Distribution of the actions: ``tokens`` chooses among the bins of each dimension, ``gaussian`` is continuous."""
    bins: Annotated[int, Ge(2), Le(MOST)] = 256
    """Number of bins, evenly spaced, into which each action dimension is divided. A Gaussian head has none."""
    image_keys: tuple[str, ...] = (IMAGE,)
    """Images of the observation that the policy looks at. An empty list makes it blind."""
    state_scale: tuple[float, ...] = (10.0, 10.0, 10.0, 1.0, 1.0, 1.0, 25.0, 25.0)
    """Factor for each number of the proprioception that brings it to order one: meters of a workspace, radians, finger
    joints."""
    history: Annotated[int, Ge(0), Le(MOST)] = 0
    """Number of past actions that the policy observes, the ``length`` of an ``ActionHistory`` wrapper. 0 goes without
    such a wrapper."""
    token_length: Size = 24
    """Number of word ids to which each instruction is padded or cut."""
    vocabulary_size: Size = VOCABULARY_SIZE
    """Number of different word ids."""
    patch_size: Size = 4
    """Side of an image patch in pixels."""
    channels: Size = 32
    """Number of channels of the convolutions."""
    heads: Size = 16
    """Number of attention heads, each of which finds one key point in every image."""
    hidden: Size = 256
    """Width of the fully connected layers."""
