"""Draws a perturbation for each episode and applies it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from vla_envs.arguments import check_flag, check_integer, check_mapping, check_number, check_seed
from vla_envs.camera import CameraOffset
from vla_envs.errors import InvalidArgumentError, require_extra
from vla_envs.spec import IMAGE, INSTRUCTION
from vla_envs.wrappers.checks import dictionary_of, image_keys, refuse_outside
from vla_envs.wrappers.perturb.axes import InitialPose, Light, Noise, draw_camera, warp
from vla_envs.wrappers.perturb.instruction import Paraphrase

PERTURBATION = "perturbation"
"""Info key: what was drawn for the episode."""
PERTURBATION_SEED = "perturbation_seed"
"""Reset option: draw what this seed gives."""

AXES = {
    "camera": draw_camera,
    "light": Light.draw,
    "noise": Noise.draw,
    "instruction": Paraphrase.draw,
    "initial_pose": InitialPose.draw,
}
"""Axis -> draws a perturbation of a severity above 0. Its place in this order is part of its seed."""


class Perturbation(NamedTuple):
    """A perturbation of each axis, or None."""

    camera: CameraOffset | None = None
    light: Light | None = None
    noise: Noise | None = None
    instruction: Paraphrase | None = None
    initial_pose: InitialPose | None = None

    @classmethod
    def draw(cls, seed: int, axes: Collection[str], severity: float) -> Perturbation:
        """What a seed gives: for each axis the same, whichever others there are; nothing at severity 0.

        >>> Perturbation.draw(0, ["light"], 1.0).light == Perturbation.draw(0, ["noise", "light"], 1.0).light
        True
        """
        if severity == 0.0:
            return cls()
        drawn: dict[str, Any] = {
            axis: draw(np.random.default_rng((seed, place)), severity)
            for place, (axis, draw) in enumerate(AXES.items())
            if axis in axes
        }
        return cls(**drawn)

    def on_image(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """An image (H, W, 3) in the light and with the noise; ``rng`` makes the frame's own noise."""
        if self.light is not None:
            image = self.light.apply(image)
        return image if self.noise is None else self.noise.apply(image, rng)

    def record(self) -> dict[str, dict[str, Any]]:
        """Axis -> numbers and names, of what was drawn."""
        return {axis: each._asdict() for axis, each in self._asdict().items() if each is not None}


