"""What the tests of wrappers share."""

from tests.vla_envs.libero.conftest import libero_assets  # noqa: F401  (a fixture)
