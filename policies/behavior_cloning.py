"""Behavior cloning: from demonstrations to an initial policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from policies.interface import Policy, trained_parameters
from vla_envs.errors import InvalidArgumentError, NonFiniteError

NONFINITE_STEPS_IN_A_ROW = 3
"""Gradient steps in a row whose loss or gradient is not finite, and which are not taken, that end a training."""
WARM_UP_STEPS = 50
"""Number of gradient steps until the full learning rate."""
MOST_VALIDATION_ROWS = 4096
"""Rows at most on which a policy is validated."""


@dataclass(frozen=True)
class Demonstrations:
    """Observations and actions of an expert, one row per visited state."""

    observations: dict[str, NDArray]
    """Observations, (M, ...) each."""
    actions: NDArray[np.float32]
    """The expert's next K actions from each state, (M, K, A)."""
    mask: NDArray[np.float32]
    """1 where the action exists, 0 beyond the end of the demonstration, (M, K)."""

    def __len__(self) -> int:
        return len(self.actions)

    def take(self, rows: NDArray[np.int64] | slice) -> Demonstrations:
        """Return some of the rows."""
        observations = {key: each[rows] for key, each in self.observations.items()}
        return Demonstrations(observations, self.actions[rows], self.mask[rows])

    def batches(self, batch_size: int, seed: int) -> Iterator[Demonstrations]:
        """Yield minibatches for ever, their rows drawn with replacement."""
        rng = np.random.default_rng(seed)
        while True:
            yield self.take(rng.integers(len(self), size=batch_size))

    def action_range(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the smallest and the largest of each number of the existing actions, (A,) each."""
        actions = self.actions[self.mask > 0]
        return actions.min(0), actions.max(0)

    @classmethod
    def concatenated(cls, parts: Sequence[Demonstrations]) -> Demonstrations:
        """Return the rows of all parts, of which there is at least one, in order."""
        keys = parts[0].observations
        return cls(
            observations={key: np.concatenate([each.observations[key] for each in parts]) for key in keys},
            actions=np.concatenate([each.actions for each in parts]),
            mask=np.concatenate([each.mask for each in parts]),
        )


Episode = Callable[[], Demonstrations]
"""Reads the rows of an episode, none where it is of no use."""


class Source(Protocol):
    """Where minibatches come from: :class:`Demonstrations` in memory, or a :class:`DemonstrationStream`."""

    def batches(self, batch_size: int, seed: int) -> Iterator[Demonstrations]:
        """Yield minibatches for ever."""

    def action_range(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the smallest and the largest of each number of an action, (A,) each."""


class DemonstrationStream:
    """More demonstrations than memory holds: episodes are read as they are needed, in another order each time.

    Minibatches are drawn from a buffer of rows of several episodes, which are not alike as those of one would be.

    Args:
        episodes: reads each of them.
        buffer_rows: number of rows in the buffer.
    """

    def __init__(self, episodes: Sequence[Episode], buffer_rows: int) -> None:
        self.episodes = episodes
        self.buffer_rows = buffer_rows

    def batches(self, batch_size: int, seed: int) -> Iterator[Demonstrations]:
        """Yield minibatches for ever; every row comes once before one comes again, give or take a buffer."""
        rows = _ShuffledRows(self.episodes, self.buffer_rows, seed)
        yield from DataLoader(rows, batch_size, collate_fn=Demonstrations.concatenated)

    def action_range(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the smallest and the largest of each number of an action, (A,) each; every episode is read."""
        ranges = [rows.action_range() for episode in self.episodes if len(rows := episode())]
        lows, highs = zip(*ranges, strict=True)
        return np.min(lows, axis=0), np.max(highs, axis=0)


class _ShuffledRows(IterableDataset[Demonstrations]):
    """Single rows, drawn from a buffer that the next episodes refill."""

    def __init__(self, episodes: Sequence[Episode], buffer_rows: int, seed: int) -> None:
        self.episodes, self.buffer_rows, self.seed = episodes, buffer_rows, seed

    def __iter__(self) -> Iterator[Demonstrations]:
        rng = np.random.default_rng(self.seed)
        buffer: list[Demonstrations] = []
        while True:
            for index in rng.permutation(len(self.episodes)):
                buffer += _single_rows(self.episodes[index]())
                while len(buffer) > self.buffer_rows:
                    drawn = int(rng.integers(len(buffer)))
                    buffer[drawn], buffer[-1] = buffer[-1], buffer[drawn]
                    yield buffer.pop()


def _single_rows(episode: Demonstrations) -> list[Demonstrations]:
    """Copies, because a view of one row would keep the whole episode in memory."""
    return [episode.take(np.array([row])) for row in range(len(episode))]


def gathered(episodes: Sequence[Episode], buffer_rows: int) -> Source:
    """Return the rows of all episodes in memory, or a stream where they are more than ``buffer_rows``.

    Raises:
        InvalidArgumentError: no episode has a row.
    """
    parts: list[Demonstrations] = []
    for episode in episodes:
        parts.append(episode())
        if sum(map(len, parts)) > buffer_rows:
            return DemonstrationStream(episodes, buffer_rows)
    if not any(map(len, parts)):
        raise InvalidArgumentError(
            f"Expect at least one demonstration that solves its task, actually none of {len(episodes)}. Warnings above "
            "say why each was left out."
        )
    return Demonstrations.concatenated(parts)


def split(episodes: Sequence[Episode], share: float, seed: int) -> tuple[list[Episode], list[Episode]]:
    """Return the episodes to train on and those to validate on: whole ones, whose rows are much alike.

    Args:
        episodes: at least two where any validate.
        share: of the episodes that validate, at least one of them unless it is 0.
        seed: of the drawing.

    Raises:
        InvalidArgumentError: none would be left to train on.
    """
    number = int(np.ceil(share * len(episodes)))
    if number >= len(episodes) > 0:
        raise InvalidArgumentError(
            f"Expect more demonstrations than those that validate, actually: {len(episodes)}, of which {number} would. "
            "Give more, or train on all of them with --bc.validation-share 0."
        )
    order = np.random.default_rng(seed).permutation(len(episodes))
    validating = set(order[:number].tolist())
    training = [each for index, each in enumerate(episodes) if index not in validating]
    return training, [episodes[index] for index in sorted(validating)]


@dataclass(frozen=True)
class Validation:
    """Demonstrations that a policy is not trained on, by which the best weights are known."""

    demonstrations: Demonstrations
    interval: int
    """Number of gradient steps between two measurements."""
    patience: int
    """Number of measurements in a row without an improvement that end the training."""

    @classmethod
    def of(cls, episodes: Sequence[Episode], interval: int, patience: int) -> Validation | None:
        """Return the validation on as many of the episodes as :data:`MOST_VALIDATION_ROWS` hold; None on none."""
        parts: list[Demonstrations] = []
        for episode in episodes:
            if sum(map(len, parts)) < MOST_VALIDATION_ROWS:
                parts.append(episode())
        if not any(map(len, parts)):
            return None
        return cls(Demonstrations.concatenated(parts).take(slice(MOST_VALIDATION_ROWS)), interval, patience)


class Measurement(NamedTuple):
    """A validation loss."""

    step: int
    """Number of gradient steps before it."""
    loss: float
    is_best: bool
    """Whether none before was lower."""


def clone(
    policy: Policy,
    demonstrations: Source,
    *,
    steps: int,
    lr: float,
    batch_size: int,
    seed: int,
    final_lr: float = 0.0,
    random_shift: int = 0,
    validation: Validation | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    on_validation: Callable[[Measurement], None] = lambda measurement: None,
) -> None:
    """Fit the policy to the demonstrations in place, by its own cloning loss.

    With a validation it ends with the weights of the lowest validation loss.

    Args:
        policy: policy that is trained in place, on the device it is on.
        demonstrations: where minibatches come from; rows in memory are at least one.
        steps: number of gradient steps, fewer where the validation ends the training.
        lr: learning rate of Adam, after a short warm-up annealed linearly to ``final_lr``.
        batch_size: number of rows per gradient step.
        seed: seed of the drawing.
        final_lr: see ``lr``.
        random_shift: pixels by which each image is moved at most, in both directions, its border repeated.
        validation: what measures the policy, and when.
        on_step: called with the number of steps done and the step's loss.
        on_validation: called with each measurement, while the policy has the weights that were measured.

    Raises:
        ValueError: there are no rows.
        InvalidArgumentError: a parameter that would be trained is not float32.
        NonFiniteError: the loss or its gradient is not finite, several times in a row; such steps are not taken.
    """
    if isinstance(demonstrations, Demonstrations) and not len(demonstrations):
        raise ValueError("Expect at least one demonstrated state to clone, actually: none.")
    trainer = _Trainer(policy, steps, lr, final_lr)
    best = None if validation is None else _Best(policy, validation)
    generator = torch.Generator().manual_seed(seed)
    policy.train()
    for step, batch in zip(range(1, steps + 1), demonstrations.batches(batch_size, seed), strict=False):
        observations, actions, mask = _tensors(batch, _device(policy))
        if random_shift:
            observations = shifted(observations, random_shift, generator)
        on_step(step, trainer.step(policy.cloning_loss(observations, actions, mask)))
        if best is not None and (step % best.validation.interval == 0 or step == steps):
            on_validation(best.measure(step))
            if best.is_over:
                break
    if best is not None:
        best.restore()
    policy.eval()


class _Trainer:
    """Takes gradient steps, those that are finite."""

    def __init__(self, policy: Policy, steps: int, lr: float, final_lr: float) -> None:
        self.parameters = trained_parameters(policy)
        self.optimizer = torch.optim.Adam(self.parameters, lr)
        fall = 1.0 - final_lr / lr
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min((step + 1) / WARM_UP_STEPS, 1.0) * (1.0 - fall * step / steps)
        )
        self.lr, self.steps, self.done, self.not_taken = lr, steps, 0, 0

    def step(self, loss: Tensor) -> float:
        """Take a step down the gradient of a loss, and return the loss."""
        self.done += 1
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.not_taken = 0 if (loss + norm).isfinite() else self.not_taken + 1
        if self.not_taken == NONFINITE_STEPS_IN_A_ROW:
            raise NonFiniteError(
                f"Cloning ends at step {self.done} of {self.steps}, because the loss ({loss.item()}) or its gradient "
                f"({norm.item()}) was not finite in {self.not_taken} steps in a row: lower the learning rate of "
                f"{self.lr:g} (--bc.lr), or look for NaN in the demonstrations."
            )
        if not self.not_taken:
            self.optimizer.step()
        self.schedule.step()
        return loss.item()


class _Best:
    """The weights of the lowest validation loss so far."""

    def __init__(self, policy: Policy, validation: Validation) -> None:
        self.policy, self.validation = policy, validation
        self.loss = float("inf")
        self.since = 0
        """Number of measurements since the best."""
        self.weights: list[Tensor] = []

    @property
    def is_over(self) -> bool:
        return self.since >= self.validation.patience

    def measure(self, step: int) -> Measurement:
        """Measure the policy as it is, and keep its weights where it is the best; NaN never is."""
        loss = validation_loss(self.policy, self.validation.demonstrations)
        is_best = loss < self.loss
        self.since = 0 if is_best else self.since + 1
        if is_best:
            self.loss = loss
            self.weights = [each.detach().clone() for each in trained_parameters(self.policy)]
        return Measurement(step, loss, is_best)

    @torch.no_grad()
    def restore(self) -> None:
        """Give the policy its best weights; where nothing was measured, it keeps its own."""
        for each, kept in zip(trained_parameters(self.policy), self.weights, strict=False):
            each.copy_(kept)


@torch.no_grad()
def validation_loss(policy: Policy, demonstrations: Demonstrations, batch_size: int = 256) -> float:
    """Return the policy's mean cloning loss over all rows, in evaluation mode; its own mode stays."""
    training, total = policy.training, 0.0
    policy.eval()
    for start in range(0, len(demonstrations), batch_size):
        batch = demonstrations.take(slice(start, start + batch_size))
        total += len(batch) * policy.cloning_loss(*_tensors(batch, _device(policy))).item()
    policy.train(training)
    return total / len(demonstrations)


def shifted(observations: dict[str, Tensor], pixels: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the observations with each image moved by a random number of pixels, its border repeated.

    Random shifts of a few pixels (arXiv 2004.13649) keep a policy from knowing demonstrations by their single pixels.

    Args:
        observations: batched tensors; those that are uint8 (B, H, W, 3) are images.
        pixels: the farthest in each direction.
        generator: on the CPU.

    >>> image = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 4, 1).expand(1, 4, 4, 3)
    >>> shifted({"image": image}, 1, torch.Generator().manual_seed(1))["image"][0, 0, :, 0].tolist()
    [1, 2, 3, 3]
    """
    return {key: _moved(each, pixels, generator) if _is_image(each) else each for key, each in observations.items()}


def _is_image(values: Tensor) -> bool:
    return values.dtype == torch.uint8 and values.ndim == 4


def _moved(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    offsets = torch.randint(-pixels, pixels + 1, (2, len(images), 1), generator=generator)
    rows, columns = (
        (torch.arange(size) + offset).clamp(0, size - 1).to(images.device)
        for size, offset in zip(images.shape[1:3], offsets, strict=True)
    )
    batch = torch.arange(len(images), device=images.device)
    return images[batch[:, None, None], rows[:, :, None], columns[:, None, :]]


def _tensors(batch: Demonstrations, device: torch.device) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    def tensor(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    observations = {key: tensor(each) for key, each in batch.observations.items()}
    mask = tensor(batch.mask)
    # Whatever stands beyond the end of a demonstration, its likelihood must not overflow.
    return observations, tensor(batch.actions).where(mask[..., None] > 0, 0.0), mask


def _device(policy: Policy) -> torch.device:
    return next(policy.parameters()).device
