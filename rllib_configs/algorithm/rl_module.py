"""The RLModule that hosts any policy of this package on RLlib's new API stack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from policies.interface import ActionSample, Policy, check_finite
from policies.registry import load_policy
from rllib_configs.algorithm.sampled_group import ACTION_TOKENS, NOISE, REF_LOGP, TOKEN_ENTROPY, TOKEN_LOGP
from vla_envs.errors import InvalidArgumentError, MissingAssetsError
from vla_envs.spec import TEMPERATURE

OTHER_DIRECTORY = (
    "Name another directory with `VLAPPO.from_checkpoint(path, config=experiment.to_rllib())`, or, of a module alone, "
    "with `VLAModule.from_checkpoint(path, model_config={'policy': {'kind': ..., 'path': ...}})`."
)

SAVED = "saved"
"""Key of ``model_config``: the module is built from a checkpoint."""
REFERENCE = "reference"
FINGERPRINT = "fingerprint"
"""Key of a checkpoint's state: what tells apart the directories that a policy may be loaded from."""
SAMPLES = 1024
"""How many numbers of each parameter the fingerprint is made of."""


class VLAModule(TorchRLModule, ValueFunctionAPI):
    """Hosts a :class:`~policies.interface.Policy`.

    ``model_config`` has ``policy``: the keywords of :func:`~policies.registry.load_policy`, and
    optionally ``reference``: True keeps a frozen copy of the policy as it was built, whatever state
    is set later, and adds its log-probabilities (``REF_LOGP``) to the columns of exploration.
    ``seed`` (0) fixes the weights of a fresh policy, so that every process builds the same, and the same reference.
    Batches hold ``TEMPERATURE`` (B, 1) and, to explore, ``NOISE`` beside the observations; without them a module
    samples at 1 by torch's generator, and no update follows, which asks for the column.
    Rollouts return decoded actions for the environment and, as columns of the episode, the tokens
    with their log-probabilities: logits, or means, are never stored.

    A checkpoint names no directory of a policy that has a :attr:`~policies.interface.Policy.description`: it holds all
    weights, also those of the reference. Other policies are loaded from their directory again, whose fingerprint it
    holds.
    """

    comes_with_state = False
    """Whether the weights that the module is built with mean nothing, and all of them come with a state."""
    awaits_state = False
    """Whether they have not come yet."""

    def __init__(self, *args: Any, model_config: Any = None, **kwargs: Any) -> None:
        # RLlib's `from_checkpoint` replaces what has a name here.
        super().__init__(*args, model_config=model_config, **kwargs)

    def setup(self) -> None:
        """Build or load the policy, and its reference where one is asked for.

        Raises:
            MissingAssetsError: the policy's directory is not there.
        """
        settings: Any = self.model_config
        self.comes_with_state = settings.get(SAVED, False) and settings["policy"].get("path") is None
        self.awaits_state = self.comes_with_state
        with torch.random.fork_rng():
            torch.manual_seed(settings.get("seed", 0))
            self.policy = self._load_policy(settings)
        if self.awaits_state:  # nobody can act with, train or save what is not finite
            for parameter in self.policy.parameters():
                nn.init.constant_(parameter, torch.nan)
        self.reference = self.policy.frozen_copy() if settings.get(REFERENCE, False) else None
        # What RLlib writes into a checkpoint to build the module from.
        self.model_config = {**settings, "policy": self.policy.description or settings["policy"], SAVED: True}

    def _load_policy(self, settings: Mapping[str, Any]) -> Policy:
        try:
            return load_policy(**settings["policy"])
        except MissingAssetsError as error:
            if not settings.get(SAVED, False):
                raise
            raise MissingAssetsError(f"{str(error).rstrip('.')}. {OTHER_DIRECTORY}") from error

    @torch.no_grad()
    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        observations, temperature = batch[Columns.OBS], batch.get(TEMPERATURE)
        outputs = self._columns(
            self.policy.get_action_and_value(observations, temperature=temperature, noise=batch.get(NOISE))
        )
        if self.reference is not None:
            tokens = outputs[ACTION_TOKENS]
            outputs[REF_LOGP] = self.reference.get_action_and_value(
                observations, tokens, temperature=temperature
            ).token_logp
        return outputs

    @torch.no_grad()
    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return self._columns(
            self.policy.get_action_and_value(batch[Columns.OBS], temperature=batch.get(TEMPERATURE), greedy=True)
        )

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        sample = self.policy.get_action_and_value(
            batch[Columns.OBS], batch[ACTION_TOKENS], temperature=batch[TEMPERATURE]
        )
        return {
            TOKEN_LOGP: sample.token_logp,
            TOKEN_ENTROPY: sample.entropy,
            Columns.VF_PREDS: sample.value,
        }

    def train(self, mode: bool = True) -> VLAModule:
        """Stay in evaluation mode, in which RLlib samples: with dropout a fresh update would not have a ratio of 1."""
        return super().train(False)

    def compute_values(self, batch: dict[str, Any], embeddings: Any | None = None) -> Tensor:
        """The critic's estimate, float32 (B,)."""
        return self.policy.get_value(batch[Columns.OBS])

    def get_state(self, components: Any = None, *, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """The trainable parameters as NumPy arrays: all that learners and runners exchange.

        Of a module whose weights have come with a state, which runners cannot load, all parameters.
        """
        if self.awaits_state:
            return {}
        return _arrays(each for each in self.named_parameters() if each[1].requires_grad or self.comes_with_state)

    def save_to_path(self, path: Any = None, *, state: dict[str, Any] | None = None, **kwargs: Any) -> str:
        """RLlib's, with what a module that is built elsewhere lacks, or can be told by."""
        if self.policy.description is None:
            rest: dict[str, Any] = {FINGERPRINT: self.fingerprint()}
        else:
            rest = _arrays(self.named_parameters())
        return super().save_to_path(path, state={**rest, **(self.get_state() if state is None else state)}, **kwargs)

    def set_state(self, state: dict[str, Any]) -> None:
        """Copy parameters by name; those that ``state`` does not name stay.

        Those of a reference are left out where the module has none.

        Raises:
            NonFiniteError: a weight is NaN or infinite; all stay as they were.
            InvalidArgumentError: the state does not fit the policy, is of one that was loaded from another directory,
                or lacks weights that nothing else brings.
        """
        own = dict(self.named_parameters())
        given = {
            name: torch.from_numpy(np.array(value))
            for name, value in state.items()
            if name != FINGERPRINT and (self.reference is not None or not name.startswith(f"{REFERENCE}."))
        }
        self._check_fits(given, own, state.get(FINGERPRINT))
        check_finite(given.items(), "The policy stays as it was.")
        with torch.no_grad():
            for name, value in given.items():
                own[name].copy_(value)
        self.awaits_state = self.awaits_state and not given

    def fingerprint(self) -> str:
        """SHA-256 of what the state leaves out of a policy and its reference; of parameters a sample is taken."""
        digest = hashlib.sha256(self.policy.rests_on().encode())
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                numbers = parameter.detach().flatten()
                sample = numbers[:: max(1, len(numbers) // SAMPLES)].float().cpu().numpy()
                digest.update(name.encode() + sample.tobytes())
        return digest.hexdigest()

    def _check_fits(self, given: Mapping[str, Tensor], own: Mapping[str, Tensor], fingerprint: str | None) -> None:
        if fingerprint is not None and fingerprint != self.fingerprint():
            settings: Any = self.model_config
            raise InvalidArgumentError(
                f"Expect {settings['policy'].get('path')} to hold what the policy was trained from, actually: other "
                f"weights, statistics, options or another tokenizer. {OTHER_DIRECTORY}"
            )
        wrong = [name for name, each in given.items() if name not in own or own[name].shape != each.shape]
        if wrong:
            shape = tuple(own[wrong[0]].shape) if wrong[0] in own else None
            raise InvalidArgumentError(
                f"Expect a state of this policy, whose {wrong[0]!r} (of {len(wrong)} that do not fit) has the shape "
                f"{shape}, actually: {tuple(given[wrong[0]].shape)}."
            )
        lacking = sorted(own.keys() - given.keys()) if self.awaits_state and given else []
        if lacking:
            raise InvalidArgumentError(
                f"Expect a state with all weights of the policy, and of the reference where the module keeps one, "
                f"actually: {lacking[0]!r} (of {len(lacking)}) is missing."
            )

    def _columns(self, sample: ActionSample) -> dict[str, Tensor]:
        return {
            Columns.ACTIONS: self.policy.decode(sample.tokens),
            Columns.ACTION_LOGP: sample.token_logp.sum(-1),
            ACTION_TOKENS: sample.tokens,
            TOKEN_LOGP: sample.token_logp,
        }


def _arrays(parameters: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Any]:
    """Copies as NumPy has them, which has no bfloat16."""
    return {name: each.detach().float().cpu().numpy().copy() for name, each in parameters}
