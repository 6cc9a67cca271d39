"""The LIBERO benchmark: its arithmetic, and its processes with real environments."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from gymnasium.error import DependencyNotInstalled

from benchmarks.side_by_side.measure import check_positions, episodes
from benchmarks.side_by_side.process import Cost, Memory, Task, Worker
from benchmarks.side_by_side.table import print_costs, print_memory, ratios, spread
from vla_envs.errors import MissingAssetsError, WorkerError
from vla_envs.libero import official
from vla_envs.libero.assets import find_assets

TASK = Task("libero_spatial", 0)


@pytest.fixture
def installed() -> None:
    """Skips without LIBERO or its assets."""
    try:
        official.check_installed()
        find_assets()
    except (DependencyNotInstalled, MissingAssetsError) as error:
        pytest.skip(str(error))


def test_spread_has_the_median_and_the_quartiles():
    assert spread([1.0, 2.0, 3.0, 4.0, 50.0]) == "3.00 [2.00, 4.00]"
    assert spread([4000.0, 5000.0, 6000.0]) == "5,000 [4,500, 5,500]"


def test_a_ratio_relates_the_same_repetition():
    """A machine that slows down by half between two repetitions changes no ratio."""
    ours, official = [Cost(1.0, 2.0), Cost(2.0, 4.0)], [Cost(3.0, 8.0), Cost(6.0, 16.0)]
    assert ratios(official, ours, "cpu") == [3.0, 3.0]
    assert ratios(official, ours, "wall") == [4.0, 4.0]


def test_costs_are_printed_in_milliseconds_per_part_and_relative_to_the_first_row(capsys):
    print_costs("chunk", {"ours": [Cost(0.2, 0.4)], "official": [Cost(1.6, 1.6)]}, parts=8)
    _, ours, official, *_ = capsys.readouterr().out.splitlines()
    assert " ".join(ours.split()) == "ours 25.0 [25.0, 25.0] 50.0 [50.0, 50.0] 1 1"
    assert " ".join(official.split()).endswith("8.00 [8.00, 8.00] 4.00 [4.00, 4.00]")


def test_memory_is_printed_relative_to_the_first_row(capsys):
    print_memory("memory", {"official": Memory(1000, 900, 800), "ours": Memory(500, 450, 200)})
    assert capsys.readouterr().out.splitlines()[2].split() == [
        "ours",
        "500",
        "(0.50)",
        "450",
        "(0.50)",
        "200",
        "(0.25)",
    ]


def test_environments_that_did_something_else_are_noticed():
    check_positions({"ours": (0.0, 0.0, 1.0), "official": (0.0, 0.0005, 1.0)})
    with pytest.raises(RuntimeError, match="did not do the same"):
        check_positions({"ours": (0.0, 0.0, 1.0), "official": (0.0, 0.01, 1.0)})


@pytest.mark.libero
@pytest.mark.usefixtures("installed")
def test_a_worker_that_cannot_start_says_why():
    with Worker("ours", Task("libero_nowhere", 0), ()) as worker, pytest.raises(WorkerError, match="UnknownSuiteError"):
        worker.call("reset", 0)


@pytest.mark.slow
@pytest.mark.libero
@pytest.mark.usefixtures("installed")
def test_floor_ours_and_official_do_the_same():
    """``episodes`` raises otherwise; every cost is that of the work it names."""
    names = ("floor", "ours", "stepwise", "official")
    with ExitStack() as stack:
        costs = episodes([stack.enter_context(Worker(name, TASK, ())) for name in names], repetitions=1)
    assert set(costs) == {(method, name) for method in ("reset", "chunk") for name in names} | {("again", "ours")}
    assert all(len(rows) == 1 and min(rows[0]) > 0 for rows in costs.values())


@pytest.mark.slow
@pytest.mark.libero
@pytest.mark.usefixtures("installed")
def test_memory_is_that_of_the_process():
    with Worker("ours", TASK, ()) as worker:
        worker.call("reset", 0)
        memory = worker.memory()
    assert 50 < memory.uss <= memory.pss <= memory.rss
