"""How something is evaluated from the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from typing_extensions import Self

from policies.options import Options
from rllib_configs.config.environment import EnvironmentConfig
from rllib_configs.config.policy import PolicyConfig, TinyPolicyConfig
from vla_envs.errors import InvalidArgumentError
from vla_envs.libero.protocols import PROTOCOLS

Axis = Literal["camera", "light", "noise", "instruction", "initial_pose"]
"""What :class:`~vla_envs.wrappers.PerturbObservations` can perturb."""
ProtocolName = Literal["openvla", "openvla_oft", "openpi", "lerobot", "simplevla_rl", "rlinf"]
"""A key of :data:`vla_envs.libero.protocols.PROTOCOLS`."""
Severity = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Assessment(Options):
    """Who acts where, and from which starts: initial states that training never sees."""

    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    policy: PolicyConfig = field(default_factory=TinyPolicyConfig)
    protocol: ProtocolName | None = None
    """Code base whose evaluation on LIBERO is followed: its step limits, settle steps, image size and initial states.
    Other options still decide."""
    num_episodes: PositiveInt | None = None
    """Number of episodes, spread evenly over the tasks; None takes every initial state of the split."""
    split: Literal["train", "eval", "all"] = "eval"
    """Split whose initial states the episodes start from."""
    train_ok: bool = False
    """Whether the split may be one that training draws from."""
    temperature: PositiveFloat | None = None
    """Temperature at which a policy's actions are sampled; None takes the most probable ones."""
    seed: NonNegativeInt = 0
    """Seed of sampled and of random actions."""

    def following(self, protocol: ProtocolName, suite: str) -> Self:
        """The same on a suite of LIBERO under a protocol; of the environment what the policy observes is left.

        Raises:
            UnknownSuiteError: no suite of that name.
        """
        kwargs = PROTOCOLS[protocol].kwargs(suite)
        own = {key: kwargs.pop(key) for key in ("image_size", "cameras", "max_episode_steps")}
        environment = self.environment.replace(id="VLA-Libero-v0", env_kwargs=kwargs, wrappers=(), **own)
        return self.replace(environment=environment, split="all", protocol=protocol)


@dataclass(frozen=True)
class Measurement(Assessment):
    """An assessment whose successes are counted, and whose episodes a file can hold."""

    num_envs: PositiveInt = 32
    """Number of environments side by side; ``environment.num_workers`` spreads them over processes."""
    output: str | None = None
    """File to which a JSON line is written for each episode, with what it rests on. The same command goes on where an
    interrupted one has stopped."""
    films: NonNegativeInt = 0
    """Number of episodes, the first ones, that are filmed, for an MP4 file of the same name as ``output``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.films and self.output is None:
            raise InvalidArgumentError("Expect `films` with `output`, beside which the film goes, actually: none.")


@dataclass(frozen=True)
class Sweep(Measurement):
    """Measure how often an actor succeeds, on initial states that training never sees."""

    perturb: tuple[Axis, ...] = ()
    """What is perturbed, one after the other, to measure robustness; the unperturbed episodes come first."""
    severities: tuple[Severity, ...] = (0.5, 1.0)
    """Severities of each perturbation, above 0 and at most 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.perturb and self.severities != Sweep.severities:
            raise InvalidArgumentError(f"Expect `severities` with `perturb` alone, actually: {self.severities}.")
