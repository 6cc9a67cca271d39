"""``VLA-Tracking-v0``: the task of TorchRL's toy recipe, its ``ToyVLAEnv`` in tracking mode, by our contract."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.arguments import check_choice
from vla_envs.base import Observation, VLAEnv
from vla_envs.errors import UnknownCameraError
from vla_envs.registration import register
from vla_envs.spec import INSTRUCTION, STATE, Prompt

ENV_ID = f"{__name__}:VLA-Tracking-v0"
"""The id with the module that registers it."""

ACTION_DIM = 2
TOLERANCE = 0.35
"""Largest distance in any dimension at which an action is on the target."""
STEPS_ON_TARGET = 2
"""Consecutive control steps on the target that are a success."""
TARGET_RANGE = 0.5
"""Targets are uniform in [-0.5, 0.5] in each dimension."""
HORIZON = 24
"""Control steps: the recipe's 6 timesteps of 4 actions."""
NUM_INIT_STATES = 100_000
"""Targets, half of them for training: many more than a run sees, as the recipe draws without end."""


class TrackingEnv(VLAEnv):
    """Act as the target says, which is in the state: nothing moves.

    **Observation.** ``image``: uint8 (image_size, image_size, 3), noise that is new in each observation. ``state``:
    float32 (4,), the last executed action, 0 at first, and the target. ``instruction``: always the same.

    **Action.** (2,) in [-1, 1].

    **Success.** Two actions in a row whose dimensions are all within 0.35 of the target's, in at most 24 control steps.

    Args:
        task_id: 0, the one task, or None.
        image_size: height and width of the noise, 16 to 1024 pixels; the recipe's is 16.
        cameras: ``("agentview",)``, or ``()`` for no image.
        split: ``"train"``, ``"eval"`` or ``"all"``; None is ``"all"`` with a warning.
        max_episode_steps: step limit; None takes 24.
        render_mode: None; there is nothing to draw.

    Raises:
        UnknownTaskError: a task index other than 0.
        UnknownCameraError: a camera of another name.
        InvalidArgumentError: an image size, split, step limit or render mode outside its range.

    >>> env = TrackingEnv()
    >>> observation, info = env.reset(options={"init_state_id": 7})
    >>> target = observation["state"][2:]
    >>> int(env.step_chunk([target, target, target, target])[-1]["executed_actions"])
    2
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (Gymnasium's own shape)

    final_state_dim = ACTION_DIM

    def __init__(
        self,
        task_id: int | Sequence[int] | None = None,
        image_size: int = 16,
        cameras: Sequence[str] = ("agentview",),
        split: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            suite="tracking",
            tasks=("stay on the target",),
            task_id=task_id,
            split=split,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )
        for camera in cameras:
            check_choice("cameras", camera, ("agentview",), UnknownCameraError)
        size = spec.check_image_size(image_size)
        self._image_keys = tuple(spec.CAMERA_KEYS[camera] for camera in cameras)
        self._image_shape = (size, size, 3)
        self.observation_space = spec.observation_space(self._image_keys, size, 2 * ACTION_DIM)
        self.action_space = spec.action_space(ACTION_DIM)

    def num_init_states(self, task_id: int) -> int:
        """How many targets there are."""
        return NUM_INIT_STATES

    def _horizon(self, task_id: int) -> int:
        return HORIZON

    def _begin(self, prompt: Prompt) -> None:
        self._target = self._generator(0).uniform(-TARGET_RANGE, TARGET_RANGE, ACTION_DIM)
        self._last_action = np.zeros(ACTION_DIM)
        self._streak = 0

    def _apply(self, action: NDArray[np.float64]) -> bool:
        self._last_action = action
        on_target = np.abs(action - self._target).max() <= TOLERANCE
        self._streak = self._streak + 1 if on_target else 0
        return self._streak >= STEPS_ON_TARGET

    def _observe(self) -> Observation:
        noise = self._generator(1 + self._elapsed_steps)
        images = {key: noise.integers(0, 256, self._image_shape, np.uint8) for key in self._image_keys}
        state = np.concatenate([self._last_action, self._target]).astype(np.float32)
        return {**images, STATE: state, INSTRUCTION: self.tasks[0]}

    def _final_state(self) -> NDArray[np.float32]:
        return self._last_action.astype(np.float32)

    def _generator(self, moment: int) -> np.random.Generator:
        """One for each moment of the episode: the noise is the same whether or not what came before was observed."""
        return np.random.default_rng((moment, *self.prompt))


register(ENV_ID, f"{__name__}:TrackingEnv")
