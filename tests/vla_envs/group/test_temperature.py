"""Temperature schedules."""

import numpy as np
import pytest

from vla_envs.group import temperature_schedule


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [0.6]),
        (2, [0.6, 0.9]),
        (3, [0.6, 0.75, 0.9]),
        (4, [0.6, 0.7, 0.8, 0.9]),
        (5, [0.6, 0.675, 0.75, 0.825, 0.9]),
    ],
)
def test_table(n, expected):
    """Endpoint-inclusive, and the base alone for one trajectory."""
    np.testing.assert_allclose(temperature_schedule(n), expected, rtol=1e-6)


@pytest.mark.parametrize("arguments", [(0,), (3, 0.0), (3, -1.0), (3, 0.6, -0.1)])
def test_impossible_schedules_are_refused(arguments):
    """No trajectory, no temperature or a falling schedule."""
    with pytest.raises(ValueError, match="actually"):
        temperature_schedule(*arguments)
