"""The initial policy of a run: a checkpoint's, a clone of a scripted expert, or a fresh one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from policies.behavior_cloning import Demonstrations, Episode, Measurement, Source, Validation, clone, gathered, split
from policies.interface import Policy, trained_parameters
from policies.registry import load_policy
from policies.waypoint import WayPointPolicy
from rllib_configs.config import BehaviorCloning, EnvironmentConfig, Experiment, PolicyConfig
from rllib_configs.run.demonstrations import read_demonstrations
from vla_envs.base import VLAEnv
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.expert import Expert
from vla_envs.group import GroupStart, GroupVectorEnv, rollout
from vla_envs.libero import LiberoEnv
from vla_envs.robotwin import RoboTwinEnv
from vla_envs.robotwin.process import SimulationError
from vla_envs.spec import TEMPERATURE, Prompt
from vla_envs.tabletop import TabletopEnv
from vla_envs.text import TextEnv

_log = logging.getLogger(__name__)

GIVE_SOME = (
    "Give recorded ones: vla bc PRESET --demonstrations PATH, where PATH has episodes of RecordTrajectory "
    "(docs/recording.md), those of LIBERO (hf download yifengzhu-hf/LIBERO-datasets --repo-type dataset --local-dir "
    "PATH), a LeRobot dataset (hf download NAME --repo-type dataset --local-dir PATH) or what RoboTwin has collected."
)
"""Which commands make or fetch demonstrations."""
Row = tuple[dict[str, NDArray], NDArray[np.float32]]
"""An observation and the expert's next actions (n, A), 1 <= n <= K."""


def load_initial_policy(experiment: Experiment) -> Policy:
    """The policy before any cloning.

    Raises:
        InvalidArgumentError: a checkpoint made for another environment, parameters that cannot be trained, or
            demonstrations that nobody can give.
        MissingAssetsError: no checkpoint.
    """
    if experiment.clones_expert:
        check_expert(experiment.demonstrated, experiment.bc)
    torch.manual_seed(experiment.seed)
    policy = load_fitting_policy(experiment.policy, experiment.environment)
    trained_parameters(policy)  # raises where the learner would, before there is a directory
    return policy


def load_fitting_policy(config: PolicyConfig, environment: EnvironmentConfig) -> Policy:
    """A checkpoint's policy or a fresh one, which takes what the environment observes.

    Raises:
        InvalidArgumentError: a checkpoint made for another environment.
        MissingAssetsError: no checkpoint.
    """
    policy = load_policy(**config.load_keywords(environment))
    offered = environment.policy_config()
    for name, given in policy.made_for.items():
        expected = offered[name]
        if not _fits(name, given, expected):
            raise InvalidArgumentError(
                f"Expect the `{name}` of {config.path} to fit the environment's, which is {expected}, "
                f"actually: {given}."
            )
    policy.check_image_sides(environment.image_size, environment.image_size)
    return policy


def _fits(name: str, given: Any, expected: Any) -> bool:
    """Whether a policy fits: it need not look at every camera, nor reach every action."""
    if name == "image_keys":
        return set(given) <= set(expected)
    if name in ("action_low", "action_high") and given is not None and expected is not None:
        inner, outer = (expected, given) if name == "action_low" else (given, expected)
        return len(given) == len(expected) and all(map(float.__le__, inner, outer))
    return given == expected


def load_demonstrations(experiment: Experiment) -> tuple[Source, Validation | None]:
    """The experiment's demonstrations, recorded ones or those of a scripted expert: to train on, and to validate on.

    Raises:
        InvalidArgumentError: there are none, or ones that do not fit the environment.
    """
    bc = experiment.bc
    training, validating = split(_episodes(experiment), bc.validation_share, experiment.seed)
    return gathered(training, bc.buffer_rows), Validation.of(validating, bc.validation_interval, bc.patience)


def clone_demonstrations(
    policy: Policy,
    experiment: Experiment,
    demonstrations: tuple[Source, Validation | None],
    on_step: Callable[[int, float], None],
    on_validation: Callable[[Measurement], None] = lambda measurement: None,
) -> None:
    """Train the policy in place on what :func:`load_demonstrations` gave."""
    (source, validation), bc = demonstrations, experiment.bc
    if experiment.policy.path is None and isinstance(policy, WayPointPolicy) and policy.has_targets:
        policy.narrow_bounds(*source.action_range())
    clone(
        policy,
        source,
        steps=bc.steps,
        lr=bc.lr,
        final_lr=bc.final_lr,
        batch_size=bc.batch_size,
        seed=experiment.seed,
        random_shift=bc.random_shift,
        validation=validation,
        on_step=on_step,
        on_validation=on_validation,
    )


def _episodes(experiment: Experiment) -> Sequence[Episode]:
    """What gives the rows of each demonstration."""
    environment, bc = experiment.demonstrated, experiment.bc
    if bc.demonstrations is not None:
        return read_demonstrations(environment, bc.demonstrations)
    assert environment.chunk_size is not None
    return [partial(_stack, rows, environment.chunk_size) for rows in _solved(environment, bc, experiment.seed)]


