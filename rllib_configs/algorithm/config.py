"""Configuration of VLAPPO: PPO's, plus what groups of trajectories need."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module import RLModuleSpec

from policies.rl_module import VLAModule
from rllib_configs.algorithm.callbacks import GroupCallback
from rllib_configs.algorithm.env_runner import GroupEnvRunner
from rllib_configs.algorithm.scoring import TRAJECTORY_REWARDS
from vla_envs.errors import InvalidArgumentError, check_choice
from vla_envs.group import ESTIMATORS
from vla_envs.group.vector_env import HOLD

GAE = "gae"
"""The estimator with a critic: plain PPO with generalised advantage estimation."""


class VLAPPOConfig(PPOConfig):
    """PPO or GRPO over whole groups of trajectories.

    Use ``.environment(id, env_config={"group_size": N, "mode": "hold", ...})`` with an id of :mod:`vla_envs`
    and ``.groups(...)``; the rest is RLlib's own PPO configuration. One RLlib step is one action chunk.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        # RLlib freezes unknown attributes out unless they exist before its own constructor runs.
        self.adv_estimator = "grpo"
        self.trajectory_reward = "efficiency"
        self.groups_per_iteration = 16
        self.clip_param_high: float | None = None
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
        self.callbacks(GroupCallback)
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
        groups_per_iteration: Any = NotProvided,
        clip_param_high: Any = NotProvided,
    ) -> VLAPPOConfig:
        """Set what happens to groups.

        Args:
            adv_estimator: ``"grpo"``, ``"grpo_mean"``, ``"rloo"`` (no critic) or ``"gae"``.
            trajectory_reward: ``"efficiency"`` or ``"success"``.
            groups_per_iteration: groups sampled for one update, at least 1.
            clip_param_high: upper clip of the ratio where it differs from ``clip_param``, or None.
        """
        given = {
            "adv_estimator": adv_estimator,
            "trajectory_reward": trajectory_reward,
            "groups_per_iteration": groups_per_iteration,
            "clip_param_high": clip_param_high,
        }
        for name, value in given.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    @property
    def group_size(self) -> int:
        """N: trajectories of one prompt."""
        return self.env_config.get("group_size", 1)

    def validate(self) -> None:
        """Check the groups before anything is built.

        Raises:
            InvalidArgumentError: an unknown estimator or reward, groups in another mode than ``"hold"``, a group
                size that does not divide the environments of a runner, or groups of one with an estimator that
                compares siblings.
        """
        if self.env_config.get("mode") != HOLD:
            raise InvalidArgumentError(
                f"Expect the environment's `mode` to be {HOLD!r}, so that trajectories end at their own steps, "
                f"actually: {self.env_config.get('mode')!r}. Set it in `env_config`."
            )
        check_choice("adv_estimator", self.adv_estimator, (*ESTIMATORS, GAE))
        check_choice("trajectory_reward", self.trajectory_reward, TRAJECTORY_REWARDS)
        if self.num_envs_per_env_runner % self.group_size:
            raise InvalidArgumentError(
                f"Expect the `group_size` to divide `num_envs_per_env_runner` ({self.num_envs_per_env_runner}), "
                f"actually: {self.group_size}."
            )
        if self.adv_estimator != GAE and self.group_size < 2:
            raise InvalidArgumentError(
                f"Expect a `group_size` of at least 2 for {self.adv_estimator!r}, actually: {self.group_size}."
            )
        if self.groups_per_iteration < 1:
            raise InvalidArgumentError(
                f"Expect `groups_per_iteration` to be at least 1, actually: {self.groups_per_iteration}."
            )
        # PPO bounds minibatches by a batch size that means nothing here: batches are counted in groups.
        self.train_batch_size_per_learner = max(self.minibatch_size, self.train_batch_size_per_learner or 0)
        super().validate()

    def get_default_learner_class(self) -> type:
        """The learner of groups."""
        from rllib_configs.algorithm.learner import VLALearner

        return VLALearner

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The module that hosts any policy of this package."""
        return RLModuleSpec(module_class=VLAModule, model_config={"policy": {"kind": "tiny"}})
