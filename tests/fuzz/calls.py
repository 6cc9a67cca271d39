"""Calls of what is public with arguments that no caller should give."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import json
import random
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator

from policies.options import Options
from policies.tiny import TinyConfig
from rllib_configs.cli import main
from rllib_configs.cli.train import parse_experiment
from rllib_configs.config import Experiment, OpenVLAConfig
from rllib_configs.presets import PRESETS
from tests.fuzz.damage import edited
from tests.fuzz.functions import FUNCTIONS, Arguments
from tests.fuzz.harness import Case, Kind, MisreadError
from tests.fuzz.values import TEXTS, shown, wrong_value
from tests.vla_envs.robotwin.fake_checkout import write_checkout
from vla_envs import errors, group, spec, wrappers
from vla_envs.base import VLAEnv
from vla_envs.group import GroupVectorEnv, VoteConfig

_ANY = {"max_episode_steps": 5, "image_size": 16, "split": "all", "render_mode": None}
ENVIRONMENTS: dict[str, Arguments] = {
    "VLA-Tabletop-v0": {**_ANY, "task_id": 0, "cameras": ("agentview", "wrist"), "render_mode": "rgb_array"},
    "VLA-Libero-v0": {
        **_ANY,
        **{"suite": "libero_spatial", "task_id": 0, "cameras": ("agentview",), "assets": None},
        "render_quality": "fastest",
    },
    "VLA-RoboTwin-v0": {
        **_ANY,
        **{"task": "stack_blocks_two", "task_id": None, "root": "checkout", "embodiment": None, "cameras": ("head",)},
        **{"shader": "auto", "task_config": "demo_clean", "chunk": "sequential", "instructions": "unseen"},
        **{"seeds": None, "step_limit": "upstream", "shadows": None, "timeout": 60.0},
    },
    "VLA-Text-v0": {
        **{"questions": "sums", "digits": 2, "num_questions": 50, "skipped": 0, "errors": None},
        **{"eval_questions": None, "tokenizer": None, "task_id": 0, "split": "train"},
        **{"max_episode_steps": 10, "render_mode": "ansi"},
    },
}
"""Id -> keywords of the environment, all of them."""
WRAPPERS: dict[str, Arguments] = {
    "ActionChunk": {"chunk_size": 2, "flat": False},
    "ActionHistory": {"length": 3},
    "DiscretizeActions": {},
    "EfficiencyReward": {},
    "EncodeInstruction": {},
    "HindsightRelabel": {},
    "NoisySuccess": {"p": 0.5},
    "PerturbObservations": {
        **dict.fromkeys(("camera", "light", "noise", "instruction", "initial_pose"), True),
        "severity": 0.5,
    },
    "RecordTrajectory": {"folder": "recorded", "format": "hdf5"},
    "ResizeImages": {"size": 20},
    "ShapedReward": {"weights": {"reward": 1.0, "energy": 0.1, "steps": 0.1}, "dims": [0, 1, 2]},
    "StackObservations": {"length": 2, "keys": ["state"]},
    "TokenizeInstruction": {"length": 8},
}
"""Class of ``vla_envs.wrappers`` -> keywords."""
GROUPS: Arguments = {
    **{"num_envs": 4, "group_size": 2, "mode": "lockstep", "vote": None, "prompts": [(0, 0), (0, 1)]},
    **{"temperatures": [0.5, 1.0], "num_workers": 0, "worker_timeout": 30.0, "worker_env": None},
}
"""Keywords of groups, beside those of the environment; what `wrap` raises is its own."""


def wrong_call(rng: random.Random, name: str, function: Callable[..., object], arguments: Arguments) -> Case:
    """A call with one argument or two that it should not have."""
    wrong = rng.sample(list(arguments), min(len(arguments), rng.choice([1, 1, 2])))
    given = arguments | {each: wrong_value(rng, arguments[each]) for each in wrong}
    described = ", ".join(f"{each}={shown(given[each])}" for each in wrong)
    return Case(f"{name}({described})", lambda: function(**given))


def function(rng: random.Random, folder: Path) -> Case:
    """A function that depends on nothing but its arguments."""
    name = rng.choice(list(FUNCTIONS))
    call, arguments = FUNCTIONS[name]
    return wrong_call(rng, name, lambda **given: check_finite(call(**given)), arguments())


def constructor(rng: random.Random, folder: Path) -> Case:
    """An environment; not by ``gymnasium.make``, whose own arguments are Gymnasium's to refuse."""
    env_id = _any_id(rng)
    create = load_env_creator(gym.spec(env_id).entry_point)
    return wrong_call(rng, env_id, lambda **given: check_made(create(**given)), ENVIRONMENTS[env_id])


