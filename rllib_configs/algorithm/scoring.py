"""From the finished episodes of a group to their rewards and advantages."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rllib_configs.algorithm.sampled_group import (
    GROUP_ADVANTAGE,
    REF_LOGP,
    TOKEN_LOGP,
    TOKEN_MASK,
    SampledGroup,
    column,
)
from rllib_configs.config import PPO, TTRL
from vla_envs.errors import InvalidArgumentError
from vla_envs.group import (
    GroupStart,
    Trajectory,
    VoteConfig,
    apply_vote,
    contrast,
    group_advantages,
    group_diversity,
    has_signal,
    noisy,
    progress,
    similarity_to_confident,
    trajectory_metrics,
    vote_metrics,
)
from vla_envs.group.groups import prompt_of
from vla_envs.rewards import efficiency_reward
from vla_envs.spec import ANSWER, FINAL_STATE, TEMPERATURE, Prompt
from vla_envs.wrappers.instruction import INSTRUCTION_BYTES, INSTRUCTION_TOKENS

INSTRUCTIONS = frozenset((INSTRUCTION_BYTES, INSTRUCTION_TOKENS))
"""The parts of an observation that say what to do."""


@dataclass(frozen=True, eq=False)
class Score:
    """What the trajectories of a group are worth; every array is (N,)."""

    rewards: NDArray[np.float64]
    """The reward of each whole trajectory, before any penalty."""
    advantages: NDArray[np.float64]
    """The advantage of each among its siblings, penalties included; zeros where a critic gives them."""
    trained: NDArray[np.bool_]
    """Which of them to train on."""
    informative: bool
    """Whether the rewards say which of them did better."""
    metrics: dict[str, float]
    """What to report of the group."""


def score_groups(
    starts: Sequence[GroupStart], groups: Sequence[list[SingleAgentEpisode]], ttrl: TTRL, ppo: PPO, kl_coeff: float
) -> list[SampledGroup]:
    """:func:`score_group` of each; where rewards compare instructions, those of one initial state with each other."""
    others = other_instructions(starts, groups) if ttrl.reward == "contrast" else [[] for _ in groups]
    return [
        score_group(start, group, ttrl, ppo, kl_coeff, other)
        for start, group, other in zip(starts, groups, others, strict=True)
    ]


def score_group(
    start: GroupStart,
    episodes: list[SingleAgentEpisode],
    ttrl: TTRL,
    ppo: PPO,
    kl_coeff: float = 0.0,
    others: Sequence[Trajectory] = (),
) -> SampledGroup:
    """Score the finished episodes of a group.

    A group with an invalid trajectory is not scored: the others would be compared with too few siblings.

    Args:
        start: where they started.
        episodes: N of them; their rewards stay as they are, those of the result are its own.
        ttrl: how trajectories are rewarded.
        ppo: how they are compared.
        kl_coeff: weight of the KL from the reference policy, where ``ppo.reference_kl`` charges it to the reward.
        others: trajectories of other instructions from the same start, for ``ttrl.reward="contrast"``.
    """
    sampled = unscored(start, episodes)
    if sampled.invalid:
        return sampled
    trajectories = [trajectory_of(episode) for episode in episodes]
    charged = kl_coeff if ppo.reference_kl == "reward" else 0.0
    divergences = [_divergence(episode) if ppo.reference_kl else np.zeros(1) for episode in episodes]
    penalties = np.array([charged * each.sum() for each in divergences])
    scores = score(trajectories, ttrl, ppo, penalties, start.seed, others)
    if ppo.reference_kl:
        tokens = sum(column(episode, TOKEN_MASK).sum() for episode in episodes)
        scores.metrics["reference_kl"] = float(sum(each.sum() for each in divergences) / tokens)
    return replace(
        sampled,
        prompt=trajectories[0].prompt,
        successes=[each.success for each in trajectories],
        metrics=scores.metrics,
        informative=ppo.adv_estimator == "gae" or scores.informative,
        episodes=[
            _scored(episodes[index], scores, index, charged * divergences[index], ttrl)
            for index in np.flatnonzero(_has_gradient(scores, ppo)).tolist()
        ],
        records=_records(episodes, trajectories, scores) if ttrl.rollout_data_dir else [],
    )


def unscored(start: GroupStart, episodes: Sequence[SingleAgentEpisode]) -> SampledGroup:
    """What is known of finished episodes before they are scored."""
    return SampledGroup(
        start,
        sampled=len(episodes),
        invalid=sum(not is_valid(episode) for episode in episodes),
        timesteps=sum(map(len, episodes)),
        control_steps=int(sum(_executed_actions(episode).sum() for episode in episodes)),
    )


def score(
    trajectories: Sequence[Trajectory],
    ttrl: TTRL,
    ppo: PPO,
    penalties: NDArray,
    seed: int,
    others: Sequence[Trajectory] = (),
) -> Score:
    """Reward the finished trajectories of one start, and compare them with each other.

    Args:
        trajectories: N of them, all valid.
        ttrl: names the reward.
        ppo: names the estimator.
        penalties: (N,) what is taken from the rewards before they are compared.
        seed: of what is random in a vote.
        others: trajectories of other instructions from the same start.
    """
    rewards, rewarded, trained, metrics = _rewards(trajectories, ttrl, seed, others)
    advantages = np.zeros(len(rewards))
    if ppo.adv_estimator != "gae":
        success = np.array([each.success for each in trajectories])
        advantages = group_advantages(
            rewards - penalties, ppo.adv_estimator, success, scores=rewards, mask=rewarded, nsr=ppo.nsr
        )
    given = rewards[rewarded]  # a vote that abstains gives none
    informative = bool(len(given) and has_signal(given))
    metrics = {**trajectory_metrics(trajectories), **metrics, "frac_zero_std_groups": float(not informative)}
    if len(given):
        metrics["reward"] = float(given.mean())
    if ttrl.target_diversity is not None:
        metrics["diversity"] = group_diversity(trajectories)
    return Score(rewards, advantages, trained, informative, metrics)


def generalized_advantages(
    rewards: NDArray[np.floating], values: NDArray[np.floating], gamma: float, lambda_: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Generalized advantage estimation (arXiv 1506.02438) over one trajectory.

    Args:
        rewards: (T,) of each timestep.
        values: (T + 1,) the critic's estimates; the last is 0 where the task ended the trajectory, and that of
            the last observation where a step limit did.
        gamma: discount of a timestep.
        lambda_: weight of longer estimates.

    Returns:
        advantages (T,), and the targets of the critic (T,).

    >>> generalized_advantages(np.array([0.0, 1.0]), np.array([0.5, 0.5, 0.0]), gamma=1.0, lambda_=1.0)[0].tolist()
    [0.5, 0.5]
    """
    advantages = np.zeros(len(rewards), np.float32)
    following = 0.0
    for t in reversed(range(len(rewards))):
        error = rewards[t] + gamma * values[t + 1] - values[t]
        advantages[t] = following = error + gamma * lambda_ * following
    return advantages, advantages + values[:-1].astype(np.float32)


