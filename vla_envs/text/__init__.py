"""Questions with answers that can be checked: test-time RL on language models."""

from vla_envs.text.answers import canonical, equivalent, extract_answer, extract_boxed, last_number
from vla_envs.text.env import TextEnv
from vla_envs.text.questions import Question, read_questions, sums

__all__ = [
    "Question",
    "TextEnv",
    "canonical",
    "equivalent",
    "extract_answer",
    "extract_boxed",
    "last_number",
    "read_questions",
    "sums",
]
