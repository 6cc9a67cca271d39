"""How something is evaluated."""

from typing import get_args

import pytest

from rllib_configs.config import EnvironmentConfig, Measurement, Sweep
from rllib_configs.config.assessment import ProtocolName
from vla_envs.errors import InvalidArgumentError, UnknownSuiteError
from vla_envs.libero.protocols import PROTOCOLS


def test_every_protocol_can_be_named():
    """The options list them for the command line."""
    assert get_args(ProtocolName) == tuple(PROTOCOLS)


def test_a_protocol_decides_the_world_and_leaves_what_the_policy_observes():
    """Settings that a run has trained with are no part of it."""
    environment = EnvironmentConfig(
        id="VLA-Libero-v0",
        image_size=64,
        cameras=("agentview", "wrist"),
        chunk_size=8,
        env_kwargs={"suite": "libero_object", "render_quality": "fastest"},
        wrappers=("EfficiencyReward()",),
    )
    followed = Measurement(environment=environment).following("rlinf", "libero_goal")
    assert followed.environment == EnvironmentConfig(
        id="VLA-Libero-v0",
        image_size=256,
        cameras=("agentview", "wrist"),
        chunk_size=8,
        max_episode_steps=320,
        env_kwargs={"suite": "libero_goal", "settle_steps": 15},
    )
    assert (followed.split, followed.protocol) == ("all", "rlinf")


def test_a_protocol_knows_liberos_suites_alone():
    with pytest.raises(UnknownSuiteError, match="actually: 'tabletop'"):
        Measurement().following("openvla", "tabletop")


def test_severities_of_nothing_are_refused():
    """They would have no effect."""
    with pytest.raises(InvalidArgumentError, match="`severities` with `perturb` alone"):
        Sweep(severities=(0.3,))


@pytest.mark.parametrize("severities", [(0.0,), (1.5,), (-1.0,)])
def test_severities_are_above_nothing_and_at_most_all(severities):
    """The unperturbed episodes are there anyway."""
    with pytest.raises(InvalidArgumentError, match="`severities`"):
        Sweep(perturb=("light",), severities=severities)
