"""How well do the language models of runs on sums answer, sampled, by vote and greedily?

python benchmarks/text.py runs/text_ttrl runs/text_labels

Of each run it measures the policy that it began with and the one that it ended with, on the questions that it trained
on and on those that it held out: avg@n, the share of right ones among n answers to each question; maj@n, the share of
questions whose most frequent answer is right, a tie being wrong; and the greedy answer. Temperature 1. Prints a table.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from policies.causal_lm import CausalLMPolicy
from rllib_configs.run.directory import load_experiment
from rllib_configs.run.report import markdown
from vla_envs.text import Question, canonical, extract_answer
from vla_envs.wrappers.instruction import INSTRUCTION_BYTES, encode_instruction

POLICIES = ("policy_before", "policy")
"""Of a run."""
AT_ONCE = 4096
"""Most answers that are sampled together."""


def main() -> None:
    """Measure, and print a row for each policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="directories of runs")
    parser.add_argument("--answers", type=int, default=64, help="n, sampled answers to each question")
    args = parser.parse_args()
    n = args.answers
    parts = [f"{part}: {name}" for part in ("trained", "held out") for name in (f"avg@{n}", f"maj@{n}", "greedy")]
    print(markdown([["policy", *parts], *(row for run in args.runs for row in rows(run, n))]))


def rows(run: Path, n: int) -> Iterable[list[str]]:
    """A row for each policy of a run."""
    questions = questions_of(run)
    for name in POLICIES:
        policy = CausalLMPolicy.from_pretrained(run / name).eval()
        yield [f"{run.name}/{name}", *(f"{each:.1%}" for part in questions for each in measure(policy, part, n))]


def questions_of(run: Path) -> tuple[list[Question], list[Question]]:
    """The questions that a run trains on, and those that it holds out."""
    with closing(load_experiment(run).environment.make("all")) as env:
        text = env.unwrapped
        held_out = set(text.eval_states(0))
        every = dict(enumerate(text.questions))
    return [q for i, q in every.items() if i not in held_out], [every[i] for i in sorted(held_out)]


def measure(policy: CausalLMPolicy, questions: Sequence[Question], n: int) -> tuple[float, float, float]:
    """avg@n, maj@n and the greedy share of right answers."""
    torch.manual_seed(0)
    per_batch = max(AT_ONCE // n, 1)
    batches = [questions[first : first + per_batch] for first in range(0, len(questions), per_batch)]
    sampled = [group for batch in batches for group in answers(policy, batch, n, greedy=False)]
    greedy = [group for batch in batches for group in answers(policy, batch, 1, greedy=True)]
    right = [canonical(question.answer) for question in questions]
    return (
        float(np.mean([[each == label for each in group] for group, label in zip(sampled, right, strict=True)])),
        float(np.mean([_majority(group) == label for group, label in zip(sampled, right, strict=True)])),
        float(np.mean([group == [label] for group, label in zip(greedy, right, strict=True)])),
    )


@torch.no_grad()
def answers(policy: CausalLMPolicy, questions: Sequence[Question], n: int, greedy: bool) -> list[list[str]]:
    """n answers to each question, in a form in which equal ones are equal; empty where a response has none."""
    encoded = np.stack([encode_instruction(question.text) for question in questions])
    observations = {INSTRUCTION_BYTES: torch.from_numpy(encoded).repeat_interleave(n, 0)}
    tokens = policy.get_action_and_value(observations, greedy=greedy).tokens.tolist()
    said = [extract_answer(policy.tokens.decode(response)) for response in tokens]
    equal = ["" if each is None else canonical(each) for each in said]
    return [equal[first : first + n] for first in range(0, len(equal), n)]


def _majority(group: Sequence[str]) -> str | None:
    """The most frequent answer; None after a tie, or where nobody answered."""
    leaders = Counter(filter(None, group)).most_common(2)
    tie = len(leaders) == 2 and leaders[0][1] == leaders[1][1]
    return None if tie or not leaders else leaders[0][0]


if __name__ == "__main__":
    main()
