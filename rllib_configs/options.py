"""The options of an experiment, part by part."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from policies.openvla.options import OpenVLAOptions
from policies.registry import POLICIES
from rllib_configs.algorithm.scoring import VOTE
from vla_envs.errors import InvalidArgumentError, UnknownCameraError, check_choice
from vla_envs.group import VoteConfig, changed_state_cluster, env_success, final_state_cluster, noisy
from vla_envs.group.outcomes import OutcomeFn
from vla_envs.registration import find_spec, make_env
from vla_envs.spec import CAMERA_KEYS
from vla_envs.wrappers import ActionHistory, EncodeInstruction, TokenizeInstruction

LEAST: Mapping[str, float] = {
    "seed": 0,
    "iterations": 0,
    "time_limit_minutes": 0,
    "checkpoint_interval": 1,
    "checkpoints_kept": 1,
    "environment.chunk_size": 1,
    "environment.token_length": 1,
    "environment.history": 0,
    "environment.num_workers": 0,
    "bc.demonstrations_per_task": 0,
    "bc.noise": 0,
    "bc.steps": 1,
    "bc.learning_rate": 0,
    "bc.batch_size": 1,
    "ttrl.n_votes_per_prompt": 1,
    "ttrl.n_samples_per_prompt": 1,
    "ppo.groups_per_iteration": 1,
    "ppo.max_num_gen_batches": 1,
    "ppo.learning_rate": 0,
    "ppo.num_epochs": 1,
    "ppo.minibatch_size": 1,
    "ppo.micro_batch_size": 1,
    "ppo.clip_param": 0,
    "ppo.clip_param_high": 0,
    "ppo.entropy_coeff": 0,
    "ppo.reference_kl_coeff": 0,
    "ppo.reference_kl_target": 0,
    "ppo.grad_clip": 0,
    "ppo.gamma": 0,
    "ppo.lambda_": 0,
    "ppo.vf_loss_coeff": 0,
    "resources.num_env_runners": 0,
    "resources.num_envs_per_env_runner": 1,
    "resources.num_gpus_per_env_runner": 0,
    "resources.num_learners": 0,
    "resources.num_gpus_per_learner": 0,
    "resources.sample_timeout_s": 0,
    "resources.torch_threads": 1,
    "evaluation.num_episodes": 1,
    "evaluation.num_envs": 1,
    "evaluation.interval": 1,
    "evaluation.curve_episodes": 1,
    "evaluation.videos": 0,
    "evaluation.video_stride": 1,
}
"""Field of an experiment -> its least value; None passes where a field may be None. Others are checked where used."""


INSTRUCTIONS = ("words", "text")
"""What may be observed of an instruction."""


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
    chunk_size: int | None = None
    """Actions per decision, executed open loop; None takes the policy's: 8 of a tiny one."""
    instruction: str | None = None
    """What is observed of the instruction: ``words``, ids of them, or ``text``, its bytes; None as the policy reads
    it, a tiny one words."""
    token_length: int = 24
    """Word ids per instruction."""
    history: int = 0
    """Past actions that the policy observes."""
    max_episode_steps: int | None = None
    """Step limit in control steps; None takes the task's own."""
    render_quality: str | None = None
    """Of LIBERO's images: ``exact``, or ``fast`` and ``fastest``, which change pixels; None takes the id's own."""
    num_workers: int = 0
    """Processes for the environments of each sampling process and of an evaluation; 0 keeps them inside. Worth it
    for a simulator that can hang or die, which then costs a trajectory and not the run, and for evaluating on many
    cores. For speed alone ``resources.num_env_runners`` comes first: runners share the policy's work as well."""

    @property
    def actions_per_decision(self) -> int:
        """The chunk size, or a tiny policy's."""
        return self.chunk_size or POLICIES["tiny"].chunk_size

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

    def make_observed(self, split: str, render_mode: str | None = None) -> gym.Env:
        """The same with the observations of the policy; its actions are single ones, not chunks."""
        env = self.make(split, render_mode)
        if self.history:
            env = ActionHistory(env, self.history)
        if self.instruction == "text":
            return EncodeInstruction(env)
        return TokenizeInstruction(env, self.token_length)

    def validate(self) -> None:
        """Check that the id is registered and that its environment takes the options.

        Raises:
            InvalidArgumentError: an unknown ``instruction``, or an option that the environment does not have, such as a
                suite.
            gymnasium.error.Error: no such id.
        """
        if self.instruction is not None:
            check_choice("environment.instruction", self.instruction, INSTRUCTIONS)
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
            "chunk_size": self.actions_per_decision,
            "token_length": self.token_length,
            "history": self.history,
            "image_keys": tuple(CAMERA_KEYS[camera] for camera in self.cameras),
        }

    def group_kwargs(self, split: str) -> dict[str, Any]:
        """Keywords of ``gymnasium.make_vec``, groups aside."""
        return {
            **self.kwargs(split),
            "mode": "hold",  # rounds of one whole trajectory per member, each ending at its own step
            "chunk_size": self.actions_per_decision,
            "token_length": None if self.instruction == "text" else self.token_length,
            "instruction_bytes": self.instruction == "text",
            "history": self.history,
            "num_workers": self.num_workers,
        }


