"""How much of an actor's success is left when the camera moves, the light changes and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rllib_configs.config import Sweep
from rllib_configs.run.assessment import assess
from rllib_configs.run.comparison import paired
from rllib_configs.run.results import Result
from rllib_configs.run.statistics import Pairs
from rllib_configs.run.subjects import Subject


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
            if output is not None:
                path = Path(output)
                output = str(path.with_name(f"{path.stem}.{self.axis}-{self.severity}{path.suffix}"))
        return asked.replace(environment=environment, output=output, perturb=(), severities=Sweep.severities)


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
    """Evaluate a subject under every condition, one after the other."""
    unperturbed: Sequence[Result] = ()
    for condition in conditions(asked):
        results = assess(subject, condition.of(asked))
        unperturbed = unperturbed or results
        episodes = paired(unperturbed, results)
        yield Measured(condition, results, Pairs.of((one.success, other.success) for _, one, other in episodes))
