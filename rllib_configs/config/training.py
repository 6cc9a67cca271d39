"""How a policy is cloned, sampled and updated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Gt, Le, Lt
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from policies.options import Options
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import (
    NSR,
    Estimator,
    Rule,
    Selection,
    Trajectory,
    VoteConfig,
    changed_state_cluster,
    confidence_weight,
    efficiency_bucket,
    env_success,
    final_state_cluster,
    given_answer,
    joint,
    noisy,
    speed_weight,
    temperature_schedule,
)
from vla_envs.group.outcomes import OutcomeFn
from vla_envs.group.prompts import SamplerName

Probability = Annotated[NonNegativeFloat, Le(1.0)]
Decay = Annotated[PositiveFloat, Le(1.0)]
LearningRate = Annotated[float, Gt(0.0), Le(1e30)]


@dataclass(frozen=True)
class BehaviorCloning(Options):
    """How the policy is cloned from demonstrations before reinforcement learning."""

    section: ClassVar[str] = "bc."

    demonstrations: str | None = None
    """Recorded episodes: a LeRobot dataset, or a folder with HDF5 files. None has the environment's scripted expert
    make some."""
    demonstrations_per_task: NonNegativeInt = 20
    """Expert episodes per task, each from another initial state of the training split; 0 clones nothing."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keywords of ``gymnasium.make`` that the expert's environment has in place of those of training, such as other
    questions, whose answers training does not know then."""
    noise: NonNegativeFloat = 0.3
    """Standard deviation of a disturbance of the expert's translations, in action units, which shows how to come back
    from errors; an expert that plans whole motions ahead goes without."""
    rotation_noise: NonNegativeFloat = 0.0
    """Standard deviation of a disturbance of the expert's rotations, in action units, which shows how to bring a hand
    back to level that has tilted little by little."""
    speed: Annotated[float, Gt(0.0), Le(1.0)] = 1.0
    """Share of its full speed at which the expert moves; one that plans whole motions ahead has a speed of its own."""
    steps: PositiveInt = 3000
    """Number of gradient steps."""
    lr: LearningRate = 1e-3
    """Learning rate of Adam."""
    final_lr: NonNegativeFloat = 0.0
    """Learning rate of the last gradient step, to which it falls linearly. Above 0 the clone is what the first part of
    a longer cloning leaves."""
    batch_size: PositiveInt = 32
    """Number of states in a gradient step."""
    random_shift: NonNegativeInt = 0
    """Number of pixels by which each image is moved at random, at most, so that a policy does not know demonstrations
    by their pixels; 0 leaves images as they are."""
    buffer_rows: PositiveInt = 20_000
    """Number of states that are kept in memory; of more, they are read from disk again and again."""
    validation_share: Annotated[NonNegativeFloat, Lt(1.0)] = 0.0
    """Share of the demonstrations that are not trained on, and by which the best weights are known; 0 trains on all and
    keeps the last weights."""
    validation_interval: PositiveInt = 100
    """Number of gradient steps between two measurements of the validation loss."""
    patience: PositiveInt = 10
    """Number of measurements in a row without a better one that end the cloning."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.final_lr > self.lr:
            raise InvalidArgumentError(
                f"Expect `bc.final_lr` to be at most `bc.lr` ({self.lr:g}), actually: {self.final_lr:g}."
            )