class PerturbObservations(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Shows every episode from another camera, in another light, with noise, in other words, from another pose.

    ``severity`` scales all axes that are switched on; 0 changes nothing, to the last bit. ``success``,
    ``task_reward`` and the rules of the simulation are untouched, and so is ``info["task"]``, the
    instruction as it was. ``docs/perturbations.md`` shows and lists what each severity means.

    ``info["perturbation"]`` has the severity, the episode's ``seed`` and what was drawn for each axis. The
    reset option ``"perturbation_seed"`` draws the same again, noise included; an axis draws the same
    whichever others are on. Without the option episodes are drawn in a row that ``reset(seed=...)``
    fixes, and so the sub-environments of a group, which share their seed, are perturbed alike.

    A vector version is not needed: wrap the environments before they are vectorized. Outside
    :class:`ActionChunk` one observation per chunk is perturbed; inside, the results are the same.

    Args:
        env: an environment of the contract (:mod:`vla_envs.spec`).
        camera: move the main camera around what it looks at, or imitate that on ``image`` where the
            simulator cannot: ``info["perturbation"]["camera"]["by"]`` is ``"simulator"`` or ``"image"``.
        light: change brightness, color and direction of the light, on all images.
        noise: Gaussian noise, shot noise, blur or JPEG, on all images.
        instruction: paraphrase ``instruction``, where the result fits its space.
        initial_pose: displace the arm before the first observation, in control steps that are not counted.
        severity: 0 to 1.

    Raises:
        InvalidArgumentError: no axis, a severity outside its range, or an axis that the environment has nothing for;
            another PerturbObservations inside.
        DependencyNotInstalled: ``noise`` needs ``pip install 'vla-envs[perturb]'`` for JPEG.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import PerturbObservations
        >>> env = PerturbObservations(gym.make("VLA-Tabletop-v0", task_id=0), instruction=True, severity=0.5)
        >>> observation, info = env.reset(seed=0)
        >>> str(info["task"]), observation["instruction"]
        ('put the red cube on the blue plate', 'please place the red cube on the blue plate')
    """

    def __init__(
        self,
        env: gym.Env,
        *,
        camera: bool = False,
        light: bool = False,
        noise: bool = False,
        instruction: bool = False,
        initial_pose: bool = False,
        severity: float = 0.5,
    ) -> None:
        switches = dict(zip(AXES, (camera, light, noise, instruction, initial_pose), strict=True))
        self.axes = tuple(axis for axis in AXES if check_flag(axis, switches[axis]))
        if not self.axes:
            raise InvalidArgumentError(f"Expect one of {', '.join(AXES)} to be True, actually: none.")
        severity = check_number("severity", severity, 0, 1)
        observations = dictionary_of(env)
        reset_options = getattr(env.unwrapped, "reset_options", ())
        self._image_keys = image_keys(observations) if {"camera", "light", "noise"} & set(self.axes) else ()
        self._moves_camera = "camera_offset" in reset_options
        self._check_axes({*observations, *reset_options})
        if noise:
            require_extra("PIL", "perturb")  # here and not in the middle of training, where JPEG is drawn
        refuse_outside(
            self,
            env,
            PerturbObservations,
            because="the info would tell what it draws and hide what the inner one draws",
            instead="switch all axes on in one",
        )
        gym.utils.RecordConstructorArgs.__init__(self, **switches, severity=severity)
        gym.Wrapper.__init__(self, env)
        self.severity = severity
        self._seeds = np.random.default_rng()
        self._seed = 0
        self._drawn = Perturbation()

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a perturbation and start an episode under it.

        Args:
            seed: also fixes the perturbations of this and all later episodes.
            options: the environment's own, and ``{"perturbation_seed": int}``.

        Raises:
            InvalidArgumentError: a perturbation seed that is no integer from 0.
        """
        others, seed = check_mapping("options", options), check_seed(seed)
        if seed is not None:
            # Not the seed alone: the environment draws its prompts from that stream.
            self._seeds = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        next_seed = int(self._seeds.integers(2**31))
        self._seed = check_integer(PERTURBATION_SEED, others.pop(PERTURBATION_SEED, next_seed), 0)
        self._drawn = Perturbation.draw(self._seed, self.axes, self.severity)
        observation, info = self.env.reset(seed=seed, options={**others, **self._offsets()})
        return self._perturb(observation, info), self._record(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment and perturb what it shows."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._perturb(observation, info), reward, terminated, truncated, self._record(info)

    def _check_axes(self, offered: Collection[str]) -> None:
        lacking = {
            "camera": IMAGE not in self._image_keys and f"a uint8 image `{IMAGE}`",
            "light": not self._image_keys and "a uint8 image",
            "noise": not self._image_keys and "a uint8 image",
            "instruction": INSTRUCTION not in offered and f"an `{INSTRUCTION}`",
            "initial_pose": "gripper_offset" not in offered and "the reset option `gripper_offset`",
        }
        for axis in self.axes:
            if lacking[axis]:
                raise InvalidArgumentError(f"Expect {lacking[axis]} for `{axis}`, actually: an environment without.")

    def _offsets(self) -> dict[str, Any]:
        """The options of the environment's reset that perturb the simulation."""
        options: dict[str, Any] = {}
        if self._drawn.camera is not None and self._moves_camera:
            options["camera_offset"] = self._drawn.camera
        if self._drawn.initial_pose is not None:
            options["gripper_offset"] = self._drawn.initial_pose
        return options

    def _perturb(self, observation: dict[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        perturbed = dict(observation)
        if self._drawn.camera is not None and not self._moves_camera:
            perturbed[IMAGE] = warp(perturbed[IMAGE], self._drawn.camera)
        # By the step and not by the frame: chunks show fewer frames, but the same ones.
        rng = np.random.default_rng((self._seed, len(AXES), info["elapsed_steps"]))
        for key in self._image_keys:
            perturbed[key] = self._drawn.on_image(perturbed[key], rng)
        if self._drawn.instruction is not None:
            paraphrase = self._drawn.instruction.apply(observation[INSTRUCTION])
            if self.observation_space[INSTRUCTION].contains(paraphrase):  # type: ignore[index]
                perturbed[INSTRUCTION] = paraphrase
        return perturbed

    def _record(self, info: dict[str, Any]) -> dict[str, Any]:
        drawn = self._drawn.record()
        if "camera" in drawn:
            drawn["camera"]["by"] = "simulator" if self._moves_camera else "image"
        return {**info, PERTURBATION: {"severity": self.severity, "seed": self._seed, **drawn}}


def _check_seed(seed: Any) -> int:
    return check_integer(PERTURBATION_SEED, seed, 0)
