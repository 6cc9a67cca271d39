"""TTRL on text, at a size that learns on a CPU."""

from __future__ import annotations

from typing import Any

from rllib_configs.config import (
    PPO,
    TTRL,
    BehaviorCloning,
    CausalLMConfig,
    EnvironmentConfig,
    Evaluation,
    Experiment,
    Resources,
)

ANSWERS_VOTE = TTRL(
    n_votes_per_prompt=64,
    n_samples_per_prompt=32,
    base_temperature=1.0,
    temperature_range=0.0,
    reward="vote",
    rule="agreement",
    outcome="given_answer",
    use_env_fallback=False,
    min_confidence_ratio=0.0,
    select="random",
)
"""64 answers to a question vote, of which 32 are trained on; no label is read (arXiv 2504.16084)."""


def text_ttrl(**changes: Any) -> Experiment:
    """TTRL on sums of three digits, with a small language model that was cloned from other sums.

    One in eight digits of the answers that it is cloned from is wrong, four answers in ten, so that it knows sums and
    yet errs when it is sampled, each time in another way. An update is of 250 questions with 16 answers each: fewer
    questions with more answers teach a model of this size those questions and cost it the others.
    """
    return Experiment(
        name="text_ttrl",
        iterations=110,
        environment=EnvironmentConfig(id="VLA-Text-v0", env_kwargs={"num_questions": 1000, "skipped": 20_000}),
        policy=CausalLMConfig(),
        bc=BehaviorCloning(
            demonstrations_per_task=10_000,
            env_kwargs={"num_questions": 20_000, "skipped": 0, "errors": 0.13},
            steps=2500,
            batch_size=128,
        ),
        ttrl=ANSWERS_VOTE.replace(n_votes_per_prompt=16, n_samples_per_prompt=8, prompts="sequential"),
        ppo=PPO(
            groups_per_iteration=250,
            lr=1.5e-4,
            lr_warmup_iterations=5,
            lr_decay_iterations=110,
            num_epochs=1,
            minibatch_size=500,
        ),
        resources=Resources(num_env_runners=2, groups_per_env_runner=125),
        evaluation=Evaluation(num_episodes=500, curve_episodes=500, videos=0),
    ).replace(**changes)
