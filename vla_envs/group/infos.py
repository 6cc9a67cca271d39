"""Infos of the members as arrays, in the form of Gymnasium's vector environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_envs.spec import INFO_KEYS


def stack_infos(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One array per key over the members, with 0, False or None where a member lacks the key.

    The boolean array ``_key`` says which members have it; it is left out for the contract's keys
    when all have them. Numbers give numeric arrays and dictionaries dictionaries of arrays;
    everything else, arrays too because their shapes may differ, gives an array of objects.

    >>> infos = stack_infos([{"success": True, "task": "push", "lift": 0.1}, {"success": False, "task": "pull"}])
    >>> infos["success"].tolist(), infos["task"].tolist(), infos["lift"].tolist(), infos["_lift"].tolist()
    ([True, False], ['push', 'pull'], [0.1, 0.0], [True, False])
    """
    stacked: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        present = np.array([key in info for info in infos])
        stacked[key] = _stack([info.get(key) for info in infos], present)
        if key not in INFO_KEYS or not present.all():
            stacked[f"_{key}"] = present
    return stacked


def _stack(values: list[Any], present: NDArray[np.bool_]) -> Any:
    example = values[int(present.argmax())]
    if isinstance(example, Mapping):
        return stack_infos([{} if value is None else value for value in values])
    if isinstance(example, (bool, int, float, np.number, np.bool_)):
        return np.array([type(example)() if value is None else value for value in values])
    stacked = np.empty(len(values), object)
    for index, value in enumerate(values):
        stacked[index] = value
    return stacked
