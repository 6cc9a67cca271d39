"""VLAPPO on RLlib's new API stack."""

from vla_envs.files import expanded

expanded("~/ray_results")  # Ray asks for it when it is imported, and does not say what is missing

from ray.tune import register_trainable  # noqa: E402

from rllib_configs.algorithm.vlappo import VLAPPO, VLAPPOConfig  # noqa: E402

__all__ = ["VLAPPO", "VLAPPOConfig"]

# For ``tune.run("VLAPPO", ...)``.
register_trainable("VLAPPO", VLAPPO)