@dataclass(frozen=True)
class TTRL(Options):
    """How the trajectories of a prompt are sampled and rewarded."""

    section: ClassVar[str] = "ttrl."

    n_votes_per_prompt: PositiveInt = 8
    """N, the number of trajectories of a prompt: the size of a group."""
    n_samples_per_prompt: PositiveInt | None = None
    """Number of those trajectories that are trained on, where the reward is a vote; None trains on all."""
    base_temperature: PositiveFloat = 0.6
    """Lowest sampling temperature of a group."""
    temperature_range: NonNegativeFloat = 0.3
    """Difference between the highest and the lowest sampling temperature of a group."""
    target_diversity: Probability | None = None
    """Diversity of a group's actions, from 0 to 1, that the temperatures are adapted to hold; None leaves them as they
    are."""
    temperature_decay: Decay = 1.0
    """Factor on the temperatures after each iteration, until they are at a hundredth; for a Gaussian head it is a
    schedule of standard deviations."""
    prompts: SamplerName | None = None
    """How prompts are drawn from all prompts of the environment; None has the environment draw them. ``every_task``
    draws an initial state and takes all tasks from it in turn."""
    reward: Literal["efficiency", "success", "env", "vote", "progress", "similarity", "contrast"] = "efficiency"
    """What a trajectory is paid: success / (1 + steps / max_steps); 1 for a success; what the environment and its
    wrappers paid; what a vote among the trajectories of the prompt says; 1 for a success and for a failure the more the
    nearer it ends to a success (``progress``); or, which needs no label, how much it acts like the trajectory whose
    tokens were likeliest (``similarity``), or how surely its end tells its instruction from those of the other tasks
    from the same start (``contrast``, with ``prompts=every_task``)."""
    rule: Rule = "agreement_if_success"
    """How a vote becomes rewards, for ``reward=vote``; ``vla_envs.group.VoteConfig`` explains the rules."""
    outcome: Literal[
        "env_success",
        "noisy_success",
        "success_and_speed",
        "final_state_cluster",
        "changed_state_cluster",
        "given_answer",
    ] = "env_success"
    """What the trajectories vote on, for ``reward=vote``: the environment's success, the same with errors, success
    together with the quarter of the time it took, or, which needs no label, alike final states or the answer to a
    question."""
    noise: Probability = 0.25
    """Probability that an outcome of ``outcome=noisy_success`` is wrong."""
    cluster_tolerance: NonNegativeFloat = 0.05
    """Largest difference of a coordinate between alike final states, in the units of the environment."""
    vote_weight: Literal["count", "speed", "confidence"] = "count"
    """Whether every trajectory has one vote, or a fast one more weight than a slow one, or one whose tokens were likely
    more than one of unlikely tokens, for ``reward=vote``."""
    vote_share: Probability = 1.0
    """Share of the vote in a reward of ``reward=vote``; the rest is the task's own reward, whatever wrappers pay."""
    min_confidence_ratio: Annotated[NonNegativeFloat, Lt(1.0)] = 0.5
    """A vote whose majority has at most this share is not confident and abstains, for ``reward=vote``."""
    use_env_fallback: bool = True
    """Whether a trajectory on which the vote abstains is paid the task's own reward, which needs its label."""
    select: Selection = "first"
    """Which of the trajectories are trained on where ``n_samples_per_prompt`` are fewer than N. Temperatures rise
    within a group, so that ``first`` takes the coldest."""
    n_verdicts: PositiveInt = 5
    """Number of times that the rule ``denoise`` asks for the outcome of each trajectory."""
    log_detailed_metrics: bool = True
    """Whether metrics also compare votes and rewards with the environment's truth."""
    rollout_data_dir: str | None = None
    """Directory that gets a file ``<iteration>.jsonl`` after each sampling, with a line for each trajectory: the
    instruction or question (``input``), the response where there is one (``output``), its answer, reward (``score``)
    and advantage, whether it is trained on, and whether it truly succeeded. None writes nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.vote_config()
        if self.reward == "contrast" and self.prompts != "every_task":
            raise InvalidArgumentError(
                "Expect `ttrl.prompts=every_task` for `ttrl.reward=contrast`, which compares the tasks of one start, "
                f"actually: {self.prompts}."
            )

    @property
    def compares_final_states(self) -> bool:
        """Whether rewards depend on how alike final states are."""
        clusters = self.outcome in ("final_state_cluster", "changed_state_cluster")
        return clusters if self.reward == "vote" else self.reward in ("progress", "contrast")

    def temperatures(self) -> NDArray[np.float32]:
        """(N,): the sampling temperatures of a group."""
        return temperature_schedule(self.n_votes_per_prompt, self.base_temperature, self.temperature_range)

    def vote_config(self) -> VoteConfig | None:
        """The vote; None where the reward is none.

        Raises:
            InvalidArgumentError: fields that do not fit each other.
        """
        if self.reward != "vote":
            if self.n_samples_per_prompt is not None:
                raise InvalidArgumentError(
                    "Expect `ttrl.n_samples_per_prompt` with `ttrl.reward=vote` alone, actually: "
                    f"{self.n_samples_per_prompt} with {self.reward!r}, which trains on all trajectories."
                )
            return None
        return VoteConfig(
            n_votes_per_prompt=self.n_votes_per_prompt,
            n_samples_per_prompt=self.n_samples_per_prompt or self.n_votes_per_prompt,
            min_confidence_ratio=self.min_confidence_ratio,
            use_env_fallback=self.use_env_fallback,
            log_detailed_metrics=self.log_detailed_metrics,
            rule=self.rule,
            select=self.select,
            outcome=_OUTCOMES[self.outcome](self),
            weight=_WEIGHTS[self.vote_weight],
            vote_share=self.vote_share,
            n_verdicts=self.n_verdicts,
        )


_OUTCOMES: Mapping[str, Callable[[TTRL], OutcomeFn]] = {
    "env_success": lambda ttrl: env_success,
    "noisy_success": lambda ttrl: noisy(env_success, ttrl.noise),
    "success_and_speed": lambda ttrl: joint(env_success, efficiency_bucket(4)),
    "final_state_cluster": lambda ttrl: final_state_cluster(ttrl.cluster_tolerance),
    "changed_state_cluster": lambda ttrl: changed_state_cluster(ttrl.cluster_tolerance),
    "given_answer": lambda ttrl: given_answer,
}
"""``ttrl.outcome`` -> the function that it names."""
_WEIGHTS: Mapping[str, Callable[[Trajectory], float] | None] = {
    "count": None,
    "speed": speed_weight,
    "confidence": confidence_weight,
}
"""``ttrl.vote_weight`` -> the function that it names."""


@dataclass(frozen=True)
class PPO(Options):
    """How rewards become gradient steps. RLlib knows several of these settings by the same names."""

    section: ClassVar[str] = "ppo."

    adv_estimator: Literal[Estimator, "gae"] = "grpo"
    """How a trajectory is compared: with the other trajectories of its prompt (``grpo``, ``grpo_mean`` without their
    standard deviation, ``grpo_nsr`` with the weights of ``nsr``, ``rloo``), or with a critic (``gae``)."""
    groups_per_iteration: PositiveInt = 16
    """Number of groups that are sampled for an update."""
    dynamic_sampling: bool = False
    """Whether groups whose trajectories were all paid the same are replaced by further ones."""
    max_num_gen_batches: PositiveInt = 3
    """Largest number of times that ``groups_per_iteration`` groups are sampled for one update."""
    lr: LearningRate = 3e-4
    """Learning rate of the optimizer."""
    lr_warmup_iterations: NonNegativeInt = 0
    """Number of first updates, in which the learning rate rises towards ``lr``: Adam's first steps are as long where
    the gradient is all noise."""
    lr_decay_iterations: NonNegativeInt = 0
    """Number of updates, counted from the first, after which the learning rate has fallen linearly to 0, so that the
    noise of single steps fades from the policy; 0 leaves it at ``lr``."""
    optimizer: Literal["adam", "adam8bit"] = "adam"
    """Optimizer; ``adam8bit`` keeps each of its moments in 8 bits and needs bitsandbytes."""
    num_epochs: PositiveInt = 2
    """Number of passes over the sampled timesteps."""
    minibatch_size: PositiveInt | None = 256
    """Number of timesteps in a gradient step; a timestep is one observation and the chunk of actions chosen for it.
    None takes all of an update."""
    micro_batch_size: PositiveInt | None = None
    """Largest number of timesteps that are on the device at once; None takes whole minibatches."""
    ratio_level: Literal["token", "trajectory"] = "token"
    """Whether the probability ratio of every token is clipped, or that of whole trajectories, which needs far narrower
    clips (3e-4 in GSPO)."""
    loss_agg_mode: Literal["token-mean", "seq-mean-token-mean"] = "token-mean"
    """Whether every token counts the same in the loss, or every trajectory, whose tokens then count the less the longer
    it is. The names are those of verl."""
    clip_param: PositiveFloat = 0.2
    """Clip of the probability ratio below 1, and above 1 where ``clip_param_high`` does not differ."""
    clip_param_high: PositiveFloat | None = None
    """Clip of the probability ratio above 1; None takes ``clip_param``."""
    entropy_coeff: NonNegativeFloat = 0.0
    """Weight of the entropy bonus. Above 0, trajectories of groups that were all paid the same are trained on too."""
    reference_kl: Literal["loss", "reward"] | None = None
    """Where the KL divergence from the initial policy is charged; None charges it nowhere."""
    reference_kl_coeff: NonNegativeFloat = 0.01
    """Weight of the KL divergence from the initial policy."""
    reference_kl_target: PositiveFloat | None = None
    """KL divergence in nats per token that the weight is adapted to hold; None leaves the weight as it is."""
    nsr: NSR = field(default_factory=NSR)
    """How ``grpo_nsr`` weights the advantages of correct and of incorrect trajectories."""
    target_kl: PositiveFloat | None = None
    """KL divergence from the policy that has sampled, in nats per token, that ends an update: neither a minibatch on
    which it is larger nor what comes after it is learned from. None sets no limit."""
    grad_clip: PositiveFloat = 1.0
    """Largest norm of the gradient."""
    gamma: Probability = 0.99
    """Discount of a timestep, for ``gae``."""
    lambda_: Probability = 0.95
    """Weight of longer estimates, for ``gae``."""
    vf_loss_coeff: NonNegativeFloat = 0.5
    """Weight of the critic's squared error, for ``gae``."""
    vf_clip_range: PositiveFloat | None = None
    """How far the critic's estimates may move in an update, for ``gae``: beyond that, what they gain does not count.
    None sets no limit."""
    vf_warmup_iterations: NonNegativeInt = 0
    """Number of first updates that train the critic alone, for ``gae``: a fresh critic knows nothing yet of the policy
    that it would change."""


