"""How other code bases evaluate on LIBERO, as keywords of ``VLA-Libero-v0``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vla_envs.arguments import check_choice
from vla_envs.errors import UnknownSuiteError
from vla_envs.libero.suites import SUITES

MAIN, BOTH = ("agentview",), ("agentview", "wrist")
OFFICIAL_STEPS = {name: suite.horizon for name, suite in SUITES.items()}


@dataclass(frozen=True)
class Protocol:
    """What a code base decides outside of the policy: when an episode begins and when it is given up.

    All of them take the 50 recorded initial states of each task, images of 256 pixels, the state of
    :data:`vla_envs.spec.STATE` and the official success, as ``VLA-Libero-v0`` does. What they do to images and actions
    on the way into and out of a policy is the policy's.

    Attributes:
        cameras: which it shows; a policy need not look at all of them.
        max_episode_steps: suite -> step limit of an episode, settle steps excluded.
        settle_steps: control steps between an initial state and the first observation.
        source: the repository at a revision, and the files that say so.
    """

    cameras: tuple[str, ...]
    max_episode_steps: Mapping[str, int]
    settle_steps: int
    source: str

    def kwargs(self, suite: str) -> dict[str, Any]:
        """Keywords of ``gymnasium.make("VLA-Libero-v0")`` for a suite.

        Raises:
            UnknownSuiteError: no suite of that name.

        >>> keywords = PROTOCOLS["rlinf"].kwargs("libero_goal")
        >>> keywords["max_episode_steps"], keywords["settle_steps"], keywords["cameras"]
        (320, 15, ('agentview', 'wrist'))
        """
        check_choice("suite", suite, self.max_episode_steps, UnknownSuiteError)
        limits = {"max_episode_steps": self.max_episode_steps[suite], "settle_steps": self.settle_steps}
        return {"suite": suite, **limits, "image_size": 256, "cameras": self.cameras}


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "openvla": Protocol(
            MAIN, OFFICIAL_STEPS, 10, "openvla/openvla@c8f03f4 experiments/robot/libero/run_libero_eval.py"
        ),
        "openvla_oft": Protocol(
            BOTH, OFFICIAL_STEPS, 10, "moojink/openvla-oft@213c5ff experiments/robot/libero/run_libero_eval.py"
        ),
        "openpi": Protocol(BOTH, OFFICIAL_STEPS, 10, "Physical-Intelligence/openpi@15a9616 examples/libero/main.py"),
        "lerobot": Protocol(
            BOTH,
            {**OFFICIAL_STEPS, "libero_spatial": 280},
            10,
            "huggingface/lerobot@7427f31 src/lerobot/envs/libero.py",
        ),
        "simplevla_rl": Protocol(
            BOTH,
            dict.fromkeys(OFFICIAL_STEPS, 512),
            10,
            "PRIME-RL/SimpleVLA-RL@7c51662 verl/workers/rollout/rob_rollout.py",
        ),
        "rlinf": Protocol(
            BOTH,
            {**dict.fromkeys(OFFICIAL_STEPS, 512), "libero_spatial": 240, "libero_object": 240, "libero_goal": 320},
            15,
            "RLinf/RLinf@a3816b5 rlinf/envs/libero/libero_env.py, examples/embodiment/config/env/*.yaml",
        ),
    }
)
"""Name of a code base -> its protocol; docs/evaluation.md has what else they differ in."""
