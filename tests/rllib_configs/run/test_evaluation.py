"""Greedy evaluation on held-out initial states."""

import dataclasses
from collections import Counter
from contextlib import closing

import pytest

from policies.registry import load_policy
from rllib_configs.config import EnvironmentConfig, TinyPolicyConfig
from rllib_configs.run.actors import greedy
from rllib_configs.run.evaluation import (
    Episode,
    evaluate,
    held_out_prompts,
    provenance,
    success_rate,
)
from tests.rllib_configs import unlucky
from tests.rllib_configs.seeker import ENVIRONMENT, Seeker
from tests.vla_envs.robotwin.fake_checkout import write_checkout
from vla_envs.errors import InvalidArgumentError, WorkerError
from vla_envs.robotwin import RoboTwinEnv
from vla_envs.spec import Prompt

TABLETOP = EnvironmentConfig(task_id=(2, 5, 7), image_size=16)


@pytest.mark.parametrize("split", ["train", "all"])
def test_a_split_with_training_states_is_refused(split):
    """The error says how to insist."""
    with pytest.raises(InvalidArgumentError, match=rf"(?s)'{split}'.*--train-ok"):
        held_out_prompts(TABLETOP, split, 4)


def test_a_training_split_can_be_insisted_on():
    """It then gives training states."""
    prompts = held_out_prompts(TABLETOP, "train", 9, train_ok=True)
    assert {prompt.init_state_id for prompt in prompts} == {0, 1, 2}


def test_prompts_are_never_seen_in_training():
    """None takes all of them."""
    prompts = held_out_prompts(TABLETOP)
    assert len(prompts) == len(set(prompts)) == 150
    train = TABLETOP.make("train").unwrapped.init_states(0, "train")
    assert not {prompt.init_state_id for prompt in prompts} & set(train)


@pytest.mark.parametrize("count", [1, 3, 7, 30])
def test_prompts_are_spread_evenly_over_the_tasks(count):
    """No task has two more than another."""
    prompts = held_out_prompts(TABLETOP, "eval", count)
    of_task = Counter(prompt.task_id for prompt in prompts)
    assert len(prompts) == count
    assert max(of_task.values()) - min(of_task[task] for task in (2, 5, 7)) <= 1


def test_prompts_are_the_same_at_every_call():
    """And fewer are the first of more, so that curve and table agree."""
    prompts = held_out_prompts(TABLETOP, "eval", 20)
    assert held_out_prompts(TABLETOP, "eval", 20) == prompts
    assert held_out_prompts(TABLETOP, "eval", 8) == prompts[:8]


@pytest.mark.parametrize("count", [0, -1, 151])
def test_only_so_many_episodes_can_be_had(count):
    """The error names their number; a negative one would quietly drop the last prompts."""
    with pytest.raises(InvalidArgumentError, match=f"`num_episodes` to be 1 to 150.*actually: {count}"):
        held_out_prompts(TABLETOP, "eval", count)


@pytest.mark.parametrize(("count", "num_envs"), [(7, 3), (6, 3), (2, 8), (1, 1)])
def test_every_prompt_is_evaluated_once(count, num_envs):
    """Also where the environments do not divide the prompts."""
    prompts = held_out_prompts(ENVIRONMENT, "eval", count)
    episodes = evaluate(greedy(Seeker()), ENVIRONMENT, prompts, num_envs)
    assert Counter(Prompt(each.task_id, each.init_state_id) for each in episodes) == Counter(prompts)


def test_episodes_are_in_the_order_of_their_prompts():
    """So that before and after can be compared one by one."""
    prompts = held_out_prompts(ENVIRONMENT, "eval", 7)
    episodes = evaluate(greedy(Seeker()), ENVIRONMENT, prompts, 3)
    assert [Prompt(each.task_id, each.init_state_id) for each in episodes] == prompts


def test_episodes_say_how_they_ended():
    """A policy that goes to the white square solves the task of that name, and sometimes the other."""
    prompts = held_out_prompts(ENVIRONMENT, "eval", 20)
    episodes = evaluate(greedy(Seeker()), ENVIRONMENT, prompts, 4)
    white = [each for each in episodes if each.task == "reach the white square"]
    gray = [each for each in episodes if each.task == "reach the gray square"]
    assert len(white) == len(gray) == 10
    assert success_rate(white) == 1.0
    assert all(0 < each.steps < each.max_steps == 12 for each in white)
    assert success_rate(gray) < 0.5
    assert all(each.steps == 12 for each in gray if not each.success)