@dataclass(frozen=True)
class PolicyConfig:
    """Which policy is trained."""

    kind: str = "tiny"
    """Kind of policy, see ``policies.registry``."""
    head: str = "tokens"
    """Of a fresh policy: ``tokens``, a choice among bins, or ``gaussian``, continuous actions."""
    path: str | None = None
    """Checkpoint directory to start from; None starts afresh, from demonstrations where there are any."""
    openvla: OpenVLAOptions = field(default_factory=OpenVLAOptions)
    """How a checkpoint of OpenVLA or OpenVLA-OFT is hosted."""


@dataclass(frozen=True)
class BehaviourCloning:
    """How a first policy is cloned from a scripted expert."""

    demonstrations_per_task: int = 20
    """Expert episodes per task, each from another training state; 0 clones nothing."""
    noise: float = 0.3
    """Standard deviation of the disturbance of the executed translations, in action units."""
    speed: float = 1.0
    """Share of its speed that the expert moves at, in (0, 1]."""
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
    n_samples_per_prompt: int | None = None
    """Trajectories of those that voted to train on, for a ``vote``; None takes all."""
    base_temperature: float = 0.6
    """Lowest sampling temperature of a group."""
    temperature_range: float = 0.3
    """Highest minus lowest sampling temperature of a group."""
    prompts: str | None = None
    """``uniform``, ``sequential`` or ``curriculum`` over all prompts; None has the environment draw them."""
    reward: str = "efficiency"
    """``efficiency``: success / (1 + steps / max_steps); ``success``: 1 or 0; ``vote``: as the rule says."""
    rule: str = "agreement_if_success"
    """How a vote becomes rewards: a rule of ``vla_envs.group.VoteConfig``."""
    select: str = "first"
    """Which of those that voted to train on: a criterion of ``vla_envs.group.select_top_k``. Temperatures rise within a
    group, so ``first`` are the coldest."""
    min_confidence_ratio: float = 0.5
    """A majority ratio of at most this is low confidence."""
    use_env_fallback: bool = True
    """Whether trajectories on which the vote abstains get the environment's reward, which needs its labels."""
    log_detailed_metrics: bool = True
    """Whether metrics also compare votes and rewards with the environment's truth."""
    outcome: str = "env_success"
    """What is voted on: ``env_success``; ``noisy_success``, which is wrong with probability ``noise``; or
    ``final_state_cluster`` or ``changed_state_cluster``, which need no label."""
    noise: float = 0.25
    """Probability that an outcome of ``noisy_success`` is wrong."""
    cluster_tolerance: float = 0.05
    """Largest difference of a coordinate between final states of one cluster, in the units of the environment."""
    n_judgements: int = 5
    """Judgements of each trajectory, for the rule ``denoise``."""

    def vote_config(self) -> VoteConfig | None:
        """The vote, where there is one.

        Raises:
            InvalidArgumentError: a field outside its range, or a selection without a vote.
        """
        if self.reward != VOTE:
            if self.n_samples_per_prompt is not None:
                raise InvalidArgumentError(
                    f"Expect `ttrl.n_samples_per_prompt` with `ttrl.reward={VOTE}` alone, actually: "
                    f"{self.n_samples_per_prompt} with {self.reward!r}, which trains on all trajectories."
                )
            return None
        check_choice("ttrl.outcome", self.outcome, OUTCOMES)
        return VoteConfig(
            n_votes_per_prompt=self.n_votes_per_prompt,
            n_samples_per_prompt=self.n_samples_per_prompt or self.n_votes_per_prompt,
            min_confidence_ratio=self.min_confidence_ratio,
            use_env_fallback=self.use_env_fallback,
            log_detailed_metrics=self.log_detailed_metrics,
            rule=self.rule,
            select=self.select,
            outcome=OUTCOMES[self.outcome](self),
            n_judgements=self.n_judgements,
        )