def wrapper(rng: random.Random, folder: Path) -> Case:
    """An environment in a wrapper."""
    name = rng.choice([each for each, kwargs in WRAPPERS.items() if kwargs])
    wrap = getattr(wrappers, name)
    arguments = copy.deepcopy(WRAPPERS[name])
    return wrong_call(rng, name, lambda **given: check_made(wrap(_make("VLA-Tabletop-v0"), **given)), arguments)


def reset(rng: random.Random, folder: Path) -> Case:
    """The start of an episode; the environment can be used after it, whatever it was."""
    name, env = _any_kept(rng)
    valid = {
        **{"task_id": 0, "init_state_id": 3},
        **{"gripper_offset": [0.01, 0.0, 0.0], "camera_offset": [0.1, 0.0, 1.0, 1.0]},
    }
    known = getattr(env.unwrapped, "reset_options", ())
    options = {key: value for key, value in valid.items() if key in known and rng.random() < 0.5}

    def tried(seed: Any, **given: Any) -> None:
        try:
            check_start(env, env.reset(seed=seed, options=given.get("options", given)))
        finally:
            check_env(env)

    return wrong_call(rng, f"{name}.reset", tried, {"seed": 0, **rng.choice([options, {"options": options}])})


def step(rng: random.Random, folder: Path) -> Case:
    """A step, likewise."""
    name, env = _any_kept(rng)

    def tried(action: Any) -> None:
        env.reset(seed=0)
        try:
            check_step(env, env.step(action))
        finally:
            check_env(env)

    env.action_space.seed(rng.randrange(1000))
    return wrong_call(rng, f"{name}.step", tried, {"action": env.action_space.sample()})


def restored(rng: random.Random, folder: Path) -> Case:
    """An episode that goes on from a state, of which a part or all is something else."""
    name = rng.choice([each for each in ("VLA-Tabletop-v0", "VLA-Libero-v0") if _usable(each)])
    env = _kept(name)
    inner = cast(VLAEnv, env.unwrapped)
    env.reset(seed=0)
    saved = inner.save_state()
    fields = {each.name: copy.deepcopy(getattr(saved, each.name)) for each in dataclasses.fields(saved)}

    def tried(state: Any, **fields: Any) -> None:
        env.reset(seed=0)
        try:
            inner.restore_state(dataclasses.replace(state, **fields) if state is saved else state)
        finally:
            check_env(env)

    return wrong_call(rng, f"{name}.restore_state", tried, {**fields, "state": saved})


def vectors(rng: random.Random, folder: Path) -> Case:
    """Several environments, in each of the modes of ``gymnasium.make_vec``."""
    mode = rng.choice(["vector_entry_point"] * 12 + ["sync"] * 4 + ["async"])
    own = GROUPS if mode == "vector_entry_point" else {}
    arguments = {**own, "task_id": 0, "cameras": (), "split": "all"}
    some = {name: value for name, value in arguments.items() if rng.random() < 0.9 or name in ("num_envs", "cameras")}

    def make(num_envs: Any = 2, **given: Any) -> None:
        envs = gym.make_vec("VLA-Tabletop-v0", num_envs, vectorization_mode=mode, max_episode_steps=5, **given)
        with contextlib.closing(envs):
            check_vector(envs)

    return wrong_call(rng, f"make_vec in mode {mode}", make, some)


