"""Algorithms that end with their test."""

import pytest

from tests.rllib_configs.setups import reach_config


@pytest.fixture
def build():
    """Builds algorithms and stops them after the test."""
    algorithms = []

    def build_one(config=None, **changes):
        algorithms.append((config or reach_config(**changes)).build_algo())
        return algorithms[-1]

    yield build_one
    for algorithm in algorithms:
        algorithm.stop()
