"""Whole solutions without search: how each way of ending is kept, graded and scored."""

from __future__ import annotations

import asyncio
import math

import pytest

from rstar_math import steps
from rstar_math.config import SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakePolicy
from rstar_math.search.sampling import greedy, sample, sample_below
from rstar_math.tree import Node, Tree
from rstar_math.types import Completion, Problem, SamplingParams
from tests.growing import fake_environment, grow_fake


class TextEngine:
    """Proposes the given programs to a bare question, and to each closed program the answer `7` or a given text."""

    def __init__(self, programs: list[tuple[str, str | None]], reply: tuple[str, str | None] | None = None) -> None:
        self._programs = programs
        self._reply = reply or ("\n<answer>It is \\boxed{7}.", steps.END_OF_ANSWER)
        self.requests: list[tuple[str, SamplingParams]] = []

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        self.requests.append((prompt, params))
        chosen = [self._reply] if steps.OUTPUT in prompt else self._programs
        return Generation(tuple(Completion(text, stop, 10, -0.5) for text, stop in chosen), 5)

    async def aclose(self) -> None:
        pass


GOOD = ("\nx = 3\n<end_of_step>\nprint(x + 4)\n", steps.END_OF_CODE)


def _sample(engine: TextEngine, reference: str | None = "7", **search: object) -> Tree:
    settings = SearchSettings.model_validate(
        {"num_rollouts": len(engine._programs), "use_ppm": False, "max_solution_tokens": 99, **search}
    )
    return asyncio.run(sample(fake_environment(Problem("p", "Q?", reference), engine=engine), settings))


def _end(tree: Tree) -> Node:
    assert len(tree.rollouts) == 1
    return tree.nodes[tree.rollouts[0]]


def test_a_whole_solution() -> None:
    engine = TextEngine([GOOD])
    tree = _sample(engine)
    end = _end(tree)
    assert (end.terminal, end.correct, end.depth) == ("answer", True, 3)
    assert tree.prefix(end) == (
        steps.prompt("Q?")
        + "\nx = 3\n<end_of_step>\nprint(x + 4)\n<end_of_code>\n<output>7<end_of_output>"
        + "\n<answer>It is \\boxed{7}.<end_of_answer>"
    )
    assert tree.solved
    assert [trajectory.correct for trajectory in tree.trajectories()] == [True]
    # the tokens of a program stand at its first step
    assert [node.num_tokens for node in tree.path(end)] == [10, 0, 10]
    (prompt, params), (again, answering) = engine.requests
    assert prompt == steps.prompt("Q?")
    assert (params.n, params.max_tokens, set(params.stop)) == (1, 99, {steps.END_OF_CODE, steps.END_OF_ANSWER})
    assert again == tree.prefix(tree.nodes[end.parent])
    assert (answering.n, answering.max_tokens, answering.stop) == (1, 512, steps.STOPS)
    assert params.seed != answering.seed


@pytest.mark.parametrize(
    ("program", "depth", "reason"),
    [
        (("\nx = y\n<end_of_step>\nprint(x)\n", steps.END_OF_CODE), 1, "NameError"),
        (("\nx = 1\n<end_of_step>\nprint(y)\n", steps.END_OF_CODE), 2, "NameError"),
        (("\nx = 1\n<end_of_step>\nprint(", None), 2, "no stop marker"),
        (("\nx = 1\n<answer>It is \\boxed{7}.", steps.END_OF_ANSWER), 1, "before the code was closed"),
        (("\nx = 1\n<output>7<end_of_output>", steps.END_OF_CODE), 1, "the executor's output itself"),
        (("", None), 1, "no stop marker"),
        (("\nx = 1\n<end_of_step>", None), 1, None),  # in the format, but it stops there
    ],
)
def test_programs_that_lead_nowhere(program: tuple[str, str | None], depth: int, reason: str | None) -> None:
    engine = TextEngine([program])
    tree = _sample(engine)
    end = _end(tree)
    assert (end.terminal, end.depth, end.correct) == ("dead_end", depth, None)
    assert (end.rejected is None) if reason is None else (end.rejected is not None and reason in end.rejected)
    assert tree.root.terminal is None
    assert len(engine.requests) == 1
    assert not tree.trajectories()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (("\nprint(1)\n", steps.END_OF_STEP), "code after the code was closed"),
        (("\n<answer>It is", None), "no stop marker"),
        (("\nIt is \\boxed{7}.", steps.END_OF_ANSWER), "without <answer>"),
    ],
)
def test_replies_that_are_no_answer(reply: tuple[str, str | None], reason: str) -> None:
    tree = _sample(TextEngine([GOOD], reply))
    end = _end(tree)
    assert end.terminal == "dead_end"
    assert reason in str(end.rejected)
    assert not tree.trajectories()


