"""Environments of a group in processes of their own, which are replaced when they die or hang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vla_envs.arguments import check_integer, check_mapping, check_sequence
from vla_envs.errors import InvalidArgumentError
from vla_envs.group.groups import EnvFns, LocalSubEnvs, SubEnvs
from vla_envs.group.workers.sub_envs import WorkerSubEnvs

__all__ = ["WorkerSubEnvs", "make_sub_envs"]


def make_sub_envs(
    env_fns: EnvFns, num_workers: int, worker_timeout: float, worker_env: Sequence[Mapping[str, str]] | None
) -> SubEnvs:
    """The environments in ``num_workers`` processes, or in this one for 0.

    Raises:
        InvalidArgumentError: ``worker_env`` without a worker, or arguments that :class:`WorkerSubEnvs` refuses.
    """
    if check_integer("num_workers", num_workers, 0):
        given = () if worker_env is None else check_sequence("worker_env", worker_env)
        variables = [check_mapping("worker_env", each) for each in given]
        return WorkerSubEnvs(env_fns, num_workers, worker_timeout, variables)
    if worker_env is not None:
        raise InvalidArgumentError(
            f"Expect `num_workers` to be at least 1 where `worker_env` is given, actually: {num_workers}."
        )
    return LocalSubEnvs(env_fns)