def groups(rng: random.Random, folder: Path) -> Case:
    """Methods of groups, which can be used after it."""
    mode = rng.choice(["lockstep", "hold"])
    envs = _kept_groups(mode)
    calls: dict[str, tuple[Callable[..., Any], Arguments]] = {
        "reset": (envs.reset, {"seed": 0, "options": {"task_id": 0, "init_state_id": 1}}),
        "step": (envs.step, {"actions": np.zeros((4, 7), np.float32)}),
        "reset_to": (envs.reset_to, {"starts": [group.GroupStart(3, 0, spec.Prompt(0, 1))]}),
        "reset_to a start": (
            lambda **start: envs.reset_to([group.GroupStart(**start)]),
            {"group_id": 3, "seed": 0, "prompt": spec.Prompt(0, 1)},
        ),
    }
    name = rng.choice(list(calls))
    call, arguments = calls[name]

    def tried(**given: Any) -> None:
        envs.reset(seed=0)
        try:
            check_in(envs.observation_space, call(**given)[0])
        finally:
            check_vector(envs)

    return wrong_call(rng, f"groups in {mode}.{name}", tried, arguments)


def spec_json(rng: random.Random, folder: Path) -> Case:
    """An environment and its wrappers from JSON that somebody has edited."""
    name, env = _any_kept(rng)
    content = json.loads(cast(EnvSpec, env.spec).to_json())
    places = [content["kwargs"], *(each["kwargs"] for each in content["additional_wrappers"] if each["kwargs"])]
    place = rng.choice(places)
    key = rng.choice([each for each in place if each != "render_mode"])  # which Gymnasium looks at first
    place[key] = edited(rng, place[key])
    text = json.dumps(content)
    described = f"{name} from JSON with {key}={shown(place[key])}"
    return Case(described, lambda: check_made(gym.make(EnvSpec.from_json(text))))


def options(rng: random.Random, folder: Path) -> Case:
    """Options of a class; those that are accepted come back from JSON."""
    kind = rng.choice(_options_classes())

    def read_again(**given: Any) -> None:
        made = kind(**given)
        if kind.from_fields(json.loads(made.to_json())) != made:
            raise MisreadError("JSON does not give the same options again")

    return wrong_call(rng, kind.__name__, read_again, {each: getattr(kind(), each) for each in _names(kind())})


def command(rng: random.Random, folder: Path) -> Case:
    """A command line."""
    parts = {name: getattr(Experiment(), name) for name in _names(Experiment())}
    flags = [
        f"--{name}" + (f".{inner}" if inner else "")
        for name, part in parts.items()
        for inner in (_names(part) if isinstance(part, Options) else [""])
    ]
    values = [*(each for each in TEXTS if isinstance(each, str)), "1e400", "9" * 5000, "--", "policy:openvla"]
    words = [rng.choice([rng.choice(flags).replace("_", "-"), rng.choice(values)]) for _ in range(rng.randrange(1, 5))]
    nowhere = f"/nowhere/{rng.choice(values)}"[:200]
    commands: Mapping[str, Callable[[], object]] = {
        "train": lambda: parse_experiment(rng.choice([*PRESETS, "nonsense"]), words),
        "train --resume": lambda: main(["train", "--resume", nowhere, *words]),
        "evaluate": lambda: main(["evaluate", nowhere, *words]),
        "assets": lambda: main(["assets", "libero", "--from", nowhere]),
        "seeds": lambda: main(["seeds", rng.choice([*values, "stack_blocks_two"]), "--root", nowhere, *words]),
    }
    name = rng.choice(list(commands))

    def run() -> None:
        said, code = io.StringIO(), None
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                code = commands[name]()
            except SystemExit as end:  # the parser's own way to refuse
                code = end.code
        if "Traceback" in said.getvalue():
            raise MisreadError(said.getvalue())
        if code in (1, 2) and said.getvalue():
            raise errors.InvalidArgumentError(said.getvalue()[:300])  # a parser repeats all that it was given
        assert not code, code

    return Case(f"vla {name} {shown(words)} {shown(nowhere)}", run)


@cache
def _options_classes() -> tuple[type[Options], ...]:
    parts = [getattr(Experiment(), name) for name in _names(Experiment())]
    return (Experiment, TinyConfig, OpenVLAConfig, *(type(each) for each in parts if isinstance(each, Options)))


def _names(options: Any) -> list[str]:
    return [each.name for each in dataclasses.fields(options)]


@cache
def _usable(env_id: str) -> bool:
    """Whether an environment of this id can be made here; the fake checkout needs the extra, LIBERO its assets."""
    try:
        if env_id == "VLA-RoboTwin-v0":
            write_checkout(Path("checkout"))
        _kept(env_id)
    except (gym.error.DependencyNotInstalled, errors.MissingAssetsError, errors.RendererUnavailableError):
        return False
    return True


