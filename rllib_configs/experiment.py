"""The typed configuration of a run and its translation to RLlib."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from rllib_configs.algorithm.config import VLAPPOConfig
from vla_envs.errors import InvalidArgumentError, UnknownCameraError, check_choice
from vla_envs.group import temperature_schedule
from vla_envs.registration import find_spec, make_env
from vla_envs.spec import CAMERA_KEYS

LEAST: Mapping[str, float] = {
    "seed": 0,
    "iterations": 0,
    "time_limit_minutes": 0,
    "environment.chunk_size": 1,
    "environment.token_length": 1,
    "environment.num_workers": 0,
    "bc.demonstrations_per_task": 0,
    "bc.noise": 0,
    "bc.steps": 1,
    "bc.learning_rate": 0,
    "bc.batch_size": 1,
    "ttrl.n_votes_per_prompt": 1,
    "ppo.groups_per_iteration": 1,
    "ppo.learning_rate": 0,
    "ppo.num_epochs": 1,
    "ppo.minibatch_size": 1,
    "ppo.clip_param": 0,
    "ppo.clip_param_high": 0,
    "ppo.entropy_coeff": 0,
    "ppo.grad_clip": 0,
    "resources.num_env_runners": 0,
    "resources.num_envs_per_env_runner": 1,
    "resources.num_learners": 0,
    "resources.torch_threads": 1,
    "evaluation.num_episodes": 1,
    "evaluation.num_envs": 1,
    "evaluation.interval": 1,
    "evaluation.curve_episodes": 1,
    "evaluation.videos": 0,
    "evaluation.video_stride": 1,
}
"""Field of an experiment -> its least value; None passes where a field may be None. Others are checked where used."""


@dataclass(frozen=True)
class Environment:
    """Which tasks, and what the policy sees of them."""

    id: str = "VLA-Tabletop-v0"
    """Environment id of ``vla_envs``, or ``module:id`` of one that keeps to its contract."""
    suite: str | None = None
    """Suite of an id that has several, such as ``libero_spatial``; None takes the id's own."""
    task_id: int | tuple[int, ...] | None = None
    """A task, several, or None for every task of the suite."""
    image_size: int = 64
    """Height and width of the images in pixels."""
    cameras: tuple[str, ...] = ("agentview",)
    """Cameras to observe; none makes the policy blind."""
    chunk_size: int = 8
    """Actions per decision, executed open loop."""
    token_length: int = 24
    """Word ids per instruction."""
    max_episode_steps: int | None = None
    """Step limit in control steps; None takes the task's own."""
    render_quality: str | None = None
    """Of LIBERO's images: ``exact``, or ``fast`` and ``fastest``, which change pixels; None takes the id's own."""
    num_workers: int = 0
    """Processes for the environments of each sampling process and of an evaluation; 0 keeps them inside. Worth it
    for a simulator that can hang or die, which then costs a trajectory and not the run, and for evaluating on many
    cores. For speed alone ``resources.num_env_runners`` comes first: runners share the policy's work as well."""

    def kwargs(self, split: str) -> dict[str, Any]:
        """Keywords of the environment for the initial states of ``split``."""
        given = {
            "suite": self.suite,
            "task_id": self.task_id,
            "image_size": self.image_size,
            "cameras": self.cameras,
            "max_episode_steps": self.max_episode_steps,
            "render_quality": self.render_quality,
        }
        return {"split": split, **{key: value for key, value in given.items() if value is not None}}

    def make(self, split: str, render_mode: str | None = None) -> gym.Env:
        """One environment over the initial states of ``split``."""
        return make_env(self.id, render_mode=render_mode, **self.kwargs(split))

    def validate(self) -> None:
        """Check that the id is registered and that its environment takes the options.

        Raises:
            InvalidArgumentError: an option that the environment does not have, such as a suite.
            gymnasium.error.Error: no such id.
        """
        try:
            creator = find_spec(self.id).entry_point
        except ModuleNotFoundError as error:
            raise InvalidArgumentError(
                f"Expect the `environment.id` to be an id, or module:id, actually: {self.id!r} ({error})."
            ) from error
        if isinstance(creator, str):
            creator = load_env_creator(creator)
        options = inspect.signature(creator).parameters  # type: ignore[arg-type]
        if any(each.kind is each.VAR_KEYWORD for each in options.values()):
            return
        unknown = [f"`{key}`" for key in self.kwargs("train") if key not in options]
        if unknown:
            raise InvalidArgumentError(
                f"Expect an environment with the option {', '.join(unknown)}, actually: {self.id!r}, which has none."
            )

    def policy_config(self) -> dict[str, Any]:
        """What the configuration of a policy says in this environment."""
        for camera in self.cameras:
            check_choice("cameras", camera, CAMERA_KEYS, UnknownCameraError)
        return {
            "chunk_size": self.chunk_size,
            "token_length": self.token_length,
            "image_keys": tuple(CAMERA_KEYS[camera] for camera in self.cameras),
        }

    def group_kwargs(self, split: str) -> dict[str, Any]:
        """Keywords of ``gymnasium.make_vec``, groups aside."""
        return {
            **self.kwargs(split),
            "mode": "hold",  # rounds of one whole trajectory per member, each ending at its own step
            "chunk_size": self.chunk_size,
            "token_length": self.token_length,
            "num_workers": self.num_workers,
        }