def is_valid(episode: SingleAgentEpisode) -> bool:
    """Whether the task ended the trajectory; False after a fault, which is neither success nor failure."""
    return bool(episode.get_infos(-1)["valid"])


def trajectory_of(episode: SingleAgentEpisode) -> Trajectory:
    """What a finished episode shows to rewards and votes."""
    info = episode.get_infos(-1)
    prompt = prompt_of(info)
    chunks = episode.get_actions()
    ran = np.arange(chunks.shape[1]) < _executed_actions(episode)[:, None]
    return Trajectory(
        success=bool(info["success"]),
        steps=int(info["elapsed_steps"]),
        max_steps=int(info["max_steps"]),
        task_reward=float(info["task_reward"]),
        env_return=float(episode.get_return()),
        final_state=info.get(FINAL_STATE),
        answer=str(info.get(ANSWER, "")) or None,
        confidence=_confidence(episode),
        actions=chunks[ran],
        prompt=Prompt(**{key: int(value) for key, value in prompt.items()}) if prompt else None,
        index=int(info["trajectory_index"]),
        temperature=float(column(episode, TEMPERATURE)[-1, 0]),
    )


def other_instructions(
    starts: Sequence[GroupStart], groups: Sequence[list[SingleAgentEpisode]]
) -> list[list[Trajectory]]:
    """For each group the trajectories of the other tasks from its initial state, but of those that a fault cut short.

    They are those of the groups next to it, as :class:`~vla_envs.group.EveryTaskPrompts` draws them: where a state is
    drawn again, its first groups are not compared with the later ones, which another process may have sampled.

    Raises:
        InvalidArgumentError: two tasks that begin differently there.
    """
    valid = [list(map(trajectory_of, episodes)) if all(map(is_valid, episodes)) else [] for episodes in groups]
    others: list[list[Trajectory]] = []
    for places in _from_one_state(starts):
        for place in places:
            _check_alike(groups[places[0]][0], groups[place][0])
            others.append([each for other in places if other != place for each in valid[other]])
    return others