def _make(env_id: str, **kwargs: Any) -> gym.Env:
    return gym.make(env_id, disable_env_checker=True, **{**ENVIRONMENTS[env_id], **kwargs})


def _any_id(rng: random.Random) -> str:
    """Most often the one that takes the least time."""
    (env_id,) = rng.choices(list(ENVIRONMENTS), (8, 3, 1, 3))
    return env_id if _usable(env_id) else "VLA-Tabletop-v0"


@cache
def _kept(name: str) -> gym.Env:
    """An environment that goes on from case to case, bare or in a wrapper."""
    if name in ENVIRONMENTS:
        return _make(name)
    env = _make("VLA-Tabletop-v0", task_id=None)  # of several tasks, which HindsightRelabel needs
    return getattr(wrappers, name)(env, **copy.deepcopy(WRAPPERS[name]))


def _any_kept(rng: random.Random) -> tuple[str, gym.Env]:
    name = rng.choice([_any_id(rng), rng.choice(list(WRAPPERS))])
    return name, _kept(name)


@cache
def _kept_groups(mode: str) -> GroupVectorEnv:
    env_fns = [lambda: _make("VLA-Tabletop-v0", cameras=())] * 4
    return GroupVectorEnv(env_fns, 2, mode, VoteConfig(2, 2) if mode == "lockstep" else None)


def check_made(env: gym.Env) -> None:
    """What was made plays, and is closed."""
    with contextlib.closing(env):
        check_env(env)


def check_env(env: gym.Env) -> None:
    """An environment keeps to its contract, for an episode's start and a step."""
    check_start(env, env.reset(seed=0))
    check_step(env, env.step(env.action_space.sample()))


def check_start(env: gym.Env, started: tuple[Any, dict[str, Any]]) -> None:
    """What ``reset`` returned."""
    check_in(env.observation_space, started[0])
    if not set(spec.INFO_KEYS) <= started[1].keys():
        raise MisreadError(f"the info has {sorted(started[1])}")


def check_step(env: gym.Env, stepped: tuple[Any, ...]) -> None:
    """What ``step`` returned."""
    observation, reward, terminated, truncated, info = stepped
    check_start(env, (observation, info))
    if not np.isfinite(reward) or not {type(terminated), type(truncated)} <= {bool, np.bool_}:
        raise MisreadError(f"reward {reward!r}, terminated {terminated!r}, truncated {truncated!r}")


def check_vector(envs: gym.vector.VectorEnv) -> None:
    """Environments start and step, and their instructions are those of their tasks; an idle one has none."""
    observations, infos = envs.reset(seed=0)
    check_in(envs.observation_space, observations)
    for said, task in zip(observations[spec.INSTRUCTION], infos["task"], strict=True):
        if task is not None and said != task:
            raise MisreadError(f"instruction {said} of task {task}")
    observations, given, *_ = envs.step(envs.action_space.sample())
    check_in(envs.observation_space, observations)
    check_finite(given)


def check_in(space: gym.Space, observation: Any) -> None:
    """It lies in its space."""
    if not space.contains(observation):
        raise MisreadError(f"{shown(observation)} is not in {space}"[:300])


def check_finite(result: Any) -> None:
    """Every number of a result is finite."""
    values = list(result.values()) if isinstance(result, Mapping) else result
    if isinstance(values, list | tuple):
        for each in values:
            check_finite(each)
    elif not isinstance(values, range) and np.asarray(values).dtype.kind in "fc" and not np.isfinite(values).all():
        raise MisreadError(f"not finite: {shown(values)}")


KINDS = {
    "functions": Kind(function, 5),
    "constructors": Kind(constructor, 3),
    "wrappers": Kind(wrapper, 2),
    "`reset`": Kind(reset, 3),
    "`step`": Kind(step, 3),
    "`restore_state`": Kind(restored),
    "`make_vec`": Kind(vectors, 3),
    "groups": Kind(groups, 2),
    "JSON of an environment": Kind(spec_json),
    "options": Kind(options, 3),
    "command lines": Kind(command),
}
