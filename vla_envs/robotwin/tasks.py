"""RoboTwin 2.0's tasks: which objects they need and how long SimpleVLA-RL lets them run.

Names, objects and upstream's step limits are the checkout's own (``envs/<task>.py``, ``_eval_step_limit.yml``); the
shorter limits are those of SimpleVLA-RL (arXiv 2509.09674), which counts the same actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vla_envs.arguments import check_choice, check_names
from vla_envs.errors import InvalidArgumentError, UnknownTaskError

STEP_LIMITS = ("upstream", "simplevla_rl")


class Task(NamedTuple):
    """What differs between tasks outside RoboTwin's code."""

    objects: tuple[str, ...] = ()
    """Folders under ``assets/objects``; a task without any needs only boxes and the robot."""
    simplevla_rl_limit: int | None = None
    """Actions of an episode in SimpleVLA-RL; None where it has no such task."""


_SMALL_THINGS = (
    "047_mouse 048_stapler 050_bell 057_toycar 073_rubikscube 075_bread 077_phone 081_playingcards "
    "086_woodenblock 107_soap 112_tea-box 113_coffee-box"
)
_CABINET_THINGS = (
    "036_cabinet 047_mouse 048_stapler 057_toycar 073_rubikscube 075_bread 077_phone 081_playingcards 107_soap "
    "112_tea-box 113_coffee-box"
)
_DISPLAYED_THINGS = "047_mouse 048_stapler 050_bell 057_toycar 073_rubikscube 074_displaystand 079_remotecontrol"

_TABLE: dict[str, tuple[str, int | None]] = {
    "adjust_bottle": ("001_bottle", None),
    "beat_block_hammer": ("020_hammer", 200),
    "blocks_ranking_rgb": ("", 600),
    "blocks_ranking_size": ("", None),
    "click_alarmclock": ("046_alarm-clock", None),
    "click_bell": ("050_bell", 200),
    "dump_bin_bigbin": ("011_dustbin 063_tabletrashbin", None),
    "grab_roller": ("102_roller", None),
    "handover_block": ("", 400),
    "handover_mic": ("018_microphone", 200),
    "hanging_mug": ("039_mug 040_rack", None),
    "lift_pot": ("060_kitchenpot", 200),
    "move_can_pot": ("060_kitchenpot 105_sauce-can", 200),
    "move_pillbottle_pad": ("080_pillbottle", 200),
    "move_playingcard_away": ("081_playingcards", None),
    "move_stapler_pad": ("048_stapler", 200),
    "open_laptop": ("015_laptop", None),
    "open_microwave": ("044_microwave", None),
    "pick_diverse_bottles": ("001_bottle", None),
    "pick_dual_bottles": ("001_bottle", 100),
    "place_a2b_left": (_SMALL_THINGS, 200),
    "place_a2b_right": (_SMALL_THINGS, 200),
    "place_bread_basket": ("075_bread 076_breadbasket", None),
    "place_bread_skillet": ("075_bread 106_skillet", None),
    "place_burger_fries": ("005_french-fries 006_hamburg 008_tray", None),
    "place_can_basket": ("071_can 110_basket", None),
    "place_cans_plasticbox": ("062_plasticbox 071_can", None),
    "place_container_plate": ("002_bowl 003_plate 021_cup", 150),
    "place_dual_shoes": ("007_shoe-box 041_shoe", None),
    "place_empty_cup": ("019_coaster 021_cup", 200),
    "place_fan": ("099_fan", None),
    "place_mouse_pad": ("047_mouse", 200),
    "place_object_basket": ("057_toycar 081_playingcards 110_basket", None),
    "place_object_scale": ("047_mouse 048_stapler 050_bell 072_electronicscale", None),
    "place_object_stand": (_DISPLAYED_THINGS, None),
    "place_phone_stand": ("077_phone 078_phonestand", 200),
    "place_shoe": ("041_shoe", 250),
    "press_stapler": ("048_stapler", None),
    "put_bottles_dustbin": ("011_dustbin 114_bottle", 800),
    "put_object_cabinet": (_CABINET_THINGS, None),
    "rotate_qrcode": ("070_paymentsign", None),
    "scan_object": ("024_scanner 112_tea-box", None),
    "shake_bottle": ("001_bottle", 75),
    "shake_bottle_horizontally": ("001_bottle", None),
    "stack_blocks_three": ("", None),
    "stack_blocks_two": ("", 400),
    "stack_bowls_three": ("002_bowl", None),
    "stack_bowls_two": ("002_bowl", 400),
    "stamp_seal": ("100_seal", None),
    "turn_switch": ("056_switch", None),
}

TASKS = {name: Task(tuple(objects.split()), limit) for name, (objects, limit) in _TABLE.items()}
"""Name -> task, in alphabetical order; a task's place is its ``task_id``."""


def task_ids(task: str | Sequence[str]) -> list[int]:
    """The places of tasks in :data:`TASKS`.

    Raises:
        UnknownTaskError: a task of another name.

    >>> task_ids("stack_blocks_two")
    [45]
    """
    places = list(TASKS)
    return [places.index(name) for name in check_names("task", task, TASKS, UnknownTaskError)]


def step_limits(step_limit: str, tasks: Sequence[str], upstream: Mapping[str, int]) -> dict[str, int]:
    """Task -> actions of an episode: ``upstream``'s own, or SimpleVLA-RL's.

    Raises:
        InvalidArgumentError: another name, or a task without a limit of that kind.
    """
    check_choice("step_limit", step_limit, STEP_LIMITS)
    shorter = {name: each.simplevla_rl_limit for name, each in TASKS.items() if each.simplevla_rl_limit}
    limits = upstream if step_limit == "upstream" else shorter
    missing = [task for task in tasks if task not in limits]
    if missing:
        raise InvalidArgumentError(
            f"Expect tasks with a limit of `step_limit` {step_limit!r}, which are {', '.join(limits)}, actually also: "
            f"{', '.join(missing)}."
        )
    return {task: limits[task] for task in tasks}
