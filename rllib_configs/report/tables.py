"""Success before and after, per task, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence

from rllib_configs.evaluation import Episode, wilson_interval

Cells = tuple[str, ...]


def success_table(before: Sequence[Episode], after: Sequence[Episode]) -> list[Cells]:
    """Rows ``(task, episodes, before, after)`` under a header, the last row over all tasks."""
    tasks = sorted({(episode.task_id, episode.task) for episode in before})
    rows: list[Cells] = [("task", "episodes", "before", "after")]
    for task_id, task in tasks:
        rows.append(_row(task, [e for e in before if e.task_id == task_id], [e for e in after if e.task_id == task_id]))
    return [*rows, _row("all tasks", before, after)]


def markdown(rows: Sequence[Cells]) -> str:
    """The rows as a Markdown table.

    >>> print(markdown([("task", "after"), ("stack", "50 %")]))
    | task | after |
    |---|---|
    | stack | 50 % |
    """
    header, *body = rows
    lines = [header, tuple("---" for _ in header), *body]
    return "\n".join(f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines)


def _row(name: str, before: Sequence[Episode], after: Sequence[Episode]) -> Cells:
    return name, str(len(after)), _rate(before), _rate(after)


def _rate(episodes: Sequence[Episode]) -> str:
    if not episodes:
        return "-"
    successes = sum(episode.success for episode in episodes)
    low, high = wilson_interval(successes, len(episodes))
    return f"{successes / len(episodes):.0%} [{low:.0%}, {high:.0%}]"