def test_fresh_rollouts_go_on_from_a_step() -> None:
    """The program goes on from the steps before it, and tokens are booked on the first step that is new."""
    given = steps.step_from_text("\nx = 3\n<end_of_step>")
    engine = TextEngine([("\nprint(x + 4)\n", steps.END_OF_CODE), ("\nprint(y)\n", steps.END_OF_CODE)])
    env = fake_environment(Problem("p", "Q?", "7"), engine=engine)
    below = SearchSettings(num_rollouts=2, use_ppm=False)
    tree = asyncio.run(sample_below(env, [given], below))
    right, failed = (tree.nodes[i] for i in tree.rollouts)
    assert (right.terminal, right.correct, right.depth) == ("answer", True, 3)
    assert (failed.terminal, failed.correct, failed.depth) == ("dead_end", None, 2)
    assert tree.nodes[1].step == given
    assert [n.num_tokens for n in tree.path(right)] == [0, 10, 10]
    program = tree.steps(right)[:2]
    closed = asyncio.run(sample_below(fake_environment(env.problem, engine=engine), program, below))
    assert [closed.nodes[i].depth for i in closed.rollouts] == [3, 3]  # only answers can follow
    assert all(closed.nodes[i].correct for i in closed.rollouts)


def test_an_empty_sample_leaves_the_others_alone() -> None:
    tree = _sample(TextEngine([("", None), GOOD, GOOD]))
    assert [tree.nodes[i].terminal for i in tree.rollouts] == ["dead_end", "answer", "answer"]
    assert tree.root.terminal is None
    assert len(tree.trajectories()) == 2  # equal samples stay apart: each counts in a vote


def test_answers_are_graded_where_a_reference_is_in_view() -> None:
    assert [t.correct for t in _sample(TextEngine([GOOD]), reference="8").trajectories()] == [False]
    assert [t.correct for t in _sample(TextEngine([GOOD]), reference=None).trajectories()] == [None]
    assert [t.correct for t in _sample(TextEngine([GOOD]), terminal_value="ppm").trajectories()] == [None]
    no_box = TextEngine([GOOD, GOOD], ("\n<answer>It is seven.", steps.END_OF_ANSWER))
    tree = _sample(no_box)
    assert [t.correct for t in tree.trajectories()] == [False, False]
    assert tree.cost.grades == 0
    assert _sample(TextEngine([GOOD, GOOD, GOOD])).cost.grades == 1  # equal answers are compared once


def test_samples_are_scored_step_by_step() -> None:
    tree = grow_fake("sample", SearchSettings(num_rollouts=12), FakePolicy(error_rate=0.3))
    assert {tree.nodes[i].terminal for i in tree.rollouts} == {"answer", "dead_end"}
    for index in tree.rollouts:
        for node in tree.path(tree.nodes[index]):
            on_the_way = any(node in tree.path(end) for end in tree.answer_nodes())
            assert (node.ppm_score is not None) == on_the_way
    for trajectory in tree.trajectories():
        assert len(trajectory.ppm_scores) == len(trajectory.steps)
    for node in tree.nodes:
        assert (node.visit_count, node.value_sum) == (len(tree.rollouts) if node is tree.root else 1, 0.0)
        assert not math.isnan(node.q_value)


def test_greedy_is_one_sample_at_temperature_zero() -> None:
    engine = TextEngine([GOOD])
    env = fake_environment(Problem("p", "Q?", "7"), engine=engine)
    tree = asyncio.run(greedy(env, SearchSettings(num_rollouts=16, temperature=0.7, top_p=0.9)))
    assert tree.strategy == "greedy"
    assert [(p.n, p.temperature, p.top_p) for _, p in engine.requests] == [(1, 0.0, 1.0)] * 2
    assert tree.cost.tokens_scored == 0
    assert _end(tree).correct