_VOTE_ALONE = (
    "rule",
    "outcome",
    "noise",
    "vote_weight",
    "vote_share",
    "min_confidence_ratio",
    "use_env_fallback",
    "select",
    "n_verdicts",
    "log_detailed_metrics",
)

_CRITIC_ALONE = ("gamma", "lambda_", "vf_loss_coeff", "vf_clip_range", "vf_warmup_iterations")


def check_used(ttrl: TTRL, ppo: PPO) -> None:
    """Refuse an option that another one switches off: who set it would train with something else in mind.

    Raises:
        InvalidArgumentError: it names the option, and what it needs.
    """
    if ttrl.reward == "contrast" and ppo.dynamic_sampling:
        raise InvalidArgumentError(
            "Expect no `ppo.dynamic_sampling` with `ttrl.reward=contrast`, whose groups are compared with each other "
            "and not replaced one by one, actually: True."
        )
    if ttrl.reward in ("progress", "similarity") and ttrl.n_votes_per_prompt < 2:
        raise InvalidArgumentError(
            f"Expect `ttrl.n_votes_per_prompt` to be at least 2 for `ttrl.reward={ttrl.reward}`, which compares the "
            f"trajectories of a prompt, actually: {ttrl.n_votes_per_prompt}."
        )
    votes, group, critic = ttrl.reward == "vote", ttrl.n_votes_per_prompt > 1, ppo.adv_estimator == "gae"
    selects = (ttrl.n_samples_per_prompt or ttrl.n_votes_per_prompt) < ttrl.n_votes_per_prompt
    rules: tuple[tuple[Options, Sequence[str], bool, str], ...] = (
        (ttrl, _VOTE_ALONE, votes, "ttrl.reward=vote"),
        (ttrl, ("noise",), ttrl.outcome == "noisy_success", "ttrl.outcome=noisy_success"),
        (
            ttrl,
            ("cluster_tolerance",),
            ttrl.compares_final_states and ttrl.reward != "progress",
            "a vote on ttrl.outcome=final_state_cluster or changed_state_cluster, or ttrl.reward=contrast",
        ),
        (ttrl, ("n_verdicts",), ttrl.rule == "denoise", "ttrl.rule=denoise"),
        (ttrl, ("select",), selects, "ttrl.n_samples_per_prompt below ttrl.n_votes_per_prompt"),
        (ttrl, ("target_diversity",), group, "ttrl.n_votes_per_prompt above 1"),
        (ttrl, ("temperature_decay",), ttrl.target_diversity is None, "ttrl.target_diversity=None"),
        (ttrl, ("temperature_range",), group or not ttrl.temperature_range, "ttrl.n_votes_per_prompt above 1"),
        (ppo, ("nsr",), ppo.adv_estimator == "grpo_nsr", "ppo.adv_estimator=grpo_nsr"),
        (ppo, _CRITIC_ALONE, critic, "ppo.adv_estimator=gae"),
        (ppo, ("dynamic_sampling",), not critic, "another ppo.adv_estimator than gae, which learns from every group"),
        (ppo, ("reference_kl_coeff",), ppo.reference_kl is not None, "ppo.reference_kl"),
    )
    for options, names, used, needed in rules:
        if not used:
            options.check_left(names, needed)
