"""Configuration of VLAPPO: PPO's, plus what groups of trajectories need."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module import RLModuleSpec

from policies.rl_module import VLAModule
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.learner import ADAM_BITS, RATIO_LEVELS, TOKEN, VLALearner
from rllib_configs.algorithm.sampled_group import IN_LOSS, IN_REWARD
from rllib_configs.algorithm.scoring import ADV_ESTIMATORS, GAE, TRAJECTORY_REWARDS, VOTE
from vla_envs.errors import InvalidArgumentError, check_choice
from vla_envs.group import VoteConfig
from vla_envs.group.prompts import SAMPLERS
from vla_envs.group.vector_env import HOLD

LEAST = {
    "groups_per_iteration": 1,
    "max_num_gen_batches": 1,
    "minibatch_size": 1,
    "micro_batch_size": 1,
    "clip_param_high": 0,
    "reference_kl_coeff": 0,
}
"""Setting -> its least value, where it is not None."""


class VLAPPOConfig(PPOConfig):
    """PPO or GRPO over whole groups of trajectories.

    Use ``.environment(id, env_config={"group_size": N, "mode": "hold", ...})`` with an id of :mod:`vla_envs`,
    ``.groups(...)`` and ``.policy_update(...)``; the rest is RLlib's own PPO configuration. One RLlib step is one
    action chunk.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        # RLlib freezes unknown attributes out unless they exist before its own constructor runs.
        self.adv_estimator = "grpo"
        self.trajectory_reward = "efficiency"
        self.vote: VoteConfig | None = None
        self.prompts: str | None = None
        self.groups_per_iteration = 16
        self.dynamic_sampling = False
        self.max_num_gen_batches = 3
        self.ratio_level = TOKEN
        self.clip_param_high: float | None = None
        self.micro_batch_size: int | None = None
        self.adam_bits = 32
        self.reference_kl: str | None = None
        self.reference_kl_coeff = 0.01
        self.reference_kl_target: float | None = None
        from rllib_configs.algorithm.algorithm import VLAPPO

        super().__init__(algo_class=algo_class or VLAPPO)
        self.env_runners(
            env_runner_cls=GroupEnvRunner,
            gym_env_vectorize_mode="vector_entry_point",
            batch_mode="complete_episodes",
            # A round of real simulator episodes takes minutes; RLlib would drop it after one.
            sample_timeout_s=None,
            # With one request in flight RLlib drops weight syncs, and runners act with stale weights.
            max_requests_in_flight_per_env_runner=4,
        )
        self.fault_tolerance(
            # A runner that failed is wanted back at once, not after a minute; others go on while it starts.
            delay_between_env_runner_restarts_s=0.0,
            env_runner_health_probe_timeout_s=1.0,
            env_runner_restore_timeout_s=60.0,
        )
        self.clip_param = 0.2
        self.use_kl_loss = False
        self.entropy_coeff = 0.0
        self.grad_clip = 1.0
        self.lr = 3e-4
        self.num_epochs = 2
        self.minibatch_size = 256

    def groups(
        self,
        *,
        adv_estimator: Any = NotProvided,
        trajectory_reward: Any = NotProvided,
        vote: Any = NotProvided,
        prompts: Any = NotProvided,
        groups_per_iteration: Any = NotProvided,
        dynamic_sampling: Any = NotProvided,
        max_num_gen_batches: Any = NotProvided,
    ) -> VLAPPOConfig:
        """Set how groups are sampled and rewarded.

        Args:
            adv_estimator: ``"grpo"``, ``"grpo_mean"``, ``"rloo"``, ``"grpo_nsr"`` (no critic) or ``"gae"``.
            trajectory_reward: ``"efficiency"``, ``"success"`` or ``"vote"``.
            vote: the :class:`~vla_envs.group.VoteConfig` of ``"vote"``.
            prompts: ``"uniform"``, ``"sequential"`` or ``"curriculum"`` over all prompts of the environment, or None
                to have the environment draw them.
            groups_per_iteration: groups of one update, at least 1.
            dynamic_sampling: sample further groups in place of those whose trajectories all did equally well
                (DAPO, arXiv 2503.14476).
            max_num_gen_batches: how many times ``groups_per_iteration`` groups are sampled at most for one update,
                in place of those that faults have spoilt or that say nothing, at least 1.
        """
        return self._set(locals())

    def policy_update(
        self,
        *,
        ratio_level: Any = NotProvided,
        clip_param_high: Any = NotProvided,
        micro_batch_size: Any = NotProvided,
        adam_bits: Any = NotProvided,
        reference_kl: Any = NotProvided,
        reference_kl_coeff: Any = NotProvided,
        reference_kl_target: Any = NotProvided,
    ) -> VLAPPOConfig:
        """Set how the policy is updated, beside RLlib's own ``.training(...)``.

        Args:
            ratio_level: ``"token"``, or ``"trajectory"`` for the ratio of whole trajectories (GSPO, arXiv 2507.18071),
                a mean over their tokens that needs far narrower clips: 3e-4 and 4e-4 there.
            clip_param_high: upper clip of the ratio where it differs from ``clip_param``, or None.
            micro_batch_size: decisions that are on the device at a time, or None for a whole minibatch.
            adam_bits: of each number that Adam remembers: 32, or 8 (arXiv 2110.02861), which needs bitsandbytes.
            reference_kl: where the KL from the policy as it was built is charged: ``"loss"``, ``"reward"`` or None.
            reference_kl_coeff: its weight, at least 0.
            reference_kl_target: nats a token that the weight is adapted to hold (Ziegler et al., arXiv 1909.08593), or
                None for a fixed weight.
        """
        return self._set(locals())

    def _set(self, arguments: dict[str, Any]) -> VLAPPOConfig:
        for name, value in arguments.items():
            if name != "self" and value is not NotProvided:
                setattr(self, name, value)
        return self

    @property
    def group_size(self) -> int:
        """N: trajectories of one prompt."""
        return self.env_config.get("group_size", 1)

    @property
    def shares_module(self) -> bool:
        """Whether the driver samples and learns itself, with one copy of the model; what evaluates has its own."""
        return self.num_env_runners == 0 and self.num_learners == 0 and not self.in_evaluation

    def validate(self) -> None:
        """Check the groups before anything is built.

        Raises:
            InvalidArgumentError: an unknown name, groups in another mode than ``"hold"``, a group size that does not
                divide the environments of a runner, groups of one with an estimator that compares siblings, a vote
                that is missing or of another size, a KL from a reference that the module does not keep or that cannot
                adapt, or a number outside its range.
        """
        self._check_names()
        self._check_group_size()
        self._check_vote()
        self._check_reference()
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InvalidArgumentError(f"Expect `{name}` to be at least {least}, actually: {value}.")
        # A copy of the model in the driver would do nothing where others sample.
        self.create_local_env_runner = self.num_env_runners == 0
        # PPO bounds minibatches by a batch size that means nothing here: batches are counted in groups.
        self.train_batch_size_per_learner = max(self.minibatch_size or 0, self.train_batch_size_per_learner or 0)
        super().validate()

    def _check_names(self) -> None:
        if self.env_config.get("mode") != HOLD:
            raise InvalidArgumentError(
                f"Expect the environment's `mode` to be {HOLD!r}, so that trajectories end at their own steps, "
                f"actually: {self.env_config.get('mode')!r}. Set it in `env_config`."
            )
        check_choice("adv_estimator", self.adv_estimator, ADV_ESTIMATORS)
        check_choice("trajectory_reward", self.trajectory_reward, (*TRAJECTORY_REWARDS, VOTE))
        check_choice("ratio_level", self.ratio_level, RATIO_LEVELS)
        check_choice("adam_bits", self.adam_bits, ADAM_BITS)
        if self.prompts is not None:
            check_choice("prompts", self.prompts, SAMPLERS)
        if self.reference_kl is not None:
            check_choice("reference_kl", self.reference_kl, (IN_LOSS, IN_REWARD))

    def _check_group_size(self) -> None:
        if self.num_envs_per_env_runner % self.group_size:
            raise InvalidArgumentError(
                f"Expect the `group_size` to divide `num_envs_per_env_runner` ({self.num_envs_per_env_runner}), "
                f"actually: {self.group_size}."
            )
        if self.adv_estimator != GAE and self.group_size < 2:
            raise InvalidArgumentError(
                f"Expect a `group_size` of at least 2 for {self.adv_estimator!r}, actually: {self.group_size}."
            )

    def _check_vote(self) -> None:
        votes = None if self.vote is None else self.vote.n_votes_per_prompt
        if self.trajectory_reward == VOTE and votes != self.group_size:
            raise InvalidArgumentError(
                f"Expect a `vote` of the {self.group_size} trajectories of a group for the reward {VOTE!r}, "
                f"actually: {votes}."
            )

    def _check_reference(self) -> None:
        if self.reference_kl is not None and not self.rl_module_spec.model_config.get("reference"):
            raise InvalidArgumentError(
                "Expect a module that keeps its reference, `model_config={'reference': True, ...}`, for "
                f"`reference_kl={self.reference_kl!r}`, actually: {self.rl_module_spec.model_config}."
            )
        if self.reference_kl_target is None:
            return
        if self.reference_kl is None or not (self.reference_kl_target > 0 and self.reference_kl_coeff > 0):
            raise InvalidArgumentError(
                "Expect a `reference_kl`, and a `reference_kl_target` and a `reference_kl_coeff` above 0, for a weight "
                f"that adapts by factors, actually: {self.reference_kl!r}, {self.reference_kl_target} and "
                f"{self.reference_kl_coeff}."
            )

    def get_default_learner_class(self) -> type:
        """The learner of groups."""
        return VLALearner

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The module that hosts any policy of this package."""
        return RLModuleSpec(module_class=VLAModule, model_config={"policy": {"kind": "tiny"}})
