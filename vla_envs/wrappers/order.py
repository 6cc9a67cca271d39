"""Which wrapper may stand outside which: the pairs that make no sense, each with its reason.

Wrappers know each other by name only, so that each file stays by itself. Every pair that is not
listed works; ``docs/wrappers.md`` says what the order means where both are possible.
"""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium as gym

from vla_envs.errors import InvalidArgumentError

_REWARD = "it replaces the reward, and with it what the inner wrapper made of it"
_TWICE = "the second would add nothing, or hide what the first one adds"
_TOKENS = "it needs the numbers of an action and would get tokens"

REFUSED: dict[tuple[str, str], str] = {
    ("ActionChunk", "ActionChunk"): "a chunk of chunks is one longer chunk",
    ("ActionChunk", "DiscretizeActions"): _TOKENS,
    ("ActionHistory", "ActionHistory"): _TWICE,
    ("ActionHistory", "DiscretizeActions"): _TOKENS,
    ("DiscretizeActions", "DiscretizeActions"): _TOKENS,
    ("EfficiencyReward", "EfficiencyReward"): _TWICE,
    ("EfficiencyReward", "ShapedReward"): _REWARD,
    ("EncodeInstruction", "EncodeInstruction"): _TWICE,
    ("HindsightRelabel", "HindsightRelabel"): _TWICE,
    ("NoisySuccess", "EfficiencyReward"): _REWARD,
    ("NoisySuccess", "NoisySuccess"): _TWICE,
    ("NoisySuccess", "ShapedReward"): _REWARD,
    ("PerturbObservations", "PerturbObservations"): _TWICE,
    ("ResizeImages", "StackObservations"): "it would resize every image again in each stack that it is part of",
    ("ShapedReward", "DiscretizeActions"): _TOKENS,
    ("ShapedReward", "ShapedReward"): _TWICE,
    ("StackObservations", "StackObservations"): "a stack of stacks shows every frame several times",
    ("TokenizeInstruction", "TokenizeInstruction"): _TWICE,
}
"""(outer, inner) -> why the outer wrapper cannot stand outside the inner one, wherever that is."""


def check_order(outer: gym.Wrapper, env: gym.Env) -> None:
    """Raise where ``outer`` must not be put around ``env``, which may be wrapped several times.

    Raises:
        InvalidArgumentError: naming both wrappers, the reason and what to do instead.
    """
    name = type(outer).__name__
    for inner in wrappers_of(env):
        reason = REFUSED.get((name, inner))
        if reason is None:
            continue
        mend = "apply it once" if name == inner else f"put {name} inside {inner}"
        raise InvalidArgumentError(f"Expect {name} not to be outside {inner}: {reason}. Instead, {mend}.")


def wrappers_of(env: gym.Env) -> Iterator[str]:
    """Names of the wrappers around an environment, from the outermost to the innermost.

    >>> env = gym.make("vla_envs:VLA-Tabletop-v0", task_id=0)
    >>> list(wrappers_of(env))
    ['OrderEnforcing', 'PassiveEnvChecker']
    """
    while isinstance(env, gym.Wrapper):
        yield type(env).__name__
        env = env.env
