"""Answering: the reference is out of sight, trees are fresh, equivalent answers vote together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.errors import ConfigError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.answer import answer, equivalence_classes
from rstar_math.search.environment import Environment
from rstar_math.types import Problem, Verdict
from tests.growing import ScriptedEngine, ScriptedRewardModel, path_of

SECRET = "424242"


class Spy:
    """Makes environments and keeps them; notes whatever their adapters were given."""

    def __init__(self, policy: FakePolicy | None = None) -> None:
        self.seen: list[str] = []
        self.environments: list[Environment] = []
        spy = self

        class SpyingEngine(FakeEngine):
            async def generate(self, prompt: str, params: Any) -> Any:
                spy.seen.append(prompt)
                return await super().generate(prompt, params)

        class SpyingRewardModel(FakeRewardModel):
            async def score(self, texts: Any) -> Any:
                spy.seen.extend(texts)
                return await super().score(texts)

        class SpyingGrader(FakeGrader):
            async def grade(self, gold: str, prediction: str | None) -> Verdict:
                spy.seen += [gold, str(prediction)]
                return await super().grade(gold, prediction)

        self._parts = SpyingEngine(policy), FakeExecutor(), SpyingGrader(), SpyingRewardModel()

    def environment(self, problem: Problem, seed: int) -> Environment:
        assert problem.answer is None
        engine, executor, grader, reward_model = self._parts
        self.environments.append(Environment(problem, engine, executor, grader, reward_model, seed))
        return self.environments[-1]


SEARCH = SearchSettings(num_rollouts=6, num_candidates=4, terminal_value="ppm")
PROBLEM = Problem("p", "Question?", SECRET, tier="gsm")


@pytest.mark.parametrize("name", ["mcts", "sample", "greedy"])
def test_no_search_ever_sees_the_reference(name: str) -> None:
    spy = Spy()
    settings = AnsweringSettings(strategy=name, search=SEARCH, num_trees=2, selector="vote")
    solution, trees = asyncio.run(answer(PROBLEM, spy.environment, settings, seed=0))
    assert spy.seen
    assert not any(SECRET in text for text in spy.seen)
    assert all(tree.problem == Problem("p", "Question?", None, tier="gsm") for tree in trees)
    assert all(node.correct is None for tree in trees for node in tree.nodes)
    assert all(trajectory.correct is None for trajectory in solution.candidates)


def test_an_answer_does_not_depend_on_the_reference() -> None:
    settings = AnsweringSettings(search=SEARCH)
    found = [
        asyncio.run(answer(Problem("p", "Question?", a), Spy().environment, settings, seed=1))[0].candidates
        for a in ("0", "1", None)
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]


def test_to_search_by_the_reference_is_refused() -> None:
    settings = AnsweringSettings(search=SEARCH.model_copy(update={"terminal_value": "reference"}))
    with pytest.raises(ConfigError, match="has no reference answer"):
        asyncio.run(answer(PROBLEM, Spy(FakePolicy(error_rate=0)).environment, settings, seed=0))


def test_trees_are_fresh_and_their_cost_adds_up() -> None:
    spy = Spy()
    settings = AnsweringSettings(search=SEARCH, num_trees=3, selector="vote")
    solution, trees = asyncio.run(answer(PROBLEM, spy.environment, settings, seed=40))
    assert [tree.seed for tree in trees] == [40_000, 40_001, 40_002]
    assert len({str([n.step for n in tree.nodes]) for tree in trees}) == 3
    assert solution.cost.tokens_generated == sum(tree.cost.tokens_generated for tree in trees)
    assert solution.cost.grades == sum(env.cost.grades for env in spy.environments) > 0
    assert len(solution.candidates) == sum(len(tree.trajectories()) for tree in trees)


SCRIPT = {"": ["a.", "b.", "c."], "a.": ["=7"], "b.": ["=8"], "c.": ["=7"]}
SCORES = {"a./=7": 0.0, "b./=8": 0.4, "c./=7": -0.6, "c.": 0.9}


def _answer(script: dict[str, list[str]], scores: dict[str, float], settings: AnsweringSettings) -> Any:
    def environment(problem: Problem, seed: int) -> Environment:
        return Environment(
            problem, ScriptedEngine(script), FakeExecutor(), FakeGrader(), ScriptedRewardModel(scores), seed
        )

    return asyncio.run(answer(PROBLEM, environment, settings, seed=0))


@pytest.mark.parametrize(
    ("selector", "chosen", "share"),
    [
        ("best", "8", 0.7 / 1.4),  # weights (1 + s) / 2: 0.5, 0.7, 0.2
        (
            "vote",
            "7",
            0.7 / 1.4,
        ),  # 0.5 + 0.2 against 0.7: a tie goes to the class that came first, c. (0.9 at the start)
        ("majority", "7", 2 / 3),
    ],
)
def test_a_choice_by_hand(selector: str, chosen: str, share: float) -> None:
    search = SearchSettings(num_rollouts=3, num_candidates=3, terminal_value="ppm")
    settings = AnsweringSettings.model_validate({"search": search, "selector": selector})
    solution, (tree,) = _answer(SCRIPT, SCORES, settings)
    assert solution.answer == chosen
    assert solution.confidence == pytest.approx(share)
    assert solution.trajectory is solution.candidates[0]
    assert solution.reasoning_trace == solution.trajectory.steps
    last = path_of(tree, tree.nodes[solution.trajectory.node_path[-1]])
    assert last == {"8": "b./=8", "7": "a./=7"}[chosen]  # within its class, the trajectory with the best score
    others = [t.ppm_score for t in solution.candidates[1:]]
    assert others == sorted(others, reverse=True)


def test_candidates_are_ordered_by_the_aggregate_that_chose() -> None:
    # minimum over the steps: a. 0.0, b. -0.5 (its last score is the best), c. -0.6
    scores = {"a./=7": 0.1, "b.": -0.5, "b./=8": 0.8, "c./=7": -0.6}
    search = SearchSettings(num_rollouts=3, num_candidates=3, terminal_value="ppm")
    settings = AnsweringSettings(search=search, selector="best", aggregate="min")
    solution, _ = _answer(SCRIPT, scores, settings)
    assert [min(t.ppm_scores) for t in solution.candidates] == [0.0, -0.5, -0.6]
    assert [t.answer for t in solution.candidates] == ["7", "8", "7"]


def test_nothing_finished_is_no_answer() -> None:
    search = SearchSettings(num_rollouts=3, num_candidates=2, terminal_value="ppm")
    solution, (tree,) = _answer({"": ["a!", "b?"]}, {}, AnsweringSettings(search=search))
    assert (solution.answer, solution.trajectory, solution.reasoning_trace) == (None, None, ())
    assert solution.confidence == 0
    assert solution.cost.tokens_generated == tree.cost.tokens_generated == 20


def test_answers_without_a_box_are_kept_but_never_chosen() -> None:
    search = SearchSettings(num_rollouts=3, num_candidates=3, terminal_value="ppm")
    script = {"": ["a.", "b.", "c."], "a.": ["="], "b.": ["="], "c.": ["=7"]}
    scores = {"a./=": 0.9, "b./=": 0.9, "c./=7": -0.9}
    solution, _ = _answer(script, scores, AnsweringSettings(search=search, selector="majority"))
    assert (solution.answer, solution.confidence) == ("7", 1.0)
    assert [t.answer for t in solution.candidates] == ["7", None, None]


def test_a_strategy_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="strategy 'dfs' is not known; choose from greedy, sample, beam"):
        _answer(SCRIPT, SCORES, AnsweringSettings(strategy="dfs"))


def test_equivalence_classes() -> None:
    asked: list[tuple[str, str | None]] = []

    async def grade(gold: str, prediction: str | None) -> Verdict:
        asked.append((gold, prediction))
        return Verdict(equal=float(gold) == float(str(prediction)), rule="number")

    answers = ["1", None, "2", "1.0", "2", None, "3", "1.0"]
    assert asyncio.run(equivalence_classes(answers, grade)) == [0, 1, 2, 0, 2, 5, 6, 0]
    # one question per new text and class that stood before it
    assert asked == [("1", "2"), ("1", "1.0"), ("1", "3"), ("2", "3")]
    assert asyncio.run(equivalence_classes([], grade)) == []


def test_a_settled_vote_ends_the_search() -> None:
    search = SearchSettings(num_rollouts=1, num_candidates=2, terminal_value="ppm")
    script, scores = {"": ["a."], "a.": ["=7"]}, {"a./=7": 0.9}
    for settled, num_trees in ((None, 10), (0.7, 1), (0.9, 3), (0.99, 6)):
        # every tree says the same: the lead after k votes is 1 - 0.5 ** (k + 1)
        settings = AnsweringSettings(search=search, num_trees=10, selector="vote", settled=settled)
        solution, trees = _answer(script, scores, settings)
        assert len(trees) == num_trees
        assert (solution.answer, solution.confidence) == ("7", 1.0)


def test_an_open_vote_goes_on() -> None:
    search = SearchSettings(num_rollouts=2, num_candidates=2, terminal_value="ppm")
    script, scores = {"": ["a.", "b."], "a.": ["=7"], "b.": ["=8"]}, {"a./=7": 0.9, "b./=8": 0.9}
    settings = AnsweringSettings(search=search, num_trees=5, selector="vote", settled=0.6)
    solution, trees = _answer(script, scores, settings)
    assert len(trees) == 5
    assert solution.confidence == pytest.approx(0.5)


class Doubting(FakeExecutor):
    """Whole programs of some answers do not come out as they did step by step, as after a neighbour's mischief."""

    def __init__(self, doubted: set[str]) -> None:
        super().__init__()
        self.doubted = doubted
        self.programs: list[tuple[str, ...]] = []

    async def execute_program(self, steps: Any) -> list[Any]:
        self.programs.append(tuple(steps))
        again = await super().execute_program(steps)
        return [replace(e, output="forged") if e.output.strip() in self.doubted else e for e in again]