@dataclass(frozen=True)
class PolicyConfig:
    """Which policy is trained."""

    kind: str = "tiny"
    """Kind of policy, see ``policies.registry``."""
    path: str | None = None
    """Checkpoint directory to start from; None starts afresh, from demonstrations where there are any."""


@dataclass(frozen=True)
class BehaviourCloning:
    """How a first policy is cloned from a scripted expert."""

    demonstrations_per_task: int = 20
    """Expert episodes per task, each from another training state; 0 clones nothing."""
    noise: float = 0.3
    """Standard deviation of the disturbance of the executed translations, in action units."""
    steps: int = 3000
    """Gradient steps."""
    learning_rate: float = 1e-3
    """Adam's."""
    batch_size: int = 32
    """States per gradient step."""


@dataclass(frozen=True)
class TTRL:
    """Groups of trajectories: how they are sampled and rewarded."""

    n_votes_per_prompt: int = 8
    """N: trajectories of one prompt."""
    base_temperature: float = 0.6
    """Lowest sampling temperature of a group."""
    temperature_range: float = 0.3
    """Highest minus lowest sampling temperature of a group."""
    reward: str = "efficiency"
    """``efficiency``: success / (1 + steps / max_steps); ``success``: 1 or 0."""


@dataclass(frozen=True)
class PPO:
    """The update."""

    adv_estimator: str = "grpo"
    """``grpo``, ``grpo_mean``, ``rloo`` (no critic) or ``gae``."""
    groups_per_iteration: int = 16
    """Groups sampled for one update."""
    learning_rate: float = 3e-4
    """Adam's."""
    num_epochs: int = 2
    """Passes over the sampled decisions."""
    minibatch_size: int = 256
    """Decisions per gradient step."""
    clip_param: float = 0.2
    """Clip of the probability ratio."""
    clip_param_high: float | None = None
    """Upper clip where it differs."""
    entropy_coeff: float = 0.0
    """Weight of the entropy bonus."""
    grad_clip: float = 1.0
    """Largest norm of the gradient."""


@dataclass(frozen=True)
class Resources:
    """Processes."""

    num_env_runners: int = 2
    """Sampling processes; 0 samples in the driver."""
    num_envs_per_env_runner: int = 64
    """Members per process; a multiple of ``ttrl.n_votes_per_prompt``."""
    num_learners: int = 0
    """Remote learners; 0 learns in the driver."""
    torch_threads: int = 1
    """Threads of the driver's torch. A tiny policy gains little from more, and stalls where cores are shared."""


@dataclass(frozen=True)
class Evaluation:
    """Greedy evaluation on initial states that training never sees."""

    num_episodes: int = 320
    """Episodes of the tables before and after, spread evenly over the tasks."""
    num_envs: int = 32
    """Episodes side by side."""
    interval: int = 10
    """Training iterations between the points of the learning curve."""
    curve_episodes: int = 96
    """Episodes per point of the learning curve: the first of those of the tables."""
    videos: int = 6
    """Episodes in the video grid: the first of those of the tables."""
    video_stride: int = 1
    """Control steps per video frame."""