def collect(environment: EnvironmentConfig, bc: BehaviorCloning, seed: int) -> Demonstrations:
    """Let the environment's expert solve training states of every task: the tabletop's under disturbances.

    Raises:
        InvalidArgumentError: an environment without a scripted expert, more demonstrations than training states, or no
            state that the expert solves.
    """
    assert environment.chunk_size is not None
    rows = [row for episode in _solved(environment, bc, seed) for row in episode]
    return _stack(rows, environment.chunk_size)


def _solved(environment: EnvironmentConfig, bc: BehaviorCloning, seed: int) -> list[list[Row]]:
    """The rows of each episode that the expert solves, at least one."""
    demonstrate = check_expert(environment, bc)
    rng = np.random.default_rng(seed)
    stage = Stage(environment, plans_ahead=demonstrate is _replay)
    with closing(stage.envs):
        prompts = _draw_prompts(stage.env, bc.demonstrations_per_task, rng)
        episodes = [rows for prompt in prompts if (rows := demonstrate(stage, prompt, bc, rng))]
    if not episodes:
        raise InvalidArgumentError(
            f"Expect training states that the scripted expert solves, actually none of "
            f"{bc.demonstrations_per_task} a task. Give it more time (--environment.max-episode-steps) or disturb it "
            "less (--bc.noise); of RoboTwin, find some with: vla seeds TASK"
        )
    return episodes


def check_expert(environment: EnvironmentConfig, bc: BehaviorCloning) -> Demonstrate:
    """How the environment's expert demonstrates; raises what :func:`collect` would before it collects."""
    with closing(environment.make("train")) as env:
        task = env.unwrapped
    if type(task) not in _EXPERTS:
        raise InvalidArgumentError(
            "Expect an environment with a scripted expert to clone, which are VLA-Tabletop-v0, VLA-Libero-v0, "
            f"VLA-RoboTwin-v0 and VLA-Text-v0, actually: {environment.id}. {GIVE_SOME} A run can also start from a "
            "checkpoint, with --policy.path, or from random weights, with --bc.demonstrations-per-task 0."
        )
    assert isinstance(task, VLAEnv)
    available = min(len(task.init_states(task_id, "train")) for task_id in task.task_ids)
    if bc.demonstrations_per_task > available:
        raise InvalidArgumentError(
            f"Expect at most {available} demonstrations per task, actually: {bc.demonstrations_per_task}."
        )
    demonstrate = _EXPERTS[type(task)]
    if demonstrate in (_replay, _recite):
        bc.check_left(("noise", "rotation_noise", "speed"), "the expert of VLA-Tabletop-v0 or VLA-Libero-v0")
    return demonstrate


class Stage:
    """One environment on which an expert acts, within the wrappers of the policy.

    Args:
        environment: the policy's.
        plans_ahead: whether the expert acts in the chunks of the policy, and may take longer than the policy is given;
            False asks it after every control step.
    """

    def __init__(self, environment: EnvironmentConfig, plans_ahead: bool) -> None:
        assert environment.chunk_size is not None
        self.chunk_size = environment.chunk_size
        if plans_ahead:
            kwargs = {key: each for key, each in environment.env_kwargs.items() if key != "step_limit"}
            environment = environment.replace(max_episode_steps=None, env_kwargs=kwargs, num_workers=0)
        else:
            environment = environment.replace(chunk_size=1, num_workers=0)
        made: list[gym.Env] = []

        def wrap(env: gym.Env) -> gym.Env:
            made.append(env.unwrapped)
            return environment.wrap(env)

        self.envs: GroupVectorEnv = environment.make_vec("train", 1, wrap)
        self.env: Any = made[-1]
        self.episodes = 0

    def run(
        self, prompt: Prompt, act: Callable[[dict[str, NDArray]], NDArray], max_actions: int | None = None
    ) -> dict[str, Any]:
        """Run an episode from ``prompt`` and return its last info.

        Args:
            prompt: where it starts.
            act: maps an observation to the next action (K, A).
            max_actions: how often ``act`` is asked at most; None goes on to the end of the episode.
        """

        def act_alone(observations: dict[str, NDArray], running: NDArray) -> tuple[NDArray, None]:
            return act({key: each[0] for key, each in observations.items() if key != TEMPERATURE})[None], None

        start = GroupStart(self.episodes, seed=self.episodes, prompt=prompt)
        self.episodes += 1
        last = None if max_actions is None else max_actions + 1  # the first transition is the reset's
        for transition in islice(rollout(self.envs, [start], act_alone), last):
            infos = transition.infos
        return infos


def _draw_prompts(env: VLAEnv, per_task: int, rng: np.random.Generator) -> Iterator[Prompt]:
    for task_id in env.task_ids:
        for state in rng.choice(env.init_states(task_id, "train"), per_task, replace=False):
            yield Prompt(task_id, int(state))


def _demonstrate(stage: Stage, prompt: Prompt, bc: BehaviorCloning, rng: np.random.Generator) -> list[Row]:
    """One row per visited state of an episode, however it ends: the tabletop's expert knows what to do in each."""
    return _disturbed(stage, prompt, bc, rng, lambda expert: expert.plan(stage.chunk_size))[0]