def doubted_answer(doubted: set[str]) -> tuple[Any, Doubting]:
    executor = Doubting(doubted)

    def environment(problem: Problem, seed: int) -> Environment:
        return Environment(problem, FakeEngine(), executor, FakeGrader(), FakeRewardModel(), seed)

    settings = AnsweringSettings(search=SEARCH, num_trees=2, selector="vote")
    return asyncio.run(answer(PROBLEM, environment, settings, seed=0))[0], executor


def test_an_answer_rests_on_a_program_that_was_run_once_more_in_a_fresh_process() -> None:
    solution, executor = doubted_answer(set())
    assert solution.num_not_reproduced == 0
    assert executor.programs == [tuple(s.code for s in solution.trajectory.steps if s.execution is not None)]
    plain, _ = doubted_answer({"an output that nothing prints"})
    assert plain.cost.executions == solution.cost.executions
    assert executor.num_executions == solution.cost.executions  # the one program is part of the cost


def test_a_trajectory_that_does_not_come_out_the_same_is_dropped_and_counted() -> None:
    trusted, _ = doubted_answer(set())
    printed = {
        s.execution.output.strip() for s in trusted.trajectory.steps if s.execution and s.execution.output.strip()
    }
    assert printed
    solution, executor = doubted_answer(printed)
    assert solution.num_not_reproduced >= 1
    programs = {tuple(s.code for s in t.steps if s.execution is not None) for t in solution.dropped}
    assert len(executor.programs) == len(programs) + (solution.trajectory is not None)
    assert trusted.trajectory not in solution.candidates
    if solution.trajectory is not None:
        outputs = {s.execution.output.strip() for s in solution.trajectory.steps if s.execution}
        assert not outputs & printed
