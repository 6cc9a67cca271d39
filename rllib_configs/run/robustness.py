"""How much of an actor's success is left when the camera moves, the light changes and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from rllib_configs.config import Axis, Sweep
from rllib_configs.run.assessment import assess
from rllib_configs.run.comparison import check_same_prompts, paired, recorded
from rllib_configs.run.results import Result
from rllib_configs.run.statistics import Pairs
from rllib_configs.run.subjects import Subject
from vla_envs.errors import InvalidArgumentError


class Condition(NamedTuple):
    """What the episodes are perturbed by."""

    axis: str | None
    """What is perturbed; None for nothing."""
    severity: float

    def of(self, asked: Sweep) -> Sweep:
        """The measurement under this condition alone, with an output file of its own."""
        environment, output = asked.environment, asked.output
        if self.axis is not None:
            call = f"PerturbObservations({self.axis}=True, severity={self.severity})"
            environment = environment.replace(wrappers=(*environment.wrappers, call))
            output = None if output is None else str(self.file(Path(output)))
        return asked.replace(environment=environment, output=output, perturb=(), severities=Sweep.severities)

    def file(self, unperturbed: Path) -> Path:
        """The file of its results, beside that of the unperturbed episodes."""
        return unperturbed.with_name(f"{unperturbed.stem}.{self.axis}-{self.severity}{unperturbed.suffix}")


class Measured(NamedTuple):
    """The episodes of a condition."""

    condition: Condition
    results: Sequence[Result]
    pairs: Pairs
    """With the unperturbed episodes as ``a``: of the same prompts, and of the same seeds at every severity."""


def conditions(asked: Sweep) -> list[Condition]:
    """First without perturbations, then each axis at each severity."""
    return [
        Condition(None, 0.0),
        *(Condition(axis, each) for axis in asked.perturb for each in asked.severities),
    ]


def sweep(subject: Subject, asked: Sweep) -> Iterator[Measured]:
    """Evaluate a subject under every condition, one after the other.

    Raises:
        InvalidArgumentError: a perturbation of what the expert or chance does not observe.
    """
    blind = [axis for axis in asked.perturb if axis != "initial_pose"]
    if blind and not subject.is_policy:
        raise InvalidArgumentError(
            f"Expect `perturb` to be initial_pose with `{subject.name}`, which observes neither images nor "
            f"instructions, actually: {', '.join(blind)}."
        )
    unperturbed: Sequence[Result] = ()
    for condition in conditions(asked):
        results = assess(subject, condition.of(asked))
        unperturbed = unperturbed or results
        yield _measured(condition, unperturbed, results)


def recorded_sweep(path: Path) -> list[Measured]:
    """What a sweep has left beside the file of its unperturbed episodes, by axis and severity.

    Raises:
        InvalidArgumentError: a file is not whole, or of other prompts.
    """
    unperturbed, found = recorded(path), []
    for axis in get_args(Axis):
        names = path.parent.glob(f"{path.stem}.{axis}-*{path.suffix}")
        severities = sorted(
            float(each.name.removeprefix(f"{path.stem}.{axis}-").removesuffix(path.suffix)) for each in names
        )
        found += [Condition(axis, severity) for severity in severities]
    streams = [(condition, recorded(condition.file(path))) for condition in found]
    for _, stream in streams:
        check_same_prompts(unperturbed, stream)
    results = list(unperturbed.results)
    return [_measured(condition, results, list(stream.results)) for condition, stream in streams]


def _measured(condition: Condition, unperturbed: Sequence[Result], results: Sequence[Result]) -> Measured:
    episodes = paired(unperturbed, results)
    return Measured(condition, results, Pairs.of((one.success, other.success) for _, one, other in episodes))
