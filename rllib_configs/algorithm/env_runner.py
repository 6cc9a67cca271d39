"""The environment runner of VLAPPO: whole groups, one trajectory for each environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import create_empty_array
from numpy.typing import ArrayLike, NDArray
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import SAMPLE_TIMER, WEIGHTS_SEQ_NO
from ray.rllib.utils.numpy import convert_to_numpy

from rllib_configs.algorithm.metrics import PEAK_MEMORY, peak_memory
from rllib_configs.algorithm.sampled_group import NOISE, REF_LOGP, TOKEN_LOGP, TOKEN_MASK, SampledGroup, executed_tokens
from rllib_configs.algorithm.scoring import is_valid, score_groups, unscored
from vla_envs.errors import NonFiniteError
from vla_envs.group import GroupStart, GroupVectorEnv, NumberedStarts, Transition, rollout
from vla_envs.group.temperature import check_temperatures
from vla_envs.spec import TEMPERATURE, Prompt


class GroupEnvRunner(SingleAgentEnvRunner):
    """Samples groups, each trajectory from its start to its end, and scores them where they are whole.

    Replaces RLlib's sampling loop and its connectors; the module sees the environment's observations as
    they are.
    """

    config: Any  # a VLAPPOConfig, whose module imports this one
    env: Any  # Gymnasium's vector environment around a GroupVectorEnv

    def sample_groups(
        self, starts: Sequence[GroupStart], temperatures: ArrayLike, kl_coeff: float = 0.0
    ) -> tuple[list[SampledGroup], dict[str, Any]]:
        """One scored group from each start, and RLlib's metrics of their episodes.

        Args:
            starts: at most one for each group of the environment.
            temperatures: (N,) at which the trajectories of a group are sampled.
            kl_coeff: weight of the KL from the reference policy, where the configuration charges it to the reward.
        """
        episodes = self._sample_whole(starts, temperatures, explore=True)
        size, ttrl, ppo = self.config.group_size, self.config.ttrl, self.config.ppo
        groups = [episodes[first : first + size] for first in range(0, len(episodes), size)]
        return score_groups(starts, groups, ttrl, ppo, kl_coeff), self.get_metrics()

    def evaluate(
        self, starts: Sequence[GroupStart], temperatures: ArrayLike
    ) -> tuple[list[SampledGroup], dict[str, Any]]:
        """One episode from each start, not scored, and RLlib's metrics of the valid ones."""
        episodes = self._sample_whole(starts, temperatures, self.config.explore)
        groups = [unscored(start, [episode]) for start, episode in zip(starts, episodes, strict=True)]
        return groups, self.get_metrics()

    def sample(  # type: ignore[override]  # RLlib calls it by these keywords
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[SingleAgentEpisode]:
        """RLlib's own entry, for loops other than ours: whole trajectories, not scored.

        As many whole groups as ``num_episodes`` needs, a full round by default, from prompts of this runner's own.

        Raises:
            NotImplementedError: ``num_timesteps`` or ``random_actions``: trajectories are whole.
        """
        if num_timesteps is not None or random_actions:
            raise NotImplementedError("Groups are sampled as whole trajectories of the policy: give `num_episodes`.")
        explore = self.config.explore if explore is None else explore
        size = self.config.group_size
        groups = -(-(self.num_envs if num_episodes is None else num_episodes) // size)
        starts, at_once = [self._starts.draw() for _ in range(groups)], self.num_envs // size
        rounds = [starts[first : first + at_once] for first in range(0, groups, at_once)]
        temperatures = self.config.ttrl.temperatures()[:size]
        return [episode for each in rounds for episode in self._sample_whole(each, temperatures, explore)]

    def make_env(self) -> None:
        """Make the environments of the groups, and the starts that :meth:`sample` draws."""
        self.config = self.config.copy(copy_frozen=False).of_groups()
        super().make_env()
        self._starts = NumberedStarts(self._seed)

    def make_module(self) -> None:
        """Build the module, or wait for the learner's where both are in one process: see ``VLAPPO.setup``."""
        if not self.config.shares_module:
            super().make_module()

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over weights, unless they are the learner's own."""
        if self.config.shares_module:
            self._weights_seq_no = state.get(WEIGHTS_SEQ_NO, self._weights_seq_no)
            state = {key: each for key, each in state.items() if key != COMPONENT_RL_MODULE}
        super().set_state(state)

    def prompts(self) -> tuple[Prompt, ...] | None:
        """What the environment draws from; None outside the contract."""
        return self.env.unwrapped.sub_envs.spec.prompts

    def _sample_whole(
        self, starts: Sequence[GroupStart], temperatures: ArrayLike, explore: bool
    ) -> list[SingleAgentEpisode]:
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)
        with self.metrics.log_time(SAMPLE_TIMER):
            episodes = sample_episodes(self.module, self.env.unwrapped, starts, temperatures, explore=explore)
        for episode in episodes:
            self._stamp_weights(episode)
        ended = list(filter(is_valid, episodes))
        self._done_episodes_for_metrics.extend(ended)
        self._increase_sampled_metrics(sum(map(len, episodes)), len(ended))
        self.metrics.log_value(PEAK_MEMORY, peak_memory(), reduce="max", window=1)
        for index, episode in enumerate(episodes):
            seen = {"env": self.env, "env_index": index, "rl_module": self.module}
            self._call_back("on_episode_end", episode=episode, prev_episode_chunks=[], **seen)
        self._call_back("on_sample_end", samples=episodes)
        return episodes

    def _call_back(self, name: str, **arguments: Any) -> None:
        """Call what the user gave for an event, as methods of a class and as functions."""
        make_callback(
            name,
            callbacks_objects=self._callbacks,
            callbacks_functions=getattr(self.config, f"callbacks_{name}"),
            kwargs={"env_runner": self, "metrics_logger": self.metrics, **arguments},
        )

    def _stamp_weights(self, episode: SingleAgentEpisode) -> None:
        """Note which weights acted; the learner reports how far behind its own they were."""
        column = np.full(len(episode), self._weights_seq_no)
        episode.extra_model_outputs[WEIGHTS_SEQ_NO] = InfiniteLookbackBuffer(data=column, lookback=0)


def sample_episodes(
    module: Any, envs: GroupVectorEnv, starts: Sequence[GroupStart], temperatures: ArrayLike, *, explore: bool
) -> list[SingleAgentEpisode]:
    """One finished episode for each environment of the started groups, in their order.

    What is sampled depends on the seed of the group and on the place in the group, and neither on the environments
    beside it nor on the process.

    Args:
        module: a ``VLAModule``.
        envs: in mode ``"hold"``.
        starts: at most one for each group.
        temperatures: (N,) at which the trajectories of a group are sampled.
        explore: sample tokens; False takes the most probable ones.

    Returns:
        Episodes whose columns are the module's outputs, ``temperature`` and ``token_mask``.
    """
    sampler = TokenSampler(module, starts, envs.group_size, temperatures, explore)
    recordings: dict[int, Recording] = {}
    for transition in rollout(envs, starts, sampler.act):
        if transition.actions is None:
            recordings = {env: Recording(envs, transition, env, module.policy.chunk_size) for env in transition.running}
            continue
        executed = transition.infos["executed_actions"][transition.running]
        mask = executed_tokens(executed, module.policy.chunk_size, module.policy.slots)
        for row, env in enumerate(transition.running):
            outputs = {key: each[row] for key, each in transition.outputs.items()}
            recordings[env].add(transition, {**outputs, TOKEN_MASK: mask[row]})
    return [recording.episode for recording in recordings.values()]


class TokenSampler:
    """Chooses the actions of a rollout, each environment's by random numbers and a temperature of its own."""

    def __init__(
        self, module: Any, starts: Sequence[GroupStart], group_size: int, temperatures: ArrayLike, explore: bool
    ) -> None:
        self.module = module
        self.device = next(module.parameters()).device
        self.temperatures = np.tile(check_temperatures(temperatures, group_size), len(starts))[:, None]
        self.forward = module.forward_exploration if explore else module.forward_inference
        # From 1 on: NumPy ignores zeros at the end of a seed, and the seed itself draws the prompt.
        seeds = [[start.seed, place] for start in starts for place in range(1, group_size + 1)]
        self.noise = [_uniform(seed, module.policy.slots) for seed in seeds] if explore else None

    def act(self, observations: dict[str, Any], running: NDArray[np.int64]) -> tuple[NDArray, dict[str, NDArray]]:
        """The actions of the running environments, and the columns to keep beside them."""
        batch = {
            Columns.OBS: {key: self._tensor(each) for key, each in observations.items() if key != TEMPERATURE},
            TEMPERATURE: self._tensor(self.temperatures[running]),
        }
        if self.noise is not None:
            batch[NOISE] = self._tensor(np.stack([next(self.noise[env]) for env in running]))
        outputs: Any = convert_to_numpy(self.forward(batch))
        for key in (TOKEN_LOGP, REF_LOGP):
            if not np.isfinite(outputs.get(key, 0.0)).all():
                raise NonFiniteError(f"the policy's `{key}` is not finite, because of its weights.")
        actions = outputs.pop(Columns.ACTIONS)
        return actions, {**outputs, TEMPERATURE: self.temperatures[running]}

    def _tensor(self, array: NDArray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


def _uniform(seed: Sequence[int], slots: int) -> Iterator[NDArray[np.float32]]:
    """The uniform numbers (slots,) that choose the tokens of a trajectory, timestep after timestep."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.random(slots, np.float32)


class Recording:
    """The episode of an environment while it runs.

    Observations are copied to where they stay. RLlib would stack them at the end of the episode, when both copies are
    there, and the memory of the first, in pieces between those of other environments, could not be used for the second.

    Args:
        envs: the group environment.
        started: the transition of its reset.
        env: index of the environment.
        chunk_size: actions of a timestep, by which the step limit bounds the number of observations.
    """

    def __init__(self, envs: GroupVectorEnv, started: Transition, env: int, chunk_size: int) -> None:
        observed: Any = envs.single_observation_space
        # The temperature is a column: what groups show of it is for loops that have nowhere else to take it from.
        space = spaces.Dict({key: each for key, each in observed.items() if key != TEMPERATURE})
        most = -(-started.infos["max_steps"][env] // chunk_size) + 1
        self.env = env
        self.observations: Any = create_empty_array(space, most, np.empty)
        self.episode = SingleAgentEpisode(observation_space=space, action_space=envs.single_action_space)
        self.episode.add_env_reset(observation=None, infos=_infos_of(started.infos, env))
        self._observe(started.observations)

    def add(self, transition: Transition, outputs: dict[str, Any]) -> None:
        """Add a step, and the columns of this environment."""
        assert transition.actions is not None
        self.episode.add_env_step(
            observation=None,
            action=transition.actions[self.env],
            reward=transition.rewards[self.env],
            infos=_infos_of(transition.infos, self.env),
            terminated=transition.terminated[self.env],
            truncated=transition.truncated[self.env],
            extra_model_outputs=outputs,
        )
        self._observe(transition.observations)
        if self.episode.is_done:
            self._finish()

    def _observe(self, observations: dict[str, Any]) -> None:
        for key, each in self.observations.items():
            each[len(self.episode)] = observations[key][self.env]

    def _finish(self) -> None:
        for each in self.observations.values():
            # In place, and nothing else refers to it: the rows of the steps that were not needed are given back.
            each.resize((len(self.episode) + 1, *each.shape[1:]), refcheck=False)
        space = self.episode.observation_space
        self.episode.observations = InfiniteLookbackBuffer(self.observations, lookback=0, space=space)
        self.episode.to_numpy()


def _infos_of(arrays: dict[str, Any], env: int) -> dict[str, Any]:
    """What concerns one environment, copied: a view would keep the arrays of all of them alive."""
    return {key: _infos_of(each, env) if isinstance(each, dict) else _copied(each[env]) for key, each in arrays.items()}


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