def test_evaluation_is_the_same_at_every_call():
    """However many environments work side by side."""
    prompts = held_out_prompts(ENVIRONMENT, "eval", 8)
    expected = evaluate(greedy(Seeker()), ENVIRONMENT, prompts, 1)
    assert evaluate(greedy(Seeker()), ENVIRONMENT, prompts, 5) == expected


def test_episodes_that_have_ended_cost_no_forward_pass():
    """The policy is asked once per chunk of a running episode."""
    policy = Seeker()
    episodes = evaluate(greedy(policy), ENVIRONMENT, held_out_prompts(ENVIRONMENT, "eval", 7), 4)
    assert policy.timesteps == sum(-(-each.steps // 2) for each in episodes)


def test_a_prompt_with_a_fault_is_run_again(faults):
    """Until it shows what the policy does there."""
    prompts = held_out_prompts(unlucky.ENVIRONMENT, "eval", 4)
    unlucky.add_faults(faults, 2, prompts[2])
    episodes = evaluate(greedy(Seeker()), unlucky.ENVIRONMENT, prompts, 2)
    assert not list(faults.iterdir())
    assert episodes == evaluate(greedy(Seeker()), unlucky.LUCKY, prompts, 2)


def test_a_prompt_without_a_valid_episode_is_no_failure(faults, caplog):
    """It is named apart, and the others keep their order."""
    prompts = held_out_prompts(unlucky.ENVIRONMENT, "eval", 4)
    unlucky.add_faults(faults, 3, prompts[1])
    episodes = evaluate(greedy(Seeker()), unlucky.ENVIRONMENT, prompts, 2)
    expected = evaluate(greedy(Seeker()), unlucky.LUCKY, prompts, 2)
    assert episodes == [expected[0], *expected[2:]]
    assert f"{prompts[1]} gave no valid episode in 3 attempts" in caplog.text


def test_an_evaluation_without_an_episode_is_an_error(faults):
    """There is no rate of nothing."""
    prompts = held_out_prompts(unlucky.ENVIRONMENT, "eval", 1)
    unlucky.add_faults(faults, 3, prompts[0])
    with pytest.raises(WorkerError, match=r"None of the 1 prompts.*3 attempts"):
        evaluate(greedy(Seeker()), unlucky.ENVIRONMENT, prompts, 1)


def test_success_rate_is_a_share():
    """Of all episodes."""
    episode = Episode("task", 0, 1, True, 5, 10)
    assert success_rate([episode, *[dataclasses.replace(episode, success=False)] * 3]) == 0.25


@pytest.mark.libero
@pytest.mark.usefixtures("libero_assets")
def test_results_say_what_they_rest_on():
    """Versions, stand-ins and the quality of the images, where the environment has them."""
    rests_on = provenance(EnvironmentConfig(id="VLA-Libero-v0", task_id=0, env_kwargs={"render_quality": "fast"}))
    assert rests_on["versions"]["mujoco"] == "3.3.7"
    assert rests_on["render_quality"] == "fast"
    assert "stand_ins" in rests_on


def test_without_a_simulator_of_its_own_results_rest_on_the_id():
    assert provenance(EnvironmentConfig()) == {"id": "VLA-Tabletop-v0"}


def test_every_episode_has_the_seed_of_its_own_scene(tmp_path):
    """Also one that ends while others go on, whose environment tells no seed any more at the last step."""
    pytest.importorskip("yaml", reason="the extra robotwin is not installed")
    root = write_checkout(tmp_path / "checkout")
    tasks = ["stack_blocks_two", "click_bell"]
    environment = EnvironmentConfig(
        id="VLA-RoboTwin-v0",
        cameras=("head",),
        image_size=16,
        chunk_size=50,
        env_kwargs={"root": str(root), "task": tasks, "chunk": "spline"},
    )
    prompts = held_out_prompts(environment, num_episodes=4)
    policy = load_policy(**TinyPolicyConfig().load_keywords(environment)).eval()
    episodes = evaluate(greedy(policy), environment, prompts, num_envs=4)
    assert len({each.steps for each in episodes}) > 1
    with closing(RoboTwinEnv(tasks, root, cameras=())) as env:
        scenes = [env.reset(options=prompt._asdict())[1]["seed"] for prompt in prompts]
    assert [each.seed for each in episodes] == scenes
    assert len(set(scenes)) == 2
