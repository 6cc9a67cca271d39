"""How faithfully LIBERO's images are drawn: the official pixels, or others in less time."""

from __future__ import annotations

from typing import NamedTuple


class Quality(NamedTuple):
    """What drawing an image takes the time for.

    Attributes:
        samples: multisampling: the places of a pixel that are drawn, where edges meet in it; 0 turns it off.
        reflections: whether the boxes and planes of a shiny material mirror the scene, for which it is drawn twice.
        simplified: whether finely meshed objects are drawn with fewer faces, and small images with smaller textures.
    """

    samples: int
    reflections: bool
    simplified: bool


QUALITIES = {
    "exact": Quality(samples=4, reflections=True, simplified=False),
    "fast": Quality(samples=0, reflections=False, simplified=False),
    "fastest": Quality(samples=0, reflections=False, simplified=True),
}
"""``render_quality`` -> its meaning: ``"exact"`` draws the official pixels, others change some; physics is the same."""