def _from_one_state(starts: Sequence[GroupStart]) -> list[list[int]]:
    """The places of starts that follow each other, of one initial state and no task twice."""
    runs: list[list[int]] = []
    for place, (_, _, prompt) in enumerate(starts):
        drawn = [starts[each].prompt for each in runs[-1]] if runs else []
        goes_on = (
            prompt is not None
            and all(each is not None and each.init_state_id == prompt.init_state_id for each in drawn)
            and prompt not in drawn
        )
        if not drawn or not goes_on:
            runs.append([])
        runs[-1].append(place)
    return runs


def _check_alike(a: SingleAgentEpisode, b: SingleAgentEpisode) -> None:
    """Refuse to compare the instructions of episodes that begin with different images or states."""
    seen, other = a.get_observations(0), b.get_observations(0)
    keys = [key for key in seen if key not in INSTRUCTIONS]
    if differing := [key for key in keys if not np.array_equal(seen[key], other[key])]:
        tasks = [str(each.get_infos(0)["task"]) for each in (a, b)]
        raise InvalidArgumentError(
            f"Expect tasks with the same initial states for `ttrl.reward=contrast`, actually another {differing[0]} at "
            f"the start of {tasks[0]!r} than of {tasks[1]!r}. Choose such tasks with `environment.task_id`, "
            "and no wrapper that changes what is seen at random."
        )


def _rewards(
    trajectories: Sequence[Trajectory], ttrl: TTRL, seed: int, others: Sequence[Trajectory]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, float]]:
    """The rewards, which trajectories have one, which are to be trained on, and the metrics of the vote."""
    vote = ttrl.vote_config()
    if vote is None:
        every = np.ones(len(trajectories), bool)
        return _unvoted_rewards(trajectories, ttrl, others), every, every, {}
    # Not the seed itself: the environment draws the prompt by it, and errors would follow the prompts.
    (rng,) = np.random.default_rng(seed).spawn(1)
    voted = apply_vote(trajectories, _with_own_errors(vote, rng), rng)
    return voted.rewards, voted.rewarded, voted.trained, vote_metrics([voted], detailed=vote.log_detailed_metrics)


def _unvoted_rewards(
    trajectories: Sequence[Trajectory], ttrl: TTRL, others: Sequence[Trajectory]
) -> NDArray[np.float64]:
    """(N,): the rewards that ``ttrl.reward`` names, where it is no vote."""
    if ttrl.reward == "contrast":
        return contrast(trajectories, others, ttrl.cluster_tolerance)
    if ttrl.reward == "progress":
        return progress(trajectories)
    if ttrl.reward == "similarity":
        return similarity_to_confident(trajectories)
    return np.array([_reward(each, ttrl.reward) for each in trajectories])


def _reward(trajectory: Trajectory, name: str) -> float:
    """The reward of a finished trajectory that needs no other one."""
    if name == "efficiency":
        return float(efficiency_reward(trajectory.success, trajectory.steps, trajectory.max_steps))
    return trajectory.env_return if name == "env" else float(trajectory.success)


def _with_own_errors(vote: VoteConfig, rng: np.random.Generator) -> VoteConfig:
    """The vote with errors of its own for each group, whichever process scores it."""
    outcome = vote.outcome
    return replace(vote, outcome=noisy(outcome.outcome, outcome.p, rng)) if isinstance(outcome, noisy) else vote


