"""``VLA-Text-v0``: questions to a language model, and answers that are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vla_envs import spec
from vla_envs.arguments import check_integers, check_path
from vla_envs.base import Info, Observation, VLAEnv
from vla_envs.camera import CameraOffset
from vla_envs.errors import InvalidArgumentError
from vla_envs.saved_state import Arrays, check_arrays
from vla_envs.spec import Prompt
from vla_envs.text.answers import canonical, extract_answer
from vla_envs.text.expert import Expert
from vla_envs.text.questions import Question, read_questions, sums
from vla_envs.text.tokens import Tokens, characters, model_folder, read_tokens

SUMS = "sums"
"""``questions`` that are made and not read from a file."""
SUMS_STEPS = 32
"""Step limit of a sum in tokens."""
FILE_STEPS = 3072
"""Step limit of other questions in tokens: the longest response of TTRL's runs (arXiv 2504.16084)."""


class TextEnv(VLAEnv):
    """A question, a response of one token each control step, and a reward of 1 where its answer is right.

    It is an environment of the contract, in which what trains robots trains language models: an initial state is a
    question, a chunk of actions is a response, and what a chunk holds behind the token that ends a response is not
    executed.

    **Observation.** ``instruction``: str, the question. The response so far is not observed: a policy says all of it
    in one chunk, or remembers what it has said.

    **Action.** (1,): the id of a token, rounded to the nearest.

    **Success.** The answer of the response is the right one: what its last ``\\boxed{}`` holds, or else its last
    number, in a form in which equal answers are equal (:mod:`vla_envs.text.answers`). A response is over with a token
    that ends it, or at the step limit. One that has ended with a wrong answer is ``terminated`` as well.

    Infos also have ``task_name``, the same for all questions, ``response``, the text so far, and ``answer``, its answer
    in that form or an empty text where it has none yet, on which trajectories can vote
    (:func:`vla_envs.group.given_answer`).

    Args:
        questions: ``"sums"``, or a file of :func:`~vla_envs.text.questions.read_questions`.
        digits: of the numbers of ``"sums"``, 1 to 9; None is 3.
        num_questions: how many ``"sums"`` there are; None is 1000. The second half evaluates.
        skipped: how many sums are left out before these; None is 0. With it a policy is cloned from other questions
            than those that it goes on with.
        errors: probability that a digit of the answer of one of ``"sums"`` is another one, 0 to 1; None is 0. It is for
            demonstrations, so that a policy that is cloned from them errs: success is to say the wrong answer then.
        eval_questions: a file of the questions that evaluate; None takes the second half of ``questions``.
        tokenizer: directory of the language model, or its name on Hugging Face's hub; None has a token for each
            character.
        task_id: 0 or None, because there is one task: to answer.
        split: ``"train"``, ``"eval"`` or ``"all"``; None is ``"all"`` with a warning.
        max_episode_steps: longest response in tokens; None is 32 for ``"sums"`` and 3072 for files.
        render_mode: None or ``"ansi"``, question and response as a text.

    Raises:
        InvalidArgumentError: an argument outside its range, or a question that trains and evaluates.
        MissingAssetsError, DamagedAssetsError: a file is missing or damaged.

    >>> import gymnasium as gym, vla_envs
    >>> env = gym.make("VLA-Text-v0", digits=2, split="train")
    >>> observation, info = env.reset(options={"init_state_id": 0})
    >>> observation["instruction"]
    '85+33='
    >>> *_, terminated, truncated, info = env.unwrapped.step_chunk(env.unwrapped.expert().plan(32))
    >>> str(info["response"]), str(info["answer"]), bool(info["success"])
    ('118', '118', True)
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 20}  # noqa: RUF012  (Gymnasium's own shape)

    def __init__(
        self,
        questions: str = SUMS,
        digits: int | None = None,
        num_questions: int | None = None,
        skipped: int | None = None,
        errors: float | None = None,
        eval_questions: str | None = None,
        tokenizer: str | None = None,
        task_id: int | Sequence[int] | None = None,
        split: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        given = {"digits": digits, "num_questions": num_questions, "skipped": skipped, "errors": errors}
        chosen = {name: value for name, value in given.items() if value is not None}
        self.questions, self._eval_states = _questions(questions, chosen, eval_questions)
        self.tokens = _tokens(tokenizer)
        super().__init__(
            suite="text",
            tasks=["answer the question"],
            task_id=task_id,
            split=split,
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
        )
        self._own_steps = SUMS_STEPS if questions == SUMS else FILE_STEPS
        texts = [each.text for each in self.questions]
        instruction = spec.InstructionSpace(max(map(len, texts)), "".join(set().union(*texts)))
        self.observation_space = spaces.Dict({spec.INSTRUCTION: instruction})
        self.action_space = spaces.Box(0, self.tokens.size - 1, (1,), np.float32)
        self.response: list[int] = []
        """Ids of the tokens of the response so far, with the one that has ended it."""

    @property
    def question(self) -> Question:
        """The question of the running episode, and its answer."""
        return self.questions[self.prompt.init_state_id]

    @property
    def final_state_dim(self) -> int:  # type: ignore[override]
        """Length of the final states, which are the ids of the response: that of the longest."""
        return self._max_episode_steps

    def num_init_states(self, task_id: int) -> int:
        """How many questions there are."""
        return len(self.questions)

    def eval_states(self, task_id: int) -> range:
        """The questions that evaluate."""
        return self._eval_states

    def expert(self, speed: float = 1.0) -> Expert:
        """What knows the answer, and writes it behind whatever the response is so far; it has no speed."""
        return Expert(self)

    def render(self) -> str | None:  # type: ignore[override]
        """Question and response; None without a render mode."""
        return f"{self._instruction()}\n{self._text()}" if self.render_mode else None

    def _text(self) -> str:
        return self.tokens.decode(self.response)

    def _instruction(self) -> str:
        return self.question.text

    def _horizon(self, task_id: int) -> int:
        return self._own_steps

    def _begin(self, prompt: Prompt) -> None:
        self.response = []

    def _apply(self, action: NDArray[np.float64]) -> bool:
        self.response.append(round(action.item()))
        is_over = self._has_failed() or len(self.response) == self.max_steps
        return is_over and _answer_of(self._text()) == canonical(self.question.answer)

    def _has_failed(self) -> bool:
        return bool(self.response) and self.response[-1] in self.tokens.end

    def _observe(self) -> Observation:
        return {spec.INSTRUCTION: self._instruction()}

    def _info(self, success: bool) -> Info:
        text = self._text()
        return {**super()._info(success), "response": text, spec.ANSWER: _answer_of(text), "task_name": self.tasks[0]}

    def _final_state(self) -> NDArray[np.float32]:
        return np.array(self.response, np.float32)

    def _save_simulation(self) -> Arrays:
        return {"response": np.array(self.response, np.int64)}

    def _restore_simulation(self, prompt: Prompt, simulation: Arrays, camera_offset: CameraOffset) -> None:
        given = np.asarray(simulation.get("response"))
        check_arrays(simulation, {"response": np.zeros(given.size, np.int64)})
        self.response = check_integers("response", given, 0, self.tokens.size - 1).tolist()


def _answer_of(response: str) -> str:
    """The answer in a form in which equal ones are equal texts; empty where there is none."""
    answer = extract_answer(response)
    return "" if answer is None else canonical(answer)


def _tokens(source: str | None) -> Tokens:
    return characters() if source is None else read_tokens(model_folder(str(check_path("tokenizer", source))))


def _questions(source: str, chosen: dict[str, Any], held_out: str | None) -> tuple[tuple[Question, ...], range]:
    """All questions, and which of them evaluate.

    Args:
        source: see :class:`TextEnv`.
        chosen: keywords of :func:`sums`.
        held_out: ``eval_questions``.
    """
    if source == SUMS:
        questions = sums(**chosen)
    elif not chosen:
        questions = read_questions(check_path("questions", source))
    else:
        raise InvalidArgumentError(
            f"Expect `{'`, `'.join(chosen)}` with questions={SUMS!r} alone, actually with: {source}."
        )
    if held_out is None:
        return questions, range(len(questions) // 2, len(questions))
    evaluating = read_questions(check_path("eval_questions", held_out))
    if both := {each.text for each in questions} & {each.text for each in evaluating}:
        raise InvalidArgumentError(
            f"Expect `eval_questions` that are not among `questions`, actually: {min(both)!r} and {len(both) - 1} more."
        )
    return (*questions, *evaluating), range(len(questions), len(questions) + len(evaluating))
