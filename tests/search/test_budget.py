"""Budgets: limits hold, what was finished before stands, and the account is exact."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import AnsweringSettings, BudgetSettings, SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy
from rstar_math.errors import ConfigError
from rstar_math.search.answer import answer
from rstar_math.search.budget import Budget, BudgetSpent
from rstar_math.search.environment import Environment
from rstar_math.search.strategies import STRATEGIES, grow, strategy
from rstar_math.types import Problem, SamplingParams, Solution
from tests.growing import fake_environment

SEARCH = SearchSettings(num_rollouts=6, num_candidates=4, terminal_value="ppm", max_step_tokens=40)
LONG = FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0)


def _environment(problem: Problem, seed: int) -> Environment:
    return fake_environment(problem, seed, engine=FakeEngine(LONG))


def _answer(name: str, settings: AnsweringSettings, engine: FakeEngine | None = None, seed: int = 0) -> Solution:
    def environment(problem: Problem, seed: int) -> Environment:
        return fake_environment(problem, seed, engine=engine or FakeEngine(LONG))

    return asyncio.run(
        answer(Problem("p", "Question?"), environment, settings.model_copy(update={"strategy": name}), seed)
    )[0]


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n != "greedy"])
@pytest.mark.parametrize("tokens", [60, 400, 3000])
def test_a_limit_of_tokens_is_used_and_hardly_passed(name: str, tokens: int) -> None:
    solution = _answer(name, AnsweringSettings(search=SEARCH, budget=BudgetSettings(tokens=tokens)))
    spent = solution.cost.tokens_generated
    # passed at most by the deviation of one request's candidates from their mean, and by finishing what has begun
    assert spent <= tokens + 60
    if tokens > 60:
        assert spent > 0.8 * tokens
        assert solution.answer is not None
        assert 0 < solution.confidence <= 1


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n != "greedy"])
def test_a_limit_of_rollouts_is_kept_exactly(name: str) -> None:
    budget = BudgetSettings(rollouts=8)
    seen: list[Environment] = []

    def environment(problem: Problem, seed: int) -> Environment:
        seen.append(fake_environment(problem, seed, LONG))
        return seen[-1]

    settings = AnsweringSettings(strategy=name, search=SEARCH, budget=budget, num_trees=1)
    solution, trees = asyncio.run(answer(Problem("p", "Question?"), environment, settings, 0))
    assert len(trees) > 1  # one tree has 6 rollouts, or 4 where it is a beam
    assert seen[-1].budget.num_rollouts == 8
    assert sum(len(tree.rollouts) for tree in trees) <= 8
    assert solution.answer is not None


class Clock:
    """Stands in for `time` in the budget."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n != "greedy"])
