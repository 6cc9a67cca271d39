"""The Ray on which a run works: the one that ``RAY_ADDRESS`` names, or a local one."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.job_config import JobConfig

from vla_envs.errors import InvalidArgumentError
from vla_envs.processes import environment_variables, import_settings

ADDRESS = "RAY_ADDRESS"
PATIENCE = 5.0
"""Seconds in which a cluster must take a connection, and then answer."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of HTTP/2, on which gRPC and so Ray rest, begins: a server answers with its settings."""
ROOT = Path(__file__).resolve().parents[2]
"""Folder from which this package was imported, and from which workers must import it too."""
PACKAGE = __name__.partition(".")[0]


class _JobConfig(JobConfig):
    """Adds nothing to the path of workers: Ray's own puts the working directory before everything else."""

    def _runtime_env_has_working_dir(self) -> bool:
        return True


def check_address() -> None:
    """Check, without Ray, that the cluster that ``RAY_ADDRESS`` names answers: Ray itself waits for minutes.

    Raises:
        InvalidArgumentError: it does not.
    """
    address = os.environ.get(ADDRESS, "")
    if ray.is_initialized() or address in ("", "auto", "local"):
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(GREETING)
                if connection.recv(9)[3:4] != b"\4":  # the type of a frame of settings
                    raise ValueError("something else than Ray answers there")
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(_unreachable(error)) from error


def connect() -> None:
    """Connect to the cluster, or start a local one, unless that was done before.

    Raises:
        InvalidArgumentError: the cluster that ``RAY_ADDRESS`` names does not answer.
    """
    if ray.is_initialized():
        return
    script = Path(sys.argv[0]).resolve().parent
    settings = import_settings(*_package_folders(), *([script] if str(script) in sys.path else []))
    try:
        with environment_variables(settings), _unterminated():
            ray.init(
                include_dashboard=None if os.environ.get(ADDRESS) else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                job_config=_JobConfig(),
                runtime_env={"env_vars": settings},
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        if not os.environ.get(ADDRESS):
            raise
        raise InvalidArgumentError(_unreachable(error)) from error


def _package_folders() -> list[Path]:
    """The folders that workers must be told of to import this package; none where it is installed.

    A folder that they are told of comes before the standard library, whatever else lies in it.
    """
    look = f"import importlib.util; found = importlib.util.find_spec({PACKAGE!r}); print(found.origin if found else '')"
    variables = {**os.environ, **import_settings()}
    done = subprocess.run([sys.executable, "-c", look], env=variables, capture_output=True, text=True, check=False)
    return [] if done.stdout.strip() == str(ROOT / PACKAGE / "__init__.py") else [ROOT]


@contextmanager
def _unterminated() -> Iterator[None]:
    """Have no SIGTERM or SIGHUP reach this process for a while, and none the processes that it starts meanwhile.

    Whoever ends a run often signals all of its processes. Those of Ray must not end before the run has its checkpoint,
    and they end with it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)  # Ray has put its own in place, which aborts
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unreachable(error: Exception) -> str:
    reason = str(error).partition("\n")[0]
    return (
        f"Expect {ADDRESS} to be the address of a Ray that runs, such as 10.0.0.1:6379, actually: "
        f"{os.environ[ADDRESS]!r} ({reason}). Start one there with: ray start --head, or unset {ADDRESS} to work on "
        "this machine alone."
    )
