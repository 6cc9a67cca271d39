"""The environment runner of VLAPPO: whole groups, one trajectory per member."""

from __future__ import annotations

import numpy as np
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import SAMPLE_TIMER, WEIGHTS_SEQ_NO

from rllib_configs.algorithm.rollout import rollout
from rllib_configs.algorithm.scoring import is_valid


class GroupEnvRunner(SingleAgentEnvRunner):
    """Samples rounds of exactly one complete trajectory per member of its group environment.

    Replaces RLlib's sampling loop and its connectors; the module sees the environment's
    observations as they are.
    """

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[SingleAgentEpisode]:
        """As many rounds as ``num_episodes`` needs, one by default; the callback may drop episodes.

        Raises:
            NotImplementedError: ``num_timesteps`` or ``random_actions``: trajectories are whole.
        """
        if num_timesteps is not None or random_actions:
            raise NotImplementedError("Groups are sampled as whole trajectories of the policy: give `num_episodes`.")
        rounds = max(1, -(-(num_episodes or self.num_envs) // self.num_envs))
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)
        with self.metrics.log_time(SAMPLE_TIMER):
            samples = [episode for _ in range(rounds) for episode in self._round(explore)]
        self._done_episodes_for_metrics.extend(filter(is_valid, samples))
        self._increase_sampled_metrics(sum(map(len, samples)), len(samples))
        for callback in self._callbacks:
            callback.on_sample_end(env_runner=self, metrics_logger=self.metrics, samples=samples)
        return samples

    def _round(self, explore: bool | None) -> list[SingleAgentEpisode]:
        # The seed applies once: RLlib would pass it at every reset and so repeat the same prompts for ever.
        seed = self._seed if self._needs_initial_reset else None
        self._needs_initial_reset = False
        episodes = rollout(
            self.module,
            self.env.unwrapped,
            explore=self.config.explore if explore is None else explore,
            seed=seed,
        )
        for episode in episodes:
            self._stamp_weights(episode)
        return episodes

    def _stamp_weights(self, episode: SingleAgentEpisode) -> None:
        """Note which weights acted; the learner reports how far behind its own they were."""
        column = np.full(len(episode), self._weights_seq_no)
        episode.extra_model_outputs[WEIGHTS_SEQ_NO] = InfiniteLookbackBuffer(data=column, lookback=0)
