"""The same prompts before and after training, side by side in one video."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rllib_configs.config import EnvironmentConfig
from rllib_configs.run.actors import Actor
from vla_envs.files import atomic_path
from vla_envs.group import GroupStart, rollout

TILE = 192
"""Side of a tile in pixels."""
CAPTION = 34
"""Height of the caption under a tile in pixels."""
COLORS = {None: (255, 255, 255), True: (46, 160, 67), False: (207, 34, 46)}
"""Color of the caption while the episode runs, after success, after failure."""


@dataclass
class Clip:
    """What was seen of an episode."""

    frames: list[NDArray[np.uint8]]
    task: str
    """The instruction."""
    success: bool
    fps: float
    """Frames per second of the robot's time."""


class FrameRecorder(gym.Wrapper):
    """Draws an environment at its reset, at its end and every ``stride`` steps between them."""

    def __init__(self, env: gym.Env, stride: int) -> None:
        super().__init__(env)
        self.metadata = {**env.metadata, "render_fps": env.metadata["render_fps"] / stride}
        self.stride = stride
        self.frames: list[Any] = []
        self.steps = 0

    def reset(self, **kwargs: Any) -> Any:
        """Begin a new list of frames with the first."""
        result = self.env.reset(**kwargs)
        self.frames, self.steps = [self.render()], 0
        return result

    def step(self, action: Any) -> Any:
        """Step, and draw where it is time."""
        result = self.env.step(action)
        self.steps += 1
        if result[2] or result[3] or self.steps % self.stride == 0:
            self.frames.append(self.render())
        return result


def record(actor: Actor, environment: EnvironmentConfig, starts: Sequence[GroupStart], stride: int) -> list[Clip]:
    """One episode per start, a frame every ``stride`` control steps; of splines, a frame each."""
    recorders: list[FrameRecorder] = []

    def wrap(env: gym.Env) -> gym.Env:
        # Action by action a robot would move otherwise than in one motion.
        in_one_motion = env.unwrapped.metadata.get("chunk") == "spline"
        recorders.append(FrameRecorder(environment.wrap(env), 1) if in_one_motion else FrameRecorder(env, stride))
        return recorders[-1] if in_one_motion else environment.wrap(recorders[-1])

    envs = environment.replace(num_workers=0).make_vec("all", 1, wrap, render_mode="rgb_array")
    clips: list[Clip] = []
    with closing(envs):
        for start in starts:
            for transition in rollout(envs, [start], actor(envs, [start])):
                infos = transition.infos
            success, fps = bool(infos["success"][0]), recorders[-1].metadata["render_fps"]
            clips.append(Clip(recorders[-1].frames, infos["task"][0], success, fps))
    return clips


def write_grid(rows: Sequence[tuple[str, Sequence[Clip]]], path: Path) -> None:
    """Write labeled rows of episodes of one frame rate as one MP4; an episode that has ended shows its last frame."""
    fps = rows[0][1][0].fps
    drawn = [(label, [tiles_of(clip) for clip in clips]) for label, clips in rows]
    length = max(len(tiles) for _, episodes in drawn for tiles in episodes) + round(fps)
    with (
        atomic_path(path) as scratch,
        imageio.get_writer(scratch, fps=fps, codec="libx264", quality=7, macro_block_size=2) as video,
    ):
        for time in range(length):
            lines = [_row(label, [tiles[min(time, len(tiles) - 1)] for tiles in episodes]) for label, episodes in drawn]
            video.append_data(np.concatenate(lines))  # type: ignore[attr-defined]  # a reader or a writer, says imageio


def tiles_of(clip: Clip) -> list[NDArray[np.uint8]]:
    """The frames as tiles (TILE + CAPTION, TILE, 3) with captions, of which the last says how the episode ended."""
    *running, last = clip.frames
    return [*(_tile(frame, clip.task, None) for frame in running), _tile(last, clip.task, clip.success)]


def _tile(frame: NDArray[np.uint8], caption: str, success: bool | None) -> NDArray[np.uint8]:
    tile = Image.new("RGB", (TILE, TILE + CAPTION), (24, 26, 30))
    tile.paste(Image.fromarray(frame).resize((TILE, TILE), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(size=11)
    draw.multiline_text((5, TILE + 3), _wrapped(caption, 34), fill=COLORS[success], font=font, spacing=2)
    if success is not None:
        draw.rectangle((0, 0, TILE - 1, TILE - 1), outline=COLORS[success], width=4)
    return np.asarray(tile)


def _row(label: str, tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    side = Image.new("RGB", (72, tiles[0].shape[0]), (24, 26, 30))
    font = ImageFont.load_default(size=15)
    ImageDraw.Draw(side).text((8, tiles[0].shape[0] // 2 - 10), label, fill=(255, 255, 255), font=font)
    return np.concatenate([np.asarray(side), *tiles], axis=1)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)[:2])