@dataclass(frozen=True)
class Experiment:
    """Everything about a run."""

    name: str = "experiment"
    """Name of the run; its directory is ``runs/<name>``."""
    seed: int = 0
    """Seed of the policy, the prompts and the sampling."""
    iterations: int = 60
    """Updates."""
    time_limit_minutes: float | None = None
    """Stop training after this many minutes even when iterations are left."""
    environment: Environment = field(default_factory=Environment)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    bc: BehaviourCloning = field(default_factory=BehaviourCloning)
    ttrl: TTRL = field(default_factory=TTRL)
    ppo: PPO = field(default_factory=PPO)
    resources: Resources = field(default_factory=Resources)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def policy_keywords(self) -> dict[str, Any]:
        """Keywords of :func:`policies.registry.load_policy`."""
        if self.policy.path is not None:
            return {"kind": self.policy.kind, "path": self.policy.path}
        return {"kind": self.policy.kind, "config": self.environment.policy_config()}

    def validate(self) -> None:
        """Check what can be checked without making an environment or a policy.

        Raises:
            InvalidArgumentError: a value that cannot work; the message names its field.
            gymnasium.error.Error: no such environment id.
        """
        if self.name in ("", "..") or Path(self.name).name != self.name:
            raise InvalidArgumentError(f"Expect the `name` to be that of one directory, actually: {self.name!r}.")
        for name, least in LEAST.items():
            value = reduce(getattr, name.split("."), self)
            # Not value < least: NaN is neither.
            if value is not None and not value >= least:  # type: ignore[operator]
                raise InvalidArgumentError(f"Expect `{name}` to be at least {least}, actually: {value}.")
        self.environment.validate()
        self.to_rllib().validate()

    def to_rllib(self) -> VLAPPOConfig:
        """The algorithm configuration, for ``tune.run(VLAPPO, config=...)`` or ``.build_algo()``."""
        from ray.rllib.core.rl_module import RLModuleSpec

        from policies.rl_module import VLAModule

        resources, env_id = self.resources, self.environment.id
        config = VLAPPOConfig()
        # The module before the colon is what a worker process imports to know the id.
        config.environment(env_id if ":" in env_id else f"vla_envs:{env_id}", env_config=self._group_config())
        config.env_runners(
            num_env_runners=resources.num_env_runners, num_envs_per_env_runner=resources.num_envs_per_env_runner
        )
        config.learners(num_learners=resources.num_learners)
        model_config = {"policy": self.policy_keywords()}
        config.rl_module(rl_module_spec=RLModuleSpec(module_class=VLAModule, model_config=model_config))
        config.debugging(seed=self.seed)
        self._set_update(config)
        return config

    def _group_config(self) -> dict[str, Any]:
        """The keywords of the group environment that a runner makes."""
        ttrl = self.ttrl
        temperatures = temperature_schedule(ttrl.n_votes_per_prompt, ttrl.base_temperature, ttrl.temperature_range)
        return {
            **self.environment.group_kwargs("train"),
            "group_size": ttrl.n_votes_per_prompt,
            "temperatures": temperatures.tolist(),
        }

    def _set_update(self, config: VLAPPOConfig) -> None:
        """Say how rewards become gradient steps."""
        ppo = self.ppo
        config.groups(
            adv_estimator=ppo.adv_estimator,
            trajectory_reward=self.ttrl.reward,
            groups_per_iteration=ppo.groups_per_iteration,
            clip_param_high=ppo.clip_param_high,
        )
        config.training(
            lr=ppo.learning_rate,
            num_epochs=ppo.num_epochs,
            minibatch_size=ppo.minibatch_size,
            clip_param=ppo.clip_param,
            entropy_coeff=ppo.entropy_coeff,
            grad_clip=ppo.grad_clip,
        )

    def replace(self, **changes: Any) -> Experiment:
        """A copy with other fields.

        >>> Experiment().replace(seed=3).seed
        3
        """
        return dataclasses.replace(self, **changes)
