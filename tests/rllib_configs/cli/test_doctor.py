"""``vla doctor``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_configs.cli import main

ROOT = Path(__file__).resolve().parents[3]


def test_it_runs_where_nothing_else_does(tmp_path):
    """Without a simulator, an extra or assets: every section, no traceback, exit status 1."""
    blocked = ["tyro", "rich", "ray", "torch", "pydantic", "mujoco", "robosuite", "bddl", "libero", "cv2", "numba"]
    code = (
        f"import os, sys; sys.modules.update(dict.fromkeys({blocked}));"
        f"os.environ['VLA_LIBERO_ASSETS'] = '{tmp_path}/a';"
        "from rllib_configs.cli import main; sys.exit(main(['doctor']))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    for line in ("versions", "renderer", "assets", "fingerprints", "problems"):
        assert line in run.stdout.splitlines()
    assert "The LIBERO package is not installed" in run.stdout
    assert f"There are no LIBERO assets at {tmp_path}/a" in run.stdout


@pytest.mark.slow
@pytest.mark.libero
def test_a_report_for_machines(capsys, libero_assets):
    """All is well but for stand-ins, if the assets have some."""
    status = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["assets"]["folder"] == str(libero_assets)
    assert report["versions"]["mujoco"] == "3.3.7"
    assert report["fingerprints"]["rollout"]["value"] == report["fingerprints"]["rollout"]["expected"]
    assert status == bool(report["assets"]["stand_ins"]) == len(report["problems"])