def _demonstrate_success(stage: Stage, prompt: Prompt, bc: BehaviorCloning, rng: np.random.Generator) -> list[Row]:
    """One row per visited state of an episode of LIBERO, none where it does not end well: its expert can fail.

    A plan from every state would simulate a chunk for each control step. So a row has what the expert answered in this
    state and in those that followed, disturbed as they are.
    """
    rows, infos = _disturbed(stage, prompt, bc, rng, lambda expert: expert.action()[None])
    if not _ends_well(infos, prompt):
        return []
    answers = np.concatenate([answer for _, answer in rows])
    return [(observation, answers[start : start + stage.chunk_size]) for start, (observation, _) in enumerate(rows)]


def _disturbed(
    stage: Stage,
    prompt: Prompt,
    bc: BehaviorCloning,
    rng: np.random.Generator,
    answer: Callable[[Expert], NDArray[np.float32]],
) -> tuple[list[Row], dict[str, Any]]:
    """The states of an episode with the expert's answer in each, (n, A), and the episode's last info.

    The first action of an answer is executed. Its motion is off by a constant that changes with every chunk, as a
    policy's errors are, so that the expert, which always answers what it would do from here, shows how to come back
    (DART, arXiv 1703.09327).
    """
    expert = stage.env.expert(bc.speed)
    rows: list[Row] = []
    error = np.zeros(stage.env.action_space.shape, np.float32)

    def act(observation: dict[str, NDArray]) -> NDArray:
        actions = answer(expert)
        if len(rows) % stage.chunk_size == 0:
            error[:3] = bc.noise * rng.standard_normal(3)
            if bc.rotation_noise:  # else nothing is drawn, so that a seed keeps its demonstrations
                error[3:6] = bc.rotation_noise * rng.standard_normal(3)
        rows.append((observation, actions))
        return (actions[0] + error)[None]

    infos = stage.run(prompt, act)
    return rows, infos


def _recite(stage: Stage, prompt: Prompt, bc: BehaviorCloning, rng: np.random.Generator) -> list[Row]:
    """One row for each question: the whole answer."""
    rows: list[Row] = []

    def act(observation: dict[str, NDArray]) -> NDArray:
        rows.append((observation, stage.env.expert().plan(stage.chunk_size)))
        return rows[-1][1][:1]

    stage.run(prompt, act, max_actions=1)
    return rows


def _replay(stage: Stage, prompt: Prompt, bc: BehaviorCloning, rng: np.random.Generator) -> list[Row]:
    """One row per chunk of an episode of RoboTwin, none where it does not end well.

    RoboTwin's expert plans whole motions ahead: they are executed again, in the chunks that the policy's actions will
    come in.
    """
    plans = _plans(stage, prompt)
    rows: list[Row] = []

    def act(observation: dict[str, NDArray]) -> NDArray:
        plan = plans[len(rows)]
        rows.append((observation, plan))
        # A chunk that is too short goes on to where it has arrived.
        return np.concatenate([plan, plan[-1:].repeat(stage.chunk_size - len(plan), axis=0)])

    return rows if _ends_well(stage.run(prompt, act, max_actions=len(plans)), prompt) else []


def _ends_well(infos: Mapping[str, Any], prompt: Prompt) -> bool:
    """Whether an episode of an expert ended with a success; says so where it did not."""
    if not infos["success"][0]:
        scene = f" (seed {infos['seed'][0]})" if "seed" in infos else ""  # RoboTwin's
        _log.warning("The expert does not solve %s%s: no demonstration.", prompt, scene)
    return bool(infos["success"][0])


def _plans(stage: Stage, prompt: Prompt) -> list[NDArray[np.float32]]:
    """The expert's actions in chunks, none where it fails: upstream passes over its exceptions as well."""
    try:
        stage.env.reset(options=prompt._asdict())
        solution = stage.env.demonstrate()
    except (SimulationError, WorkerError):
        return []
    starts = range(0, len(solution.actions), stage.chunk_size) if solution.success else ()
    return [solution.actions[start : start + stage.chunk_size] for start in starts]


Demonstrate = Callable[[Stage, Prompt, BehaviorCloning, np.random.Generator], list[Row]]
_EXPERTS: Mapping[type, Demonstrate] = {
    TabletopEnv: _demonstrate,
    LiberoEnv: _demonstrate_success,
    RoboTwinEnv: _replay,
    TextEnv: _recite,
}
"""Environment -> how its expert's episodes become rows."""


def _stack(rows: list[Row], chunk_size: int) -> Demonstrations:
    observations, plans = zip(*rows, strict=True)
    lengths = np.array([len(plan) for plan in plans])
    return Demonstrations(
        observations={key: np.stack([each[key] for each in observations]) for key in observations[0]},
        actions=np.stack([np.pad(plan, ((0, chunk_size - len(plan)), (0, 0))) for plan in plans]),
        mask=(np.arange(chunk_size) < lengths[:, None]).astype(np.float32),
    )
