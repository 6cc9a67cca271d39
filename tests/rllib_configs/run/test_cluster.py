"""The Ray of a run: reached early, and with workers that import nothing from the working directory."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import ray

from rllib_configs.run import cluster
from rllib_configs.run.cluster import check_address
from vla_envs.errors import InvalidArgumentError


@pytest.fixture
def no_ray(monkeypatch):
    """None runs in this process."""
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)


@pytest.fixture
def closed_port():
    """One that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "127.0.0.1", "127.0.0.1:99999", "nonsense"])
def test_an_address_without_a_ray_is_named_at_once(monkeypatch, closed_port, form):
    """Ray itself would ask it again and again for minutes, after the initial policy was made and evaluated."""
    monkeypatch.setenv("RAY_ADDRESS", form.format(closed_port))
    with pytest.raises(InvalidArgumentError, match=r"RAY_ADDRESS to be .*actually: '.*ray start --head, or unset"):
        check_address()


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(("answer", "reason"), [(None, "timed out"), (b"SSH-2.0-Open", "something else than Ray")])
def test_what_takes_connections_and_is_no_ray_is_named_too(monkeypatch, answer, reason):
    """Where nobody answers, Ray itself would wait for minutes, print traces and end the process."""
    monkeypatch.setattr(cluster, "PATIENCE", 0.2 if answer is None else 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        if answer is not None:
            pool.submit(lambda: server.accept()[0].sendall(answer))
        with pytest.raises(InvalidArgumentError, match=f"RAY_ADDRESS to be .*{reason}"):
            check_address()


@pytest.mark.usefixtures("local_ray")
def test_a_ray_is_left_to_ray(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    check_address()


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("address", [None, "", "auto", "local"])
def test_no_address_is_none_to_reach(monkeypatch, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    check_address()


PROBE = """
import os, signal, sys
import ray
from rllib_configs.run.cluster import connect

def handler(*_):
    print("handled", flush=True)

signal.signal(signal.SIGTERM, handler)
connect()
assert signal.getsignal(signal.SIGTERM) is handler

@ray.remote
def look():
    import colorsys, queue  # colorsys is imported by nothing else
    import rllib_configs
    return sys.path, os.getcwd(), colorsys.__file__, signal.pthread_sigmask(signal.SIG_BLOCK, ())

path, folder, colors, blocked = ray.get(look.remote())
assert folder == os.getcwd(), folder
assert folder not in path and "" not in path, path
assert not colors.startswith(folder), colors
assert signal.SIGTERM in blocked
os.kill(os.getpid(), signal.SIGTERM)
"""
HOSTILE = "import pathlib; pathlib.Path(__file__).with_name('executed').touch()"


def test_the_folder_of_an_installed_package_is_not_named(monkeypatch):
    """Processes would import whatever lies in it before the standard library, and people start runs in there."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    look = "import importlib.util as util; print(util.find_spec('rllib_configs').origin)"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False, cwd="/")
    installed = found.stdout.strip() == str(cluster.ROOT / "rllib_configs" / "__init__.py")
    assert cluster._package_folders() == ([] if installed else [cluster.ROOT])


@pytest.mark.slow
def test_workers_import_nothing_from_the_working_directory(tmp_path, monkeypatch):
    """Where anyone may have put a file that is named like a module, whatever PYTHONPATH is; and signals stay ours."""
    for name in ("queue", "json", "torch", "colorsys", "pickle", "socket", "asyncio"):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "probe.py"
    script.write_text(f"import sys; sys.path[:] = [{str(cluster.ROOT)!r}, *filter(None, sys.path)]\n{PROBE}")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", "")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
    assert not list(tmp_path.rglob("executed"))
