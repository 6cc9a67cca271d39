"""Has the scripted expert act."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from vla_envs.arguments import check_numbers
from vla_envs.base import VLAEnv
from vla_envs.errors import InvalidActionError, InvalidArgumentError


class FollowExpert(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Executes the actions of the environment's scripted expert instead of those that are given.

    So the expert is measured, filmed and recorded by the code that does it for policies. It acts in every control
    step: an :class:`ActionChunk` has no place below it.

    A vector version is not needed: wrap the environments before they are vectorized.

    Args:
        env: ``VLA-Tabletop-v0`` or ``VLA-Libero-v0``, whose experts answer in any state.

    Raises:
        InvalidArgumentError: an environment without such an expert.

    Example:
        >>> import gymnasium as gym, vla_envs
        >>> from vla_envs.wrappers import FollowExpert
        >>> env = FollowExpert(gym.make("VLA-Tabletop-v0", task_id=0, cameras=()))
        >>> observation, info = env.reset(seed=0)
        >>> while not info["success"]:
        ...     observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> reward, terminated
        (1.0, True)
    """

    def __init__(self, env: gym.Env) -> None:
        if getattr(type(env.unwrapped), "expert", VLAEnv.expert) is VLAEnv.expert:
            raise InvalidArgumentError(
                "Expect an environment whose scripted expert answers in any state, which are VLA-Tabletop-v0 and "
                f"VLA-Libero-v0, actually: {env}. RoboTwin's expert plans whole episodes, and has solved every seed "
                "that VLA-RoboTwin-v0 starts from."
            )
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def step(self, action: Any) -> Any:
        """Execute the expert's action.

        Raises:
            InvalidActionError: what is given is no action of the environment, though it is not executed.
        """
        if check_numbers("action", action, InvalidActionError).shape != self.action_space.shape:
            raise InvalidActionError(
                f"Expect an action of shape {self.action_space.shape}, actually: {np.shape(action)}."
            )
        return self.env.step(self.env.unwrapped.expert().action())  # type: ignore[attr-defined]
