"""Forms of solution: whole programs and plain text under every strategy, and each way in which a candidate ends."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import get_args

import pytest

from rstar_math import steps
from rstar_math.config import FormName, SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy
from rstar_math.execution.fake import FakeExecutor
from rstar_math.search.forms import FORMS
from rstar_math.search.strategies import STRATEGIES, strategy
from rstar_math.store.records import row_to_tree, tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Completion, Problem, SamplingParams
from tests.growing import fake_environment, grow_fake

NAMES = ("greedy", "sample", "beam", "diverse_beam", "mcts", "ab_mcts")
POLICY = FakePolicy(error_rate=0.1, malformed_rate=0.1)
SEARCH = SearchSettings(num_rollouts=6, num_candidates=8, beam_width=2)
PROBLEMS = tuple(f"p{i}" for i in range(12))


def _grow(name: str, form: FormName, problem: str = "p", **search: object) -> Tree:
    settings = SearchSettings.model_validate(SEARCH.model_dump() | {"form": form, **search})
    return grow_fake(name, settings, POLICY, problem)


class Programs:
    """Proposes the given (text, stop) candidates to every prompt, and keeps what it was asked."""

    def __init__(self, *candidates: tuple[str, str | None]) -> None:
        self._candidates = candidates
        self.requests: list[SamplingParams] = []

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        self.requests.append(params)
        chosen = (self._candidates * params.n)[: params.n]
        return Generation(tuple(Completion(text, stop, 10, -0.5) for text, stop in chosen), 5)

    async def aclose(self) -> None:
        pass


def _try(engine: Programs, form: FormName, name: str = "mcts", **search: object) -> Tree:
    num = len(engine._candidates)
    settings = {"form": form, "num_candidates": num, "num_rollouts": num, "use_ppm": False, **search}
    env = fake_environment(Problem("p", "Q?", "7"), engine=engine)
    return asyncio.run(strategy(name).grow(env, SearchSettings.model_validate(settings)))


def test_every_form_has_an_entry() -> None:
    assert set(FORMS) == set(get_args(FormName))
    assert set(NAMES) <= set(STRATEGIES)


@pytest.mark.parametrize("name", NAMES)
def test_whole_programs_under_every_strategy(name: str) -> None:
    trees = [_grow(name, "program", problem) for problem in PROBLEMS]
    ends = [(tree, tree.nodes[i]) for tree in trees for i in tree.rollouts]
    assert {node.terminal for _, node in ends} >= {"answer"}
    for tree, node in ends:
        assert node.depth <= 1  # a program is the whole solution; the root itself where no candidate stands
        if node.terminal == "answer":
            step = node.step
            assert step is not None
            assert step.execution is not None
            assert step.answer == step.execution.output.split()[-1]
            assert node.correct == (None if "beam" in name else step.answer == "1")  # beams are not graded
            assert step.observation == f"\n<output>{step.answer}<end_of_output>"
            assert tree.trajectory(node).steps == (step,)
    answered = [node for _, node in ends if node.terminal == "answer"]
    assert any(s.text.count(steps.END_OF_STEP) for n in answered if (s := n.step))  # no stop, and no harm
    for tree in trees:
        assert not any(steps.ANSWER in n.step.text and n.rejected is None for n in tree.nodes[1:] if n.step)
        if name != "ab_mcts":  # which draws candidates one after the other
            assert tree.cost.model_calls == 1 + (tree.cost.tokens_scored > 0)
        assert tree.cost.executions <= sum(1 for node in tree.nodes if node.depth)  # once each
        assert tree_to_row(row_to_tree(tree_to_row(tree))) == tree_to_row(tree)


@pytest.mark.parametrize("name", NAMES)
def test_plain_text_under_every_strategy(name: str) -> None:
    trees = [_grow(name, "text", problem) for problem in PROBLEMS]
    assert any(tree.trajectories() for tree in trees)
    for tree in trees:
        assert tree.cost.executions == 0
        for node in tree.nodes[1:]:
            assert node.step is not None
            assert (node.step.code, node.step.observation, node.step.execution) == ("", "", None)
        for trajectory in tree.trajectories():
            *before, last = trajectory.steps
            assert before[-1].text.endswith(steps.END_OF_CODE)
            assert trajectory.answer == steps.last_boxed(last.text)
        assert steps.OUTPUT not in "".join(tree.prefix(node) for node in tree.answer_nodes())


def test_mcts_goes_through_programs_until_none_is_left() -> None:
    tree = _grow("mcts", "program", num_rollouts=100)
    assert tree.stopped == "closed"
    assert len(tree.rollouts) == len(tree.children(tree.root)) > 1
    assert tree.root.visit_count == len(tree.rollouts)


def test_text_is_searched_step_by_step() -> None:
    tree = _grow("mcts", "text")
    assert max(node.depth for node in tree.answer_nodes()) >= 2
    assert any(node.visit_count > 2 for node in tree.nodes[1:])


@pytest.mark.parametrize("name", NAMES)
def test_code_augmented_steps_are_the_default(name: str) -> None:
    assert SearchSettings().form == "steps"
    tree = _grow(name, "steps")
    finished = [t for p in PROBLEMS for t in _grow(name, "steps", p).trajectories()]
    assert finished
    for trajectory in finished:
        *before, last = trajectory.steps
        assert all(step.execution is not None and step.execution.ok for step in before)
        assert before[-1].observation
        assert last.text.endswith(steps.END_OF_ANSWER)
    assert tree.cost.executions > 0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\nprint(3)\nprint(7)\n", "7"),
        ("\nx = 3\n<end_of_step>\nprint(x + 4)\n", "7"),
        ("\nanswer = 3 + 4\n", "7"),
        ("\nanswer = 3 + 4\nprint(8)\n", "8"),  # what was printed goes before the variable
    ],
)
@pytest.mark.parametrize("name", ["mcts", "sample"])
def test_answers_of_programs(text: str, answer: str, name: str) -> None:
    tree = _try(Programs((text, steps.END_OF_CODE)), "program", name)
    (trajectory,) = tree.trajectories()
    assert trajectory.answer == answer
    assert trajectory.correct == (answer == "7")
    assert trajectory.num_tokens == 10
    assert tree.cost.executions == 1 + ("print" not in text)
    assert tree.prefix(tree.answer_nodes()[0]) == steps.prompt("Q?") + text + steps.END_OF_CODE + (
        f"\n<output>{trajectory.steps[0].observation[9 : -len(steps.END_OF_OUTPUT)]}<end_of_output>"
    )


@pytest.mark.parametrize(
    ("text", "stop", "reason", "num_executions"),
    [
        ("\nprint(y)\n", steps.END_OF_CODE, "NameError", 1),
        ("\nx = 7\n", steps.END_OF_CODE, "the program printed nothing, and `print(answer)` after it: NameError", 2),
        ("\nprint(7)\n", None, "no stop marker", 0),
        ("\nprint(7)\n<end_of_step>", None, "no stop marker", 0),
        ("\n<answer>\\boxed{7}", steps.END_OF_ANSWER, "an answer before the code was closed", 0),
        ("\nprint(7)\n<output>7<end_of_output>", steps.END_OF_CODE, "the executor's output itself", 0),
    ],
)
@pytest.mark.parametrize("name", ["mcts", "sample", "beam"])
def test_programs_that_lead_nowhere(text: str, stop: str | None, reason: str, num_executions: int, name: str) -> None:
    engine = Programs((text, stop))
    tree = _try(engine, "program", name, max_consecutive_errors=2, beam_width=1, use_ppm=name == "beam")
    assert not tree.trajectories()
    assert [reason in str(node.rejected) for node in tree.nodes[1:]] == [True]
    assert len(engine.requests) == 1  # nothing goes on from a program, failed or not
    assert tree.cost.executions == num_executions
    assert {tree.nodes[i].terminal for i in tree.rollouts} == {"dead_end"}


@pytest.mark.parametrize(
    ("text", "stop", "reason"),
    [
        ("\nIt is 7.\n<end_of_code>\n<output>7<end_of_output>\n<answer>\\boxed{7}", steps.END_OF_ANSWER, "no stop"),
        ("\nIt is \\boxed{7}.\n", None, "no stop"),
        ("\n<answer>It is \\boxed{7}.", steps.END_OF_ANSWER, "before the code was closed"),
        ("\n3 + 4\n<end_of_code>\n5\n<end_of_step>\n<answer>\\boxed{7}", steps.END_OF_ANSWER, "code after the code"),
    ],
)
def test_texts_that_lead_nowhere(text: str, stop: str | None, reason: str) -> None:
    tree = _try(Programs((text, stop)), "text", "sample")
    assert not tree.trajectories()
    assert reason in str(tree.nodes[-1].rejected)
    assert [tree.nodes[i].terminal for i in tree.rollouts] == ["dead_end"]


def test_a_text_is_sampled_in_one_go() -> None:
    engine = Programs(("\n3 + 4\n<end_of_step>\nso 7\n<end_of_code>\n<answer>\\boxed{7}", steps.END_OF_ANSWER))
    tree = _try(engine, "text", "sample", max_solution_tokens=99)
    (trajectory,) = tree.trajectories()
    assert (trajectory.answer, trajectory.correct, len(trajectory.steps)) == ("7", True, 3)
    assert [(p.stop, p.max_tokens) for p in engine.requests] == [((steps.END_OF_ANSWER,), 99)]


@pytest.mark.parametrize(("name", "form"), list(product(["mcts", "sample"], get_args(FormName))))
def test_where_generation_stops(name: str, form: FormName) -> None:
    engine = Programs(("\nprint(7)\n", None))
    _try(engine, form, name, max_step_tokens=11, max_solution_tokens=99)
    whole = (steps.END_OF_CODE, steps.END_OF_ANSWER)
    expected: dict[tuple[str, str], tuple[tuple[str, ...], int]] = {
        ("mcts", "steps"): (steps.STOPS, 11),
        ("mcts", "program"): (whole, 99),
        ("mcts", "text"): (steps.STOPS, 11),
        ("sample", "steps"): (whole, 99),
        ("sample", "program"): (whole, 99),
        ("sample", "text"): ((steps.END_OF_ANSWER,), 99),
    }
    assert [(p.stop, p.max_tokens) for p in engine.requests] == [expected[name, form]]


@pytest.mark.parametrize(("name", "form"), list(product(NAMES, ["program", "text"])))
def test_the_same_tree_whoever_answers_first(name: str, form: FormName) -> None:
    settings = SEARCH.model_copy(update={"form": form, "num_parallel": 3})

    def grown(latency_seed: int) -> list[tuple[str, int, float, object]]:
        env = fake_environment(
            Problem("p", "Q?", "1"),
            engine=FakeEngine(POLICY, max_latency_turns=7, latency_seed=latency_seed),
            executor=FakeExecutor(latency_seed=latency_seed),
        )
        tree = asyncio.run(strategy(name).grow(env, settings))
        return [(n.step.text if n.step else "", n.visit_count, n.value_sum, n.terminal) for n in tree.nodes]

    assert grown(0) == grown(1)
