"""The learner of VLAPPO: clipped gradient steps over tokens, with or without a critic."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import DEFAULT_OPTIMIZER
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO
from ray.rllib.utils.schedules.scheduler import Scheduler
from torch import Tensor, distributed
from torch.nn.utils import get_total_norm, parameters_to_vector, vector_to_parameters

from policies.behavior_cloning import NONFINITE_STEPS_IN_A_ROW
from policies.interface import trained_parameters
from rllib_configs.algorithm.batching import GroupTrainingData, Rows, Timesteps, minibatches
from rllib_configs.algorithm.loss import APPROX_KL, LOSS_TERMS, Coefficients, Loss, ppo_loss
from rllib_configs.algorithm.metrics import PEAK_MEMORY, peak_memory
from rllib_configs.algorithm.rl_module import VLAModule
from rllib_configs.algorithm.sampled_group import GROUP_ADVANTAGE, MEAN_LOG_RATIO, TOKEN_LOGP, TOKEN_MASK
from rllib_configs.algorithm.scoring import generalized_advantages
from vla_envs.errors import require_extra

GRADIENT_NORM = f"gradients_{DEFAULT_OPTIMIZER}_global_norm"
"""RLlib's metric of the gradient of the last step; NaN where it was not taken."""
STEPS = "gradient_steps"
"""Metric: gradient steps that an update has taken."""
NONFINITE_STEPS = "nonfinite_steps"
"""Metric: gradient steps of an update whose loss or gradient was not finite, and which were not taken."""
NONFINITE_IN_A_ROW = "num_nonfinite_steps_in_a_row"
"""Metric: how many of them the last steps were."""
LEAST_STD = 1e-4
"""Smallest standard deviation that advantages of a critic are divided by, as in RLlib."""