def _has_gradient(scores: Score, ppo: PPO) -> NDArray[np.bool_]:
    """Which trajectories move the policy: one of zero advantage does by entropy, by KL or through a critic alone."""
    always = ppo.adv_estimator == "gae" or ppo.entropy_coeff != 0.0 or ppo.reference_kl == "loss"
    return scores.trained & (always | (scores.advantages != 0.0))


def _scored(
    episode: SingleAgentEpisode, scores: Score, index: int, penalties: NDArray, ttrl: TTRL
) -> SingleAgentEpisode:
    """A copy of the episode with its rewards, those of its tokens added up, and its advantage."""
    scored = copy.copy(episode)
    rewards = np.zeros(len(episode))
    if ttrl.reward == "env":
        rewards += episode.get_rewards()
    else:
        rewards[-1] = scores.rewards[index]
    token_level_rewards = apply_kl_penalty(token_level_scores(rewards, column(episode, TOKEN_MASK)), penalties)
    advantages = np.full(len(episode), scores.advantages[index], np.float32)
    scored.rewards = InfiniteLookbackBuffer(data=token_level_rewards.sum(-1).astype(np.float32), lookback=0)
    scored.extra_model_outputs = {
        **episode.extra_model_outputs,
        GROUP_ADVANTAGE: InfiniteLookbackBuffer(data=advantages, lookback=0),
    }
    return scored


def token_level_scores(scores: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """Scores of chunks, such as whole responses, each on the last valid token of its chunk.

    Args:
        scores: (B,) of each chunk.
        mask: bool (B, slots), which tokens are valid: at least one of each chunk.

    Returns:
        (B, slots), 0 elsewhere.

    >>> token_level_scores([1.0], [[True, True, False]]).tolist()
    [[0.0, 1.0, 0.0]]
    """
    valid = np.asarray(mask, bool)
    last = valid.shape[1] - 1 - valid[:, ::-1].argmax(1)
    placed = np.zeros(valid.shape)
    placed[np.arange(len(valid)), last] = scores
    return placed


def apply_kl_penalty(scores: NDArray[np.floating], penalties: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rewards of tokens: their scores less what each is charged for leaving the reference.

    Args:
        scores: (B, slots), :func:`token_level_scores`.
        penalties: the weight of the KL times ``log pi - log pi_ref`` of each valid token, (B, slots), or what has that
            shape by broadcasting.

    >>> apply_kl_penalty(np.array([[0.0, 1.0]]), np.array([[0.25, 0.5]])).tolist()
    [[-0.25, 0.5]]
    """
    return scores - penalties


def _records(
    episodes: Sequence[SingleAgentEpisode], trajectories: Sequence[Trajectory], scores: Score
) -> list[dict[str, Any]]:
    """What a file of rollouts says of each trajectory, by the names of verl where it has one."""
    infos: list[Any] = [episode.get_infos(-1) for episode in episodes]
    return [
        {
            "input": str(info["task"]),
            "output": str(info["response"]) if "response" in info else None,
            "answer": each.answer,
            "score": float(scores.rewards[index]),
            "advantage": float(scores.advantages[index]),
            "trained": bool(scores.trained[index]),
            "success": bool(each.success),
            "steps": each.steps,
            "temperature": each.temperature,
            "confidence": each.confidence,
            **(each.prompt._asdict() if each.prompt else {}),
        }
        for index, (each, info) in enumerate(zip(trajectories, infos, strict=True))
    ]


def _executed_actions(episode: SingleAgentEpisode) -> NDArray[np.int64]:
    """(timesteps,): how many actions of each chunk ran."""
    mask, chunk_size = column(episode, TOKEN_MASK), episode.get_actions().shape[1]
    return mask.sum(1) // (mask.shape[1] // chunk_size)


def _confidence(episode: SingleAgentEpisode) -> float:
    """Mean log-probability of the executed tokens."""
    return float(column(episode, TOKEN_LOGP).mean(where=column(episode, TOKEN_MASK), dtype=np.float64))


def _divergence(episode: SingleAgentEpisode) -> NDArray[np.float64]:
    """(timesteps, slots): log pi - log pi_ref of the executed tokens, whose mean is the KL from the reference."""
    log_ratio = column(episode, TOKEN_LOGP).astype(np.float64) - column(episode, REF_LOGP)
    return np.where(column(episode, TOKEN_MASK), log_ratio, 0.0)
