"""The Python API, on the shipped pocket model."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rstar_math import Problem, RStarMathModel, UserError
from rstar_math.benchmarks.problems import load_problems
from rstar_math.config import ProblemSource
from rstar_math.errors import ConfigError, ModelError


@pytest.fixture(scope="module")
def model() -> Iterator[RStarMathModel]:
    with RStarMathModel.from_pretrained("pocket") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def problems() -> tuple[Problem, ...]:
    return load_problems(ProblemSource(source="pocket/test", num_problems=12)).problems


def test_it_solves_and_shows_verified_steps(model: RStarMathModel, problems: tuple[Problem, ...]) -> None:
    right = 0
    for problem in problems:
        solution = model.solve_with_mcts(problem, num_simulations=1, max_depth=20)
        right += solution.answer == problem.answer
        assert 0 <= solution.confidence <= 1
        if solution.answer is not None:
            programs = [s for s in solution.reasoning_trace if s.execution is not None]
            assert programs
            assert all(s.execution is not None and s.execution.ok for s in programs)
            assert solution.reasoning_trace[-1].answer == solution.answer
        assert solution.cost.tokens_generated > 0
        assert solution.cost.executions > 0
    assert right >= len(problems) // 2  # a broken search or a lost model solves next to none


def test_the_same_seed_gives_the_same_solution(model: RStarMathModel, problems: tuple[Problem, ...]) -> None:
    a, b = (model.solve_with_mcts(problems[0], seed=5) for _ in range(2))
    assert a.answer == b.answer
    assert [s.text for s in a.reasoning_trace] == [s.text for s in b.reasoning_trace]
    assert a.cost.tokens_generated == b.cost.tokens_generated


@pytest.mark.parametrize("strategy", ["mcts", "sample"])
def test_a_limit_gives_the_best_answer_so_far(
    model: RStarMathModel, problems: tuple[Problem, ...], strategy: str
) -> None:
    spent = []
    for limit in (400, 1000):
        solution = model.solve(problems[0], strategy, num_simulations=1, max_tokens=limit, max_seconds=120)
        assert limit * 0.7 < solution.cost.tokens_generated < limit * 1.1
        assert 0 < solution.confidence <= 1
        assert solution.sure is None  # the threshold was chosen at another budget
        spent.append(len(solution.candidates))
    assert spent[1] > spent[0] > 0
    few = model.solve(problems[0], "sample", num_simulations=1, max_rollouts=3)
    assert len(few.candidates) <= 3
    with pytest.raises(ConfigError, match="max_tokens is 0"):
        model.solve(problems[0], max_tokens=0)


def test_evaluate_step_is_a_probability_that_tells_steps_apart(
    model: RStarMathModel, problems: tuple[Problem, ...]
) -> None:
    answered = 0
    for problem in problems:
        solution = model.solve_with_mcts(problem)
        if solution.answer != problem.answer:
            continue
        answered += 1
        steps = solution.reasoning_trace
        good = model.evaluate_step(problem.question, steps[0].text)
        assert 0 <= good <= 1
        assert good == pytest.approx(model.evaluate_step((), steps[0].text, question=problem.question))
        later = model.evaluate_step(steps[:1], steps[1].text, question=problem.question)
        assert 0 <= later <= 1
    assert answered


def test_calls_from_many_threads_do_not_mix(model: RStarMathModel, problems: tuple[Problem, ...]) -> None:
    alone = [model.solve(p, "greedy").answer for p in problems[:4]]
    together: list[str | None] = [None] * 4

    def solve(i: int) -> None:
        together[i] = model.solve(problems[i], "greedy").answer

    threads = [threading.Thread(target=solve, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert together == alone


def test_bad_input_is_a_user_error(model: RStarMathModel) -> None:
    with pytest.raises(ConfigError, match="empty"):
        model.solve_with_mcts("   ")
    with pytest.raises(ConfigError, match="num_rollouts is 0"):
        model.solve_with_mcts("What is 2 + 3?", num_simulations=0)
    with pytest.raises(UserError, match="mtcs"):
        model.solve("What is 2 + 3?", "mtcs")


def test_a_closed_model_says_so() -> None:
    loaded = RStarMathModel.from_pretrained("pocket-base")
    with pytest.raises(ModelError, match="process preference model"):
        loaded.evaluate_step("What is 2 + 3?", "x = 2 + 3")
    loaded.close()
    loaded.close()
    with pytest.raises(ModelError, match="closed"):
        loaded.solve("What is 2 + 3?", "greedy")
