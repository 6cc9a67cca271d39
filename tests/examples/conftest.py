"""Examples that run on LIBERO need what its own tests need."""

from tests.vla_envs.libero.conftest import libero_assets

__all__ = ["libero_assets"]
