"""The interface of all policies: actions, log-probabilities and values from observations."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from policies.distributions import ActionDistribution, negative_log_likelihood
from vla_envs.errors import InvalidArgumentError, NonFiniteError


class ActionSample(NamedTuple):
    """Action tokens, with what an update needs to know about them."""

    tokens: Tensor
    """Action tokens (B, slots): int64 where they are bins, float32 where they are the numbers themselves."""
    token_logp: Tensor
    """Log-probability (or log-density) of each token at the trajectory's temperature, float32 (B, slots)."""
    entropy: Tensor
    """Entropy of each slot in nats, float32 (B, slots)."""
    value: Tensor
    """The critic's estimate of the return, float32 (B,)."""


class Policy(nn.Module, ABC):
    """A policy over chunks of actions.

    Observations are dictionaries of batched tensors, images uint8 (B, H, W, 3). A chunk of K
    actions of A dimensions is ``slots = K * A`` tokens, action after action. Tokens are bins
    (int64) or, where the policy is Gaussian, the unclipped numbers themselves (float32).
    """

    chunk_size: int
    """Number of actions K in a chunk."""
    action_dim: int
    """Number of dimensions A of an action."""
    value_head: nn.Module
    """What only the critic has: the network that makes a value of what it shares with the policy."""

    @property
    def slots(self) -> int:
        """Number of tokens in a chunk."""
        return self.chunk_size * self.action_dim

    @property
    def made_for(self) -> dict[str, Any]:
        """What the policy asks of its environment, by the names of ``EnvironmentConfig.policy_config``."""
        return {"chunk_size": self.chunk_size}

    def check_image_sides(self, height: int, width: int) -> None:
        """Raise where the policy cannot see images of this height and width in pixels.

        Raises:
            InvalidArgumentError: it names a size that the policy can see.
        """

    @property
    def description(self) -> dict[str, Any] | None:
        """Keywords of :func:`~policies.registry.load_policy` that make a policy of the same configuration from no file.

        None where a policy needs more of its directory than weights.
        """
        return None

    def rests_on(self) -> str:
        """Return what answers depend on beside parameters and :attr:`description`, as text that can be compared."""
        return ""

    @abstractmethod
    def distribution_and_value(
        self, observations: Mapping[str, Tensor], tokens: Tensor | None = None
    ) -> tuple[ActionDistribution, Tensor]:
        """Return the distribution over tokens (B, slots) at temperature 1, and values float32 (B,).

        Args:
            observations: batched tensors.
            tokens: (B, slots), on which the distributions of later slots depend in an autoregressive policy.
        """

    @abstractmethod
    def decode(self, tokens: Tensor) -> Tensor:
        """Return what tokens (B, slots) mean: the actions that an environment takes, float32 (B, K, A)."""

    @abstractmethod
    def encode(self, actions: Tensor) -> Tensor:
        """Return the nearest tokens (B, slots) of actions (B, K, A)."""

    @classmethod
    @abstractmethod
    def from_pretrained(cls, path: str | Path) -> Policy:
        """Load a directory that :meth:`save_pretrained` wrote."""

    @abstractmethod
    def save_pretrained(self, path: str | Path) -> None:
        """Write weights and configuration to a directory."""

    def get_value(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return the critic's estimate of the return, float32 (B,)."""
        return self.distribution_and_value(observations)[1]

    def get_action_and_value(
        self,
        observations: Mapping[str, Tensor],
        tokens: Tensor | None = None,
        *,
        temperature: Tensor | None = None,
        greedy: bool = False,
        noise: Tensor | None = None,
    ) -> ActionSample:
        """Sample action tokens, or score given ones; rollout and update call the same function.

        Args:
            observations: batched tensors.
            tokens: (B, slots) to score; None samples them.
            temperature: float32 (B, 1), at which tokens are sampled and scored; None is 1.
            greedy: take the most probable tokens instead of sampling.
            noise: float32 (B, slots), uniform in [0, 1): determines what is sampled of each row, whoever else is in
                the batch; None draws it from torch's generator.
        """
        distribution, value = self.distribution_and_value(observations, tokens)
        distribution = distribution.at(temperature)
        if tokens is None:
            tokens = distribution.choose(noise, greedy)
        return ActionSample(tokens, distribution.log_prob(tokens), distribution.entropy(), value)

    def evaluate_actions(
        self, observations: Mapping[str, Tensor], tokens: Tensor, temperature: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(value, token_logp, entropy)`` of given tokens at a ``temperature`` (B, 1); None is 1."""
        sample = self.get_action_and_value(observations, tokens, temperature=temperature)
        return sample.value, sample.token_logp, sample.entropy

    def cloning_loss(self, observations: Mapping[str, Tensor], actions: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of behavior cloning: the negative log-likelihood of the demonstrated action tokens.

        Args:
            observations: batched tensors.
            actions: (B, K, A) of the expert.
            mask: (B, K), 1 for the actions that exist.
        """
        tokens = self.encode(actions)
        distribution, _ = self.distribution_and_value(observations, tokens)
        return negative_log_likelihood(distribution, tokens, mask)

    def frozen_copy(self) -> Policy:
        """Return a copy that stays as this policy is now, in evaluation mode and with nothing to train."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def cpu_copy(self) -> Policy:
        """Return a copy on the CPU in evaluation mode, made without a second one on the device of this policy."""
        parameters = {
            id(each): nn.Parameter(each.detach().to("cpu", copy=True), each.requires_grad) for each in self.parameters()
        }
        buffers = {id(each): each.to("cpu", copy=True) for each in self.buffers()}
        return copy.deepcopy(self, {**parameters, **buffers}).eval()

    @torch.no_grad()
    def act(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return the greedy action chunk, float32 (B, K, A), for observations on any device.

        Raises:
            NonFiniteError: no action is the most probable one, because a weight or an observation is not finite.
        """
        device = next((each.device for each in self.parameters()), torch.device("cpu"))
        here = {key: each.to(device) for key, each in observations.items()}
        sample = self.get_action_and_value(here, greedy=True)
        check_computed(sample.token_logp)
        return self.decode(sample.tokens)


def trained_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained, for an optimizer.

    Raises:
        InvalidArgumentError: one of them is not float32. A step below half the distance to the next number, 0.4 % of
            it in bfloat16, would be rounded away without a word.
    """
    trained = {name: each for name, each in module.named_parameters() if each.requires_grad}
    if coarse := [name for name, each in trained.items() if each.dtype != torch.float32]:
        raise InvalidArgumentError(
            "Expect trained parameters to be float32, in which small steps are not rounded away, actually: "
            f"{trained[coarse[0]].dtype} for {coarse[0]!r} (of {len(coarse)}). Train adapters in their place "
            "(--policy.lora-rank 32), or float32 parameters whose products are bfloat16 (--policy.dtype float32 "
            "--policy.autocast True)."
        )
    return list(trained.values())


def check_computed(token_logp: Tensor) -> None:
    """Raise NonFiniteError where log-probabilities of chosen tokens are none; NaN has a most probable token too."""
    check_finite([("log-probabilities of actions", token_logp)], "Look for NaN in weights and observations.")


def check_given(tokens: Tensor | None) -> Tensor:
    """Return given tokens, or raise InvalidArgumentError where a policy that says one after another has none."""
    if tokens is None:
        raise InvalidArgumentError("Expect the `tokens` that an autoregressive policy depends on, actually: None.")
    return tokens


def check_finite(tensors: Iterable[tuple[str, Tensor]], instead: str) -> None:
    """Raise for the first tensor that holds NaN or an infinity.

    Args:
        tensors: name and value of each; integers are finite.
        instead: what the caller does not do with them, and what to do, as the end of the message.

    Raises:
        NonFiniteError: it names the tensor.

    >>> check_finite([("weight", torch.tensor([1.0, torch.nan]))], "Nothing is written.")
    Traceback (most recent call last):
        ...
    vla_envs.errors.NonFiniteError: Expect finite numbers, actually 1 of 2 in 'weight' are not. Nothing is written.
    """
    for name, tensor in tensors:
        # The least and the largest number take one pass and no memory, and are NaN where any number is.
        if (
            tensor.is_floating_point()
            and tensor.numel()
            and not torch.stack(tensor.detach().aminmax()).isfinite().all()
        ):
            wrong = int((~tensor.isfinite()).sum())
            raise NonFiniteError(
                f"Expect finite numbers, actually {wrong} of {tensor.numel()} in {name!r} are not. {instead}"
            )
