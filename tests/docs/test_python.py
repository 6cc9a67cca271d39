"""Every Python block of the documentation is code that works."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import vla_envs  # noqa: F401  (registers the ids)
from rllib_configs import VLAPPO, VLAPPOConfig
from tests.docs.pages import PAGES, Code, blocks_of
from tests.vla_envs.libero.conftest import libero_assets  # noqa: F401  (a fixture)
from vla_envs.registration import ENVIRONMENTS, find_spec, make_groups

BLOCKS = [block for page in PAGES for block in blocks_of(page) if block.language == "python"]
READERS = {"policy", "training", "env_fns"}
"""Names that a reader brings, as the text beside the block says."""
OURS = ("vla_envs", "policies", "rllib_configs")
OF_GYMNASIUM = {"max_episode_steps", "render_mode", "vectorization_mode"}
"""Keywords that Gymnasium takes away before it makes an environment."""


def imports_of(tree: ast.Module) -> dict[str, Any]:
    """Name -> what the block imports under it; None of a package that is neither ours nor installed."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            known = node.module.startswith(OURS) or importlib.util.find_spec(node.module.partition(".")[0])
            for alias in node.names:
                found[alias.asname or alias.name] = _imported(node.module, alias.name) if known else None
    return found


def _imported(module: str, name: str) -> Any:
    """A name of a module, or a module in it."""
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(f"{module}.{name}")


def names_of(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The names that a block gives a value, and those whose value it takes."""
    given = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    given |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    given |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return given, {node.id for node in names if isinstance(node.ctx, ast.Load)}


def calls_in(tree: ast.Module, imported: dict[str, Any]) -> Iterator[tuple[Any, ast.Call]]:
    """Calls of what is imported, and what they call."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        path = ast.unparse(call.func).split(".")
        if imported.get(path[0]) is not None and all(name.isidentifier() for name in path):
            called = imported[path[0]]
            for name in path[1:]:
                called = getattr(called, name)
            yield called, call


def check_call(called: Any, call: ast.Call) -> None:
    """That it takes so many arguments of these names."""
    keywords = {each.arg: None for each in call.keywords if each.arg}
    positional = [None] * sum(not isinstance(each, ast.Starred) for each in call.args)
    if called in (gym.make, gym.make_vec):
        assert isinstance(call.args[0], ast.Constant)
        check_environment(str(call.args[0].value), set(keywords), called is gym.make_vec)
    elif not inspect.isbuiltin(called):
        inspect.signature(called).bind_partial(*positional, **keywords)


def check_environment(env_id: str, keywords: set[str], in_groups: bool) -> None:
    """That the id is registered, and its environment, or the groups of it, take the keywords."""
    entry_point = find_spec(env_id).entry_point
    assert isinstance(entry_point, str)
    module, _, name = ENVIRONMENTS[env_id][0].partition(":")
    taken = set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    if in_groups:
        taken |= set(inspect.signature(make_groups).parameters)
    assert keywords - OF_GYMNASIUM <= taken


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_a_block_says_what_there_is(block):
    """It compiles; what it imports is there, its names have a value, its calls fit what they call."""
    check([ast.parse(each.text) for each in BLOCKS if each.page == block.page and each.line <= block.line])


def check(blocks: list[ast.Module]) -> None:
    """Check the last of the blocks, for which the others stand before it."""
    imported = {name: each for block in blocks for name, each in imports_of(block).items()}
    known = set(imported).union(*(names_of(block)[0] for block in blocks), dir(builtins), READERS)
    assert names_of(blocks[-1])[1] <= known
    for called, call in calls_in(blocks[-1], imported):
        check_call(called, call)


@pytest.mark.parametrize(
    "text",
    [
        "from vla_envs import nothing",
        "from rllib_configs.experiment import PolicyConfig",
        "import gymnasium as gym\ngym.make('VLA-Libero-v0', suites='libero_goal')",
        "import gymnasium as gym\ngym.make('VLA-Nothing-v0')",
        "from rllib_configs.config import PPO\nPPO(learning_rate=1.0)",
        "from vla_envs.wrappers import ActionChunk\nActionChunk(1, 2, 3)",
        "from vla_envs import group\ngroup.vote(1)",
        "print(what)",
    ],
)
def test_a_block_that_is_wrong_is_seen(text):
    with pytest.raises((ImportError, AttributeError, TypeError, AssertionError, gym.error.Error)):
        check([ast.parse(text)])


def blocks(page: str) -> list[Code]:
    """The Python blocks of a page."""
    return [block for block in BLOCKS if block.page.name == page and block.page.parent.name != "api"]


def run(namespace: dict[str, Any], *parts: Code) -> None:
    """Run blocks one after the other, as a reader types them."""
    for block in parts:
        exec(compile(block.text, block.where, "exec"), namespace)


@pytest.mark.parametrize(
    "page",
    [
        "clients.md",
        "environments.md",
        "index.md",
        "perturbations.md",
        "policies.md",
        "tabletop.md",
        "voting.md",
        "wrappers.md",
    ],
)
def test_a_page_runs_as_it_is(page):
    """From its first block to its last."""
    run({"__name__": "page"}, *blocks(page))


def test_the_page_of_groups_runs():
    """With a policy of the reader's, until the first group has voted; worker processes are for scripts alone."""
    rng = np.random.default_rng(0)
    namespace: dict[str, Any] = {"__name__": "page"}

    class UntilAVote:
        def __bool__(self):
            return "voted_group" not in namespace["infos"]

    namespace["training"] = UntilAVote()
    namespace["policy"] = lambda observations: rng.uniform(-1, 1, (20, 8, 7)).astype(np.float32)
    voting, hold, adapting, resuming, workers = blocks("groups.md")
    run(namespace, voting, adapting, resuming, hold, workers)
    assert namespace["envs"].unwrapped.temperatures.shape == (5,)


@pytest.mark.slow
@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
@pytest.mark.parametrize("page", ["README.md", "libero.md"])
def test_a_first_block_runs_on_libero(page):
    run({"policy": lambda image, instruction: np.zeros((8, 7), np.float32)}, blocks(page)[0])


@pytest.mark.slow
def test_a_checkpoint_answers_as_the_page_says(random_checkpoint):
    """One of random weights does."""
    (block,) = blocks("openvla.md")
    text = block.text.replace("checkpoints/openvla-7b-oft-libero", str(random_checkpoint))
    namespace: dict[str, Any] = {}
    run(namespace, dataclasses.replace(block, text=text.replace("libero_spatial", "random")))
    assert namespace["actions"].shape == (1, 8, 7)


@pytest.mark.parametrize("page", ["README.md", "training.md"])
def test_an_experiment_is_one_that_tune_takes(monkeypatch, page):
    """On a machine of two cores. What Tune then does is tested with VLAPPO, by a smaller experiment."""
    configs: list[VLAPPOConfig] = []
    monkeypatch.setattr("ray.tune.run", lambda algorithm, config, stop: configs.append(config))
    run({}, blocks(page)[-1])
    (config,) = configs
    config.validate()
    assert VLAPPO.default_resource_request(config).required_resources["CPU"] <= 2
