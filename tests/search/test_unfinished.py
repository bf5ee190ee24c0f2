"""Every reason for which no solution is finished is told apart, in words of its own with a way out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from rstar_math import steps
from rstar_math.config import AnsweringSettings, BudgetSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.errors import ContextLengthError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.answer import answer
from rstar_math.search.course import Course
from rstar_math.search.environment import Environment
from rstar_math.types import Completion, FinishReason, Problem, SamplingParams, Solution, Unfinished

Write = Callable[[str], tuple[str, FinishReason]]
"""A prompt -> what is written, and why it ends; "stop": with its last marker cut off."""

GOOD = f"\n# Step\nx = 1\n{steps.END_OF_STEP}"
CLOSED = f"\n# Step\nprint(1)\n{steps.END_OF_CODE}"


class Canned:
    """An engine that writes the same, however often and however warmly it is asked."""

    def __init__(self, write: Write, room: int | None = None) -> None:
        self._write, self._room = write, room

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        if self._room is not None and len(prompt) > self._room:
            raise ContextLengthError(f"the prompt has {len(prompt)} tokens; shorten it")
        text, reason = self._write(prompt)
        stop = next((m for m in params.stop if text.endswith(m)), None)
        num_tokens = params.max_tokens if reason == "length" else 7
        completion = Completion(text.removesuffix(stop or ""), stop, num_tokens, -1.0, reason)
        return Generation((completion,) * params.n, num_prompt_tokens=3)

    async def aclose(self) -> None: ...


def writes(text: str, reason: FinishReason = "stop") -> Canned:
    return Canned(lambda prompt: (text, reason))


def solve(
    engine: Engine, strategy: str, budget: BudgetSettings | None = None, course: Course | None = None
) -> Solution:
    search = SearchSettings(
        num_rollouts=3, num_candidates=2, max_depth=4, max_step_tokens=40, terminal_value="ppm", max_solution_tokens=90
    )
    settings = AnsweringSettings(strategy=strategy, search=search, budget=budget or BudgetSettings())

    def environment(problem: Problem, seed: int) -> Environment:
        return Environment(problem, engine, FakeExecutor(), FakeGrader(), FakeRewardModel(), seed)

    return asyncio.run(answer(Problem("p", "Question?"), environment, settings, 0, course))[0]


PROMPT_LENGTH = len(steps.prompt("Question?"))
CASES: dict[str, tuple[Callable[[], Engine], Unfinished, str]] = {
    "question": (
        lambda: Canned(lambda prompt: (GOOD, "stop"), room=5),
        Unfinished.QUESTION_TOO_LONG,
        r"leaves no room in the model's context \(the prompt has \d+ tokens\). Shorten it",
    ),
    "solution": (
        lambda: Canned(lambda prompt: (CLOSED, "stop"), room=PROMPT_LENGTH + 10),
        Unfinished.SOLUTION_TOO_LONG,
        "filled the context",
    ),
    "length": (
        lambda: Canned(lambda p: (GOOD + "\n# and then" if GOOD in p else GOOD, "length" if GOOD in p else "stop")),
        Unfinished.STEP_TOO_LONG,
        "the limit of 40 tokens of a step, or 90 of a whole sample.*search.max_step_tokens",
    ),
    "end": (
        lambda: Canned(lambda p: ("\nI think" if GOOD in p else GOOD, "end" if GOOD in p else "stop")),
        Unfinished.NO_MARKER,
        "without a marker, though it wrote some steps",
    ),
    "format": (lambda: writes("Let me see. The answer is 3.", "end"), Unfinished.FORMAT_IGNORED, "bootstrap: default"),
    "prose": (lambda: writes("Let me see.", "length"), Unfinished.FORMAT_IGNORED, "rstar doctor"),
    "thinking": (lambda: writes("", "reasoning"), Unfinished.REASONING, "Switch its thinking off"),
    "withheld": (lambda: writes("", "withheld"), Unfinished.WITHHELD, "kept the model's text back"),
    "malformed": (
        lambda: writes(f"\nx = 1\n{steps.ANSWER}3{steps.END_OF_STEP}"),
        Unfinished.MALFORMED,
        "broke the step format, most often: <answer> without <end_of_answer>",
    ),
    "errors": (
        lambda: writes(f"\nraise ValueError\n{steps.END_OF_STEP}"),
        Unfinished.EXECUTION_FAILED,
        "failed, most often: FakeUnknown.*docs/execution.md",
    ),
    "no box": (
        lambda: Canned(
            lambda p: (f"\n{steps.ANSWER}It is one.{steps.END_OF_ANSWER}" if CLOSED in p else CLOSED, "stop")
        ),
        Unfinished.NO_ANSWER,
        r"without an answer in \\boxed",
    ),
}
ONE_GO = {"end", "length"}
"""Cases that a strategy which draws whole solutions meets otherwise: there a step is not asked for by itself."""


@pytest.mark.parametrize("strategy", ["mcts", "sample", "greedy", "forest"])
@pytest.mark.parametrize("case", CASES)
def test_a_reason_of_its_own(case: str, strategy: str) -> None:
    if case in ONE_GO and strategy in ("sample", "greedy"):
        pytest.skip("whole solutions are drawn in one go")
    engine, reason, words = CASES[case]
    solution = solve(engine(), strategy)
    assert (solution.answer, solution.unfinished) == (None, reason)
    assert re.search(words, solution.why), solution.why


@pytest.mark.parametrize("strategy", ["sample", "greedy"])
@pytest.mark.parametrize(("reason", "expected"), [("length", Unfinished.STEP_TOO_LONG), ("end", Unfinished.NO_MARKER)])
def test_a_sample_that_breaks_off_behind_good_steps(strategy: str, reason: FinishReason, expected: Unfinished) -> None:
    for text in (f"{GOOD}{GOOD}\n# and th", f"{GOOD}{GOOD}"):
        assert solve(writes(text, reason), strategy).unfinished == expected


def test_the_depth_limit() -> None:
    solution = solve(writes(GOOD), "mcts")
    assert solution.unfinished == Unfinished.DEPTH_LIMIT
    assert "within 4 steps. Raise the limit: --max-depth" in solution.why


class Slow(Canned):
    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("strategy", ["mcts", "sample", "greedy", "forest"])
def test_the_budget(strategy: str) -> None:
    solution = solve(Slow(lambda prompt: (GOOD, "stop")), strategy, BudgetSettings(seconds=0.05))
    assert solution.unfinished == Unfinished.BUDGET
    assert "the limit (0.05 s) was reached before any solution had ended" in solution.why
    tokens = solve(writes(GOOD), "mcts", BudgetSettings(tokens=1))
    assert tokens.unfinished == Unfinished.BUDGET
    assert "the limit (1 tokens) was reached" in tokens.why
    assert "--tokens" in tokens.why
    assert "max_tokens" in tokens.why


def test_every_reason_has_a_case() -> None:
    shown = {reason for _, reason, _ in CASES.values()}
    elsewhere = {Unfinished.DEPTH_LIMIT, Unfinished.BUDGET, Unfinished.NOTHING_TRIED, Unfinished.NOT_REPRODUCED}
    assert shown | elsewhere == set(Unfinished)


def test_an_engine_that_does_not_say_why_it_stopped() -> None:
    class Silent(Canned):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            made = await super().generate(prompt, params)
            kept: list[Any] = [Completion(c.text, c.stop, c.num_tokens, c.logprob) for c in made.completions]
            return Generation(tuple(kept), 3)

    cut = Silent(lambda p: (GOOD + "\n# and then" if GOOD in p else GOOD, "length" if GOOD in p else "stop"))
    assert solve(cut, "mcts").unfinished == Unfinished.STEP_TOO_LONG


def test_an_answer_has_no_reason_and_its_course_is_told() -> None:
    course = Course()
    solution = solve(FakeEngine(FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0)), "mcts", course=course)
    assert (solution.unfinished, solution.why) == (None, "")
    assert (course.leading, course.share, course.num_trees) == (solution.answer, solution.confidence, 1)
    assert course.tokens_generated == solution.cost.tokens_generated > 0
    assert course.executions == solution.cost.executions > 0