class VLALearner(TorchLearner):
    """PPO's clipped loss over whole groups, with advantages from groups or from a critic.

    Replaces RLlib's way from episodes to gradients, which stacks and copies all images of an
    iteration, cuts trajectories at the borders between learners, and asks the critic about all
    observations at once: here a batch is gathered from the trajectories where they lie, gradients add
    up over micro-batches, and learners add up gradients that are parts of one mean, so that neither
    the size of a micro-batch nor the number of learners changes the result.
    """

    config: Any  # a VLAPPOConfig, whose module imports this one
    _device: Any  # a torch.device; None in RLlib's Learner until it is built

    def build(self) -> None:
        """Build the module, its optimizer and the schedules of the learning rate and of the entropy bonus."""
        super().build()
        # A checkpoint of all modules is built from this; RLlib's own names the directory that the policy came from.
        self.module.rl_module_specs[DEFAULT_MODULE_ID] = RLModuleSpec.from_module(self.policy_module)
        self.policy_module.eval()  # forward passes see to that too, but the critic is asked before the first of them
        self.nonfinite_in_a_row = 0
        self.lr, self.entropy_coeff = (
            Scheduler(fixed_value_or_schedule=each, framework="torch", device=self._device)
            for each in (self.config.lr, self.config.entropy_coeff)
        )

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Make the optimizer that the configuration names.

        Raises:
            DependencyNotInstalled: ``adam8bit`` without bitsandbytes.
            InvalidArgumentError: a parameter that would be trained is not float32.
        """
        parameters = self.get_parameters(self.module[module_id])
        in_8_bits = config.optimizer == "adam8bit"
        adam = require_extra("bitsandbytes", "adam8bit").optim.Adam8bit if in_8_bits else torch.optim.Adam
        Scheduler.validate(fixed_value_or_schedule=config.lr, setting_name="lr", description="learning rate")
        # Without a schedule of RLlib's, which knows no share of a rate and would report the next one.
        self.register_optimizer(module_id=module_id, optimizer=adam(parameters), params=parameters)

    @property
    def policy_module(self) -> VLAModule:
        """The module, without the wrapper that RLlib puts around it where there are several learners."""
        module: Any = self.module[DEFAULT_MODULE_ID].unwrapped()
        return module

    def get_parameters(self, module: Any) -> Sequence[torch.nn.Parameter]:
        """Those that are trained: the rest has no place in an optimizer or a checkpoint."""
        return trained_parameters(module)

    def update(  # type: ignore[override]
        self,
        *,
        training_data: GroupTrainingData,
        timesteps: dict[str, Any],
        seed: Sequence[int] = (0,),
        kl_coeff: float = 0.0,
        critic_alone: bool = False,
        lr_share: float = 1.0,
        **kwargs: Any,
    ) -> Any:
        """Several passes over the trajectories, with a gradient step for each minibatch.

        A step whose loss or gradient is not finite is not taken, by any of the learners; none is any more once the
        policy is further than ``target_kl`` from what has sampled.

        Args:
            training_data: this learner's share.
            timesteps: lifetime counters, for RLlib's schedules.
            seed: of the order of the timesteps, the same for all learners.
            kl_coeff: weight of the KL from the reference policy in the loss.
            critic_alone: leave the policy as it is and train the critic's own parameters.
            lr_share: share of the learning rate that this update takes.
            **kwargs: what RLlib adds; it has no meaning here.
        """
        self.before_gradient_based_update(timesteps=timesteps)
        episodes: Any = training_data.episodes or []
        sampled = Timesteps(episodes, self.config.loss_agg_mode == "seq-mean-token-mean")
        self._log_weights_behind(sampled)
        self._weights_seq_no += 1
        self._add_advantages(sampled)
        for schedule in (self.lr, self.entropy_coeff):
            schedule.update(timestep=timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0))
        self._set_optimizer_lr(self.get_optimizer(), lr_share * float(self.lr.get_current_value()))
        coefficients, means = self._coefficients(kl_coeff), Means()
        for rows in self._minibatches(training_data, seed):
            goes_on = self._gradient_step(sampled, rows, coefficients, means, critic_alone)
            if not goes_on or self.nonfinite_in_a_row == NONFINITE_STEPS_IN_A_ROW:
                break
        if self.nonfinite_in_a_row < NONFINITE_STEPS_IN_A_ROW:  # else the driver ends the run
            self._count_ruin(sampled)
        self._log_means(means)
        self.after_gradient_based_update(timesteps=timesteps)
        return self.metrics.reduce()

    def compute_loss_for_module(self, **kwargs: Any) -> Tensor:
        """Not RLlib's loss of one whole batch: see :func:`~rllib_configs.algorithm.loss.ppo_loss`."""
        raise NotImplementedError("A loss is a part of its minibatch's: use `rllib_configs.algorithm.loss.ppo_loss`.")

    def training_state(self) -> dict[str, Any]:
        """Trained parameters and the state of their optimizer, as tensors and numbers."""
        module = {name: torch.from_numpy(each) for name, each in self.policy_module.get_state().items()}
        return {"module": module, "optimizer": copy.deepcopy(self.get_optimizer().state_dict())}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`training_state` returned; runners get it at the next sync."""
        self.policy_module.set_state({name: each.numpy() for name, each in state["module"].items()})
        self.get_optimizer().load_state_dict(copy.deepcopy(state["optimizer"]))
        self.nonfinite_in_a_row = 0
        self._weights_seq_no += 1

    def _coefficients(self, kl_coeff: float) -> Coefficients:
        config = self.config
        high = config.clip_param if config.clip_param_high is None else config.clip_param_high
        entropy = float(self.entropy_coeff.get_current_value())
        return Coefficients(config.clip_param, high, entropy, kl_coeff, config.vf_loss_coeff, config.vf_clip_range)

    def _gradient_step(
        self, sampled: Timesteps, rows: Rows, coefficients: Coefficients, means: Means, critic_alone: bool
    ) -> bool:
        """One minibatch, micro-batch by micro-batch; returns False, and changes nothing, where the update shall end."""
        self.get_optimizer().zero_grad(set_to_none=True)
        token_weight, num_rows = self._sum_over_learners([sampled.weight(rows), len(rows.steps)])
        if self.config.ratio_level == "trajectory":
            self._add_log_ratios(sampled, rows)
        total, kl = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        for part in self._micro_batches(rows):
            batch = sampled.batch(part, self._device)
            loss = ppo_loss(batch, self.policy_module.forward_train(batch), coefficients, token_weight, num_rows)
            loss.total.backward()
            means.add(loss)
            total += loss.total.detach()
            kl += loss.terms[APPROX_KL].detach()
        if self._is_too_far(kl):
            means.count(finite=True)
            return False
        self._add_up_gradients()
        if critic_alone:
            self._leave_policy()
        gradients = {ref: each.grad for ref, each in self._params.items() if each.grad is not None}
        finite = self._is_finite(total, gradients)
        if finite:
            self.apply_gradients(self.postprocess_gradients(gradients))
            means.taken += 1
        else:
            self.metrics.log_value((DEFAULT_MODULE_ID, GRADIENT_NORM), float("nan"), window=1)
        means.count(finite)
        self.nonfinite_in_a_row = 0 if finite else self.nonfinite_in_a_row + 1
        return True

    def _leave_policy(self) -> None:
        """Drop the gradients of what the policy acts by: of what it shares with the critic as well."""
        own = {id(each) for each in self.policy_module.policy.value_head.parameters()}
        for parameter in self._params.values():
            if id(parameter) not in own:
                parameter.grad = None

    def _is_too_far(self, kl: Tensor) -> bool:
        """Whether the policy is further from the one that has sampled than it shall get in an update."""
        target = self.config.target_kl
        return target is not None and self._sum_over_learners([float(kl)])[0] > target

    @torch.no_grad()
    def _count_ruin(self, sampled: Timesteps) -> None:
        """Count the last step as one that was not finite where the policy computes no number any more.

        Weights of 1e20 are finite: only what follows from them tells. Without the count they would be saved.
        """
        lost = 0.0
        if sampled.episodes:
            batch = sampled.batch(Rows(np.zeros(1, np.int64), np.zeros(1, np.int64)), self._device)
            lost = float(not self.policy_module.forward_train(batch)[TOKEN_LOGP].isfinite().all())
        if any(self._sum_over_learners([lost])):
            self.nonfinite_in_a_row = max(1, self.nonfinite_in_a_row)

    def _is_finite(self, loss: Tensor, gradients: Mapping[Any, Tensor]) -> bool:
        """Whether the loss of all learners and the gradient, which they have added up, are finite."""
        largest = get_total_norm(list(gradients.values()), torch.inf)
        return bool(np.isfinite(self._sum_over_learners(torch.stack([loss, largest.to(loss)]).tolist())).all())

    def _minibatches(self, data: GroupTrainingData, seed: Sequence[int]) -> Iterator[Rows]:
        whole = self.config.ratio_level == "trajectory"
        for epoch in range(self.config.num_epochs):
            yield from minibatches(data, self.config.minibatch_size, [*seed, 1 + epoch], whole)

    def _micro_batches(self, rows: Rows) -> Iterator[Rows]:
        return rows.split(self.config.micro_batch_size or max(1, len(rows.steps)))

    @torch.no_grad()
    def _add_log_ratios(self, sampled: Timesteps, rows: Rows) -> None:
        """Add the mean log-ratio of each trajectory of a minibatch, as the module is now."""
        sums, counts = np.zeros(len(sampled.columns)), np.zeros(len(sampled.columns))
        for part in self._micro_batches(rows):
            batch = sampled.batch(part, self._device)
            logp = self.policy_module.forward_train(batch)[TOKEN_LOGP]
            mask = batch[TOKEN_MASK]
            log_ratio = (logp - batch[TOKEN_LOGP]).where(mask, 0.0)
            np.add.at(sums, part.trajectories, log_ratio.sum(1).double().cpu().numpy())
            np.add.at(counts, part.trajectories, mask.sum(1).cpu().numpy())
        for index in np.unique(rows.trajectories):
            sampled.add(index, MEAN_LOG_RATIO, sums[index] / counts[index])

    def _add_advantages(self, sampled: Timesteps) -> None:
        if self.config.adv_estimator != "gae":
            for index, columns in enumerate(sampled.columns):
                sampled.add(index, Columns.ADVANTAGES, columns[GROUP_ADVANTAGE])
            return
        advantages = [self._add_value_targets(sampled, index) for index in range(len(sampled.columns))]
        mean, std = self._moments(np.concatenate(advantages) if advantages else np.zeros(0, np.float32))
        for index, each in enumerate(advantages):
            sampled.add(index, Columns.ADVANTAGES, (each - mean) / max(std, LEAST_STD))

    @torch.no_grad()
    def _add_value_targets(self, sampled: Timesteps, index: int) -> NDArray[np.float32]:
        """Add what the critic shall learn of a trajectory; returns the trajectory's advantages."""
        episode = sampled.episodes[index]
        values = np.zeros(len(episode) + 1, np.float32)
        for part in self._micro_batches(Rows(np.full(len(values), index), np.arange(len(values)))):
            values[part.steps] = self.policy_module.policy.get_value(sampled.observations(part, self._device)).cpu()
        # Nothing follows a success, not even one on the last step that the limit allows.
        values[-1] *= not episode.is_terminated
        advantages, targets = generalized_advantages(
            episode.get_rewards(), values, self.config.gamma, self.config.lambda_
        )
        sampled.add(index, Columns.VALUE_TARGETS, targets)
        sampled.add(index, Columns.VF_PREDS, values[:-1])
        return advantages

    def _moments(self, values: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and standard deviation of the numbers of all learners."""
        number, total = self._sum_over_learners([len(values), float(values.sum(dtype=np.float64))])
        mean = total / number
        (squares,) = self._sum_over_learners([float(((values - mean) ** 2).sum(dtype=np.float64))])
        return mean, (squares / number) ** 0.5

    def _sum_over_learners(self, numbers: Sequence[float]) -> list[float]:
        sums = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        if self.distributed:
            distributed.all_reduce(sums)
        return sums.tolist()

    def _add_up_gradients(self) -> None:
        """Give all learners the sum of their gradients; one that had no timestep has none to add."""
        if not self.distributed:
            return
        parameters = self.get_parameters(self.policy_module)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]  # by now all have one
        # One message for all: LoRA has hundreds of small tensors.
        together = parameters_to_vector(gradients)
        distributed.all_reduce(together)
        vector_to_parameters(together, gradients)

    def _log_means(self, means: Means) -> None:
        """Log what all learners report together: RLlib's own mean over learners would leave NaN out."""
        totals = [float(means.sums.get(name, 0.0)) for name in LOSS_TERMS]
        has_terms = [name in means.sums for name in LOSS_TERMS]
        sums = self._sum_over_learners([*totals, *has_terms, bool(torch.isnan(means.ratio_error))])
        terms = zip(LOSS_TERMS, sums, sums[len(LOSS_TERMS) :], strict=False)
        values = {name: total / means.steps for name, total, learners in terms if learners}
        counts = {
            STEPS: means.taken,
            NONFINITE_STEPS: means.nonfinite_steps,
            NONFINITE_IN_A_ROW: self.nonfinite_in_a_row,
        }
        self.metrics.log_dict({**values, **counts}, key=DEFAULT_MODULE_ID, window=1)
        ratio_error = float("nan") if sums[-1] else float(means.ratio_error)
        worst = {"first_ratio_error": ratio_error, PEAK_MEMORY: peak_memory(self._device)}
        self.metrics.log_dict(worst, key=DEFAULT_MODULE_ID, reduce="max", window=1)

    def _log_weights_behind(self, sampled: Timesteps) -> None:
        """How many updates the weights that acted were behind those that learn: 0, unless a sync was lost."""
        acted = [each[WEIGHTS_SEQ_NO] for each in sampled.columns]
        if acted:
            behind = self._weights_seq_no - np.concatenate(acted).mean()
            self.metrics.log_value((DEFAULT_MODULE_ID, "weights_behind"), behind, window=1)


class Means:
    """Metrics of an update, as sums of this learner's parts of the means over its minibatches."""

    def __init__(self) -> None:
        self.steps = 0
        """Minibatches."""
        self.taken = 0
        """Gradient steps that were taken."""
        self.nonfinite_steps = 0
        """Those that were not because they were not finite."""
        self.sums: dict[str, Tensor | float] = defaultdict(float)
        self.ratio_error = torch.zeros(())

    def add(self, loss: Loss) -> None:
        """Take note of a micro-batch."""
        for key, term in loss.terms.items():
            self.sums[key] = self.sums[key] + term.detach()
        if self.steps == 0:
            # Unlike `max`, `maximum` keeps NaN.
            self.ratio_error = torch.maximum(self.ratio_error.to(loss.ratio_error), loss.ratio_error.detach())

    def count(self, finite: bool) -> None:
        """Take note of a minibatch."""
        self.steps += 1
        self.nonfinite_steps += not finite