def test_a_limit_of_seconds_gives_the_best_so_far(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("rstar_math.search.budget.time", clock)

    class Slow(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            clock.now += 1.0
            return await super().generate(prompt, params)

    settings = AnsweringSettings(search=SEARCH, budget=BudgetSettings(seconds=60))
    solution = _answer(name, settings, Slow(LONG))
    assert 60 <= clock.now - 100 < 80  # a request that has begun ends; after that no other begins
    assert solution.answer is not None


def test_a_request_that_takes_too_long_is_given_up() -> None:
    class Stuck(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            if self.num_requests >= 8:
                await asyncio.Event().wait()
            return await super().generate(prompt, params)

    settings = AnsweringSettings(search=SEARCH, budget=BudgetSettings(seconds=0.3))
    solution = _answer("mcts", settings, Stuck(LONG))
    assert solution.answer is not None
    assert solution.cost.seconds >= 0.25


def test_an_error_of_the_engine_is_not_taken_for_the_end_of_the_budget() -> None:
    class Broken(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            raise TimeoutError("the server does not answer")

    for budget in (BudgetSettings(), BudgetSettings(seconds=60)):
        with pytest.raises(TimeoutError, match="does not answer"):
            _answer("mcts", AnsweringSettings(search=SEARCH, budget=budget), Broken(LONG))


@pytest.mark.parametrize(
    ("limits", "at_once"),
    [({"seconds": 60}, 4), ({"seconds": 60, "tokens": 10_000}, 1), ({"seconds": 60, "rollouts": 99}, 1)],
)
def test_trees_grow_side_by_side_where_only_the_clock_ends_them(
    limits: dict[str, int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, in_flight = Clock(), [0]
    monkeypatch.setattr("rstar_math.search.budget.time", clock)

    class Clocked(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Any:
            clock.now += 1.0
            in_flight.append(in_flight[-1] + 1)
            await asyncio.sleep(0)
            in_flight.append(in_flight[-1] - 1)
            return await super().generate(prompt, params)

    search = SEARCH.model_copy(update={"num_rollouts": 1})
    settings = AnsweringSettings(search=search, num_trees=4, budget=BudgetSettings.model_validate(limits))
    solution = _answer("mcts", settings, Clocked())
    assert max(in_flight) == at_once
    assert max(in_flight[:5]) == 1  # the first grows alone
    assert len(solution.candidates) > 5  # others follow


def test_nothing_that_fits_is_no_answer() -> None:
    solution = _answer("mcts", AnsweringSettings(search=SEARCH, budget=BudgetSettings(tokens=5)))
    assert (solution.answer, solution.confidence) == (None, 0.0)
    assert solution.cost.tokens_generated < 40


def test_the_tree_says_that_the_budget_ended_it() -> None:
    env = fake_environment(Problem("p", "Question?", "1"))
    env.budget = Budget(BudgetSettings(tokens=300))
    tree = asyncio.run(strategy("mcts").grow(env, SEARCH.model_copy(update={"num_rollouts": 10_000})))
    assert tree.stopped == "budget"
    assert tree.cost.tokens_generated == env.budget.num_tokens


def test_greedy_decoding_is_not_said_twice() -> None:
    solution = _answer("greedy", AnsweringSettings(search=SEARCH, budget=BudgetSettings(tokens=10_000)))
    assert len(solution.candidates) == 1


def test_what_never_spends_anything_ends() -> None:
    class Full(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Any:
            return Generation((), 5)

    for budget in (BudgetSettings(tokens=100), BudgetSettings(rollouts=100), BudgetSettings(seconds=60)):
        for name in STRATEGIES:
            assert _answer(name, AnsweringSettings(search=SEARCH, budget=budget), Full()).answer is None


OWN = """
from rstar_math.search.expansion import expand
from rstar_math.tree import Tree


async def careless(env, settings):
    tree = Tree.start(env.problem, "careless", env.seed)
    for _ in range(settings.num_rollouts):
        node = tree.root
        while node.terminal is None:
            if not node.expanded:
                await expand(env, tree, node, settings)
            if node.terminal is None:
                node = env.rng.choice(tree.children(node))
        tree.rollouts.append(node.index)
    return tree


async def within(env, settings):
    tree = Tree.start(env.problem, "within", env.seed)
    with env.within_budget(tree):
        while True:
            node = tree.root
            while node.terminal is None:
                if not node.expanded:
                    await expand(env, tree, node, settings)
                if node.terminal is None:
                    node = env.rng.choice(tree.children(node))
            tree.rollouts.append(node.index)
            if len(tree.rollouts) == settings.num_rollouts:
                break
    return tree


async def nothing(env, settings):
    return None
"""


class TestOwnStrategies:
    """Strategies of a user's file, which need not know of rollouts that are counted, nor of costs."""

    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        (tmp_path / "own.py").write_text(OWN)
        return tmp_path / "own.py"

    def test_limits_hold(self, own: Path) -> None:
        for limits, spent in (({"rollouts": 8}, None), ({"tokens": 400}, 400)):
            settings = AnsweringSettings(strategy=f"{own}:within", search=SEARCH, budget=BudgetSettings(**limits))
            found = asyncio.run(answer(Problem("p", "Question?"), _environment, settings, 0))
            solution, trees = found
            assert solution.answer is not None
            assert 0 < solution.confidence <= 1
            if spent is None:
                assert sum(len(tree.rollouts) for tree in trees) == 8  # 6 in the first tree, 2 in the second
            else:
                assert 0.8 * spent < solution.cost.tokens_generated <= spent + 60
                assert solution.cost.tokens_generated == sum(tree.cost.tokens_generated for tree in trees)

    def test_what_is_no_strategy_is_told(self, own: Path) -> None:
        settings = AnsweringSettings(search=SEARCH, budget=BudgetSettings(tokens=400))
        with pytest.raises(ConfigError, match=r"careless does not end where its budget does.*within_budget"):
            _answer(f"{own}:careless", settings)
        with pytest.raises(ConfigError, match="nothing gave a NoneType; it must return a Tree"):
            _answer(f"{own}:nothing", settings)

    def test_its_cost_is_booked(self, own: Path) -> None:
        env = fake_environment(Problem("p", "Question?", "1"), 0, engine=FakeEngine(LONG))
        tree = asyncio.run(grow(f"{own}:careless", env, SEARCH))
        assert tree.cost.tokens_generated == sum(node.num_tokens * node.num_proposed for node in tree.nodes) > 0


class TestAccount:
    """`Budget` by hand."""

    def test_the_first_candidate_tells_how_long_the_others_are(self) -> None:
        budget = Budget(BudgetSettings(tokens=100))
        first = budget.reserve(8, 50, "step")
        assert first.num_candidates == 1  # eight of 50 tokens would not fit
        budget.pay(first, 1, 10)
        second = budget.reserve(20, 50, "step")
        assert second.num_candidates == 9  # 90 tokens are left, 10 each
        assert budget.reserve(1, 50, "step").num_candidates == 0  # all of it is set aside
        budget.pay(second, 9, 60)
        assert budget.num_tokens == 70
        assert budget.reserve(20, 50, "step").num_candidates == 4  # 7 tokens each, 30 left

    def test_what_certainly_fits_is_granted_at_once(self) -> None:
        assert Budget(BudgetSettings(tokens=400)).reserve(8, 50, "step").num_candidates == 8

    def test_what_was_begun_may_be_finished(self) -> None:
        budget = Budget(BudgetSettings(tokens=10))
        budget.pay(budget.reserve(1, 10, "step"), 1, 10)
        assert budget.spent
        assert budget.reserve(1, 10, "step").num_candidates == 0
        assert budget.reserve(1, 10, "step", at_least=1).num_candidates == 1

    def test_rollouts(self) -> None:
        budget = Budget(BudgetSettings(rollouts=5))
        assert [budget.begin_rollouts(3), budget.begin_rollouts(3)] == [3, 2]
        with pytest.raises(BudgetSpent):
            budget.begin_rollouts(1)

    def test_without_limits_everything_is_granted(self) -> None:
        budget = Budget()
        assert budget.begin_rollouts(10**9) == budget.reserve(10**9, 10**9, "step").num_candidates == 10**9
        assert not budget.limited
        assert not budget.spent
