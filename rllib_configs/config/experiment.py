"""Everything about a run, to and from JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from policies.options import Options
from rllib_configs.config.environment import EnvironmentConfig
from rllib_configs.config.policy import CausalLMConfig, OpenVLAConfig, PolicyConfig, TinyPolicyConfig
from rllib_configs.config.run import Evaluation, Resources
from rllib_configs.config.training import PPO, TTRL, BehaviorCloning, check_used
from vla_envs.errors import InvalidArgumentError


@dataclass(frozen=True)
class Experiment(Options):
    """Everything about a run.

    Raises:
        InvalidArgumentError: a field whose value its type does not allow; the message names it.

    Example:
        >>> Experiment(ttrl=TTRL(n_votes_per_prompt=5)).ttrl.temperatures().shape
        (5,)
    """

    name: str = "experiment"
    """Name of the run; its directory is ``runs/<name>``."""
    seed: NonNegativeInt = 0
    """Seed of the fresh policy, the prompts and the sampling."""
    iterations: NonNegativeInt = 60
    """Number of updates."""
    time_limit_minutes: NonNegativeFloat | None = None
    """Minutes of training, of all sessions of a run together, after which it stops even when iterations are left; None
    sets no limit."""
    checkpoint_interval: PositiveInt = 5
    """Number of updates between the checkpoints from which ``vla train --resume`` goes on."""
    checkpoints_kept: PositiveInt = 2
    """Number of checkpoints that are kept, the newest ones."""
    wandb_project: str | None = None
    """Project of Weights & Biases that the metrics go to as well; None logs to the run's directory alone."""
    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    policy: PolicyConfig = field(default_factory=TinyPolicyConfig)
    bc: BehaviorCloning = field(default_factory=BehaviorCloning)
    ttrl: TTRL = field(default_factory=TTRL)
    ppo: PPO = field(default_factory=PPO)
    resources: Resources = field(default_factory=Resources)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_used(self.ttrl, self.ppo)
        if not self.bc.validation_share:
            self.bc.check_left(("validation_interval", "patience"), "bc.validation_share above 0")
        if self.environment.pays and self.ttrl.reward != "env":
            raise InvalidArgumentError(
                "Expect `ttrl.reward` to be 'env' with `environment.wrappers` that change rewards, because nothing "
                f"else trains on these, actually: {self.ttrl.reward!r} with {', '.join(self.environment.wrappers)}."
            )
        if 0 < self.ppo.lr_decay_iterations < self.iterations:
            raise InvalidArgumentError(
                f"Expect `ppo.lr_decay_iterations` to be 0 or at least `iterations` ({self.iterations}), because "
                f"nothing is learned at a learning rate of 0, actually: {self.ppo.lr_decay_iterations}."
            )
        if self.name in ("", "..") or Path(self.name).name != self.name:
            raise InvalidArgumentError(f"Expect the `name` to be that of one directory, actually: {self.name!r}.")

    def resolved(self) -> Experiment:
        """The same experiment with an environment that offers what the policy takes, where nothing else is said.

        Raises:
            InvalidArgumentError: the environment is asked for chunks of another size than the policy decodes, or for
                what the policy does not look at.
        """
        environment, policy = self.environment, self.policy
        chunk_size = policy.chunk_size  # of a hosted policy it is read from a file
        if isinstance(policy, OpenVLAConfig):
            if environment.history:  # 0 is what a resolved one has
                environment.check_left(("history",), "policy:tiny or policy:dinov2-bert")
            if environment.chunk_size not in (None, chunk_size):
                raise InvalidArgumentError(
                    f"Expect `environment.chunk_size` to be None or that of a policy {policy.kind!r}, "
                    f"{chunk_size}, actually: {environment.chunk_size}."
                )
        if isinstance(policy, CausalLMConfig):
            if self.evaluation.videos:
                raise InvalidArgumentError(
                    "Expect `evaluation.videos` to be 0, because answers to questions show no images, "
                    f"actually: {self.evaluation.videos}."
                )
            if self.ttrl.compares_final_states:
                raise InvalidArgumentError(
                    "Expect `ttrl.reward` to compare no final states, because those of answers are the ids of their "
                    f"tokens, which have no distance, actually: {self.ttrl.reward!r} with {self.ttrl.outcome!r} as the "
                    "outcome. Answers vote: --ttrl.reward vote --ttrl.outcome given_answer."
                )
            environment = _answered(environment, policy)
        offered = environment.replace(
            chunk_size=environment.chunk_size or chunk_size,
            instruction=environment.instruction or policy.instruction,
            history=policy.history if environment.history is None else environment.history,
        )
        return self.replace(environment=offered)

    @property
    def demonstrated(self) -> EnvironmentConfig:
        """The environment in which the expert demonstrates."""
        return self.environment.replace(env_kwargs={**self.environment.env_kwargs, **self.bc.env_kwargs})

    @property
    def clones_expert(self) -> bool:
        """Whether demonstrations of a scripted expert are cloned; a checkpoint is taken as it is."""
        return self.clones and self.bc.demonstrations is None

    @property
    def clones(self) -> bool:
        """Whether the initial policy is cloned from demonstrations, of an expert or recorded ones."""
        return self.policy.path is None and (self.bc.demonstrations is not None or self.bc.demonstrations_per_task > 0)

    def to_rllib(self) -> Any:
        """The :class:`~rllib_configs.VLAPPOConfig`, for ``tune.run(VLAPPO, config=...)`` or ``.build_algo()``."""
        # By name, as Gymnasium's entry points are: what a run is knows nothing of what runs it, and waits for no ray.
        return resolve_name("rllib_configs.algorithm:VLAPPOConfig").from_experiment(self)


def _answered(environment: EnvironmentConfig, policy: CausalLMConfig) -> EnvironmentConfig:
    """The environment with the language model's tokenizer, whose episodes are over with its longest response.

    Raises:
        InvalidArgumentError: it asks for longer ones, of which the model would say the rest without what it has said.
    """
    limit = environment.max_episode_steps or policy.chunk_size
    if limit > policy.chunk_size:
        raise InvalidArgumentError(
            f"Expect `environment.max_episode_steps` to be at most the longest response of the policy, "
            f"{policy.chunk_size} tokens, actually: {limit}. Give a fresh policy more (--policy.response-length)."
        )
    tokenizer = {} if policy.tokenizer is None else {"tokenizer": policy.tokenizer}
    return environment.replace(max_episode_steps=limit, env_kwargs={**tokenizer, **environment.env_kwargs})
