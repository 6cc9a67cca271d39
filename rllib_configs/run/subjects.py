"""What can be evaluated: a run, one of its policies, a checkpoint of any kind, the scripted expert, or chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from policies.configured import MARKS
from rllib_configs.config import CausalLMConfig, DINOv2BertConfig, Measurement, OpenVLAConfig, TinyPolicyConfig
from rllib_configs.run.directory import is_run, load_experiment, run_of
from vla_envs.errors import InvalidArgumentError
from vla_envs.files import expanded, named

EXPERT, RANDOM = "expert", "random"
KINDS = {
    "tiny": TinyPolicyConfig,
    "dinov2-bert": DINOv2BertConfig,
    "causal-lm": CausalLMConfig,
    "openvla": OpenVLAConfig,
}
"""Subcommand of ``policy`` -> its configuration."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and where if nothing else is said."""

    name: str
    """``expert``, ``random`` or a directory."""
    defaults: Measurement
    """How it is evaluated if nothing else is said: as in its run; on the tabletop where there is none."""
    run: Path | None = None
    """Directory of the run that trained it, and has seen the training states."""

    @property
    def is_policy(self) -> bool:
        """Whether it is neither the expert nor chance."""
        return self.name not in (EXPERT, RANDOM)


def find_subject(what: str) -> Subject:
    """What a word of the command line means.

    Raises:
        InvalidArgumentError: it is no directory of a run or a policy.
    """
    if what in (EXPERT, RANDOM):
        return Subject(what, Measurement())
    path = expanded(what)
    if is_run(path):
        policy = path / "policy"
        if not policy.is_dir():
            raise InvalidArgumentError(
                f"{path} has no trained policy: the run has not ended. It may have {path / 'policy_before'} and "
                f"{path / 'best'}."
            )
        path = policy
    mark = next((kind for file, kind in MARKS.items() if (path / file).is_file()), None)
    if mark is None:
        raise InvalidArgumentError(
            f"Expect `{EXPERT}`, `{RANDOM}`, or the directory of a run or of a policy, actually: {named(what)}."
        )
    run = run_of(path)
    if run is None:
        return Subject(str(path), Measurement(policy=KINDS[mark](path=str(path))))
    experiment = load_experiment(run)
    defaults = Measurement(
        environment=experiment.environment,
        policy=experiment.policy.saved_at(path),
        num_envs=experiment.evaluation.num_envs,
    )
    return Subject(str(path), defaults, run)