OUTCOMES: Mapping[str, Callable[[TTRL], OutcomeFn]] = {
    "env_success": lambda ttrl: env_success,
    "noisy_success": lambda ttrl: noisy(env_success, ttrl.noise),
    "final_state_cluster": lambda ttrl: final_state_cluster(ttrl.cluster_tolerance),
    "changed_state_cluster": lambda ttrl: changed_state_cluster(ttrl.cluster_tolerance),
}
"""What a vote may be on, by name."""


@dataclass(frozen=True)
class PPO:
    """The update."""

    adv_estimator: str = "grpo"
    """``grpo``, ``grpo_mean``, ``grpo_nsr``, ``rloo`` (no critic) or ``gae``."""
    groups_per_iteration: int = 16
    """Groups sampled for one update."""
    dynamic_sampling: bool = False
    """Sample further groups in place of those whose trajectories all did equally well."""
    max_num_gen_batches: int = 3
    """How many times ``groups_per_iteration`` groups are sampled at most for one update."""
    learning_rate: float = 3e-4
    """Adam's."""
    num_epochs: int = 2
    """Passes over the sampled decisions."""
    minibatch_size: int = 256
    """Decisions per gradient step."""
    micro_batch_size: int | None = None
    """Decisions that are on the device at a time; None takes a whole minibatch."""
    adam_bits: int = 32
    """Of each number that Adam remembers: 32, or 8, which needs bitsandbytes."""
    ratio_level: str = "token"
    """Whose probability ratio is clipped: that of every ``token``, or of a whole ``trajectory``, a mean over its tokens
    that needs far narrower clips (3e-4 in GSPO)."""
    clip_param: float = 0.2
    """Clip of the probability ratio."""
    clip_param_high: float | None = None
    """Upper clip where it differs."""
    entropy_coeff: float = 0.0
    """Weight of the entropy bonus. Above 0, trajectories of groups that did equally well take part in the update too,
    and in its means."""
    reference_kl: str | None = None
    """Where the KL from the policy that the run starts with is charged: ``loss``, ``reward`` or nowhere."""
    reference_kl_coeff: float = 0.01
    """Its weight."""
    reference_kl_target: float | None = None
    """Nats a token that the weight is adapted to hold, above 0; None leaves it as it is."""
    grad_clip: float = 1.0
    """Largest norm of the gradient."""
    gamma: float = 0.99
    """Discount of a decision, for ``gae``."""
    lambda_: float = 0.95
    """Weight of longer estimates, for ``gae``."""
    vf_loss_coeff: float = 0.5
    """Weight of the critic's squared error, for ``gae``."""


@dataclass(frozen=True)
class Resources:
    """Processes."""

    num_env_runners: int = 2
    """Sampling processes; 0 samples in the driver."""
    num_envs_per_env_runner: int = 64
    """Members per process; a multiple of ``ttrl.n_votes_per_prompt``."""
    num_gpus_per_env_runner: float = 0.0
    """GPUs, or a share of one, for each sampling process."""
    num_learners: int = 0
    """Remote learners; 0 learns in the driver, with the one copy of the model where it samples too."""
    num_gpus_per_learner: float = 0.0
    """GPUs, or a share of one, for each learner; for the driver's own too."""
    sample_timeout_s: float | None = None
    """Seconds that a sampling process may take for its groups until it is replaced; None waits for ever."""
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
