"""The tabletop obeys the contract that all environments share."""

from __future__ import annotations

from tests.conformance import EnvConformance


class TestTabletopConformance(EnvConformance):
    """Both cameras, at a small size."""

    env_id = "VLA-Tabletop-v0"
    kwargs = {"image_size": 32, "cameras": ["agentview", "wrist"]}  # noqa: RUF012
