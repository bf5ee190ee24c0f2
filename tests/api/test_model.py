"""The Python API, on the shipped pocket model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from rstar_math import Problem, RStarMathModel, Solution, UserError
from rstar_math.config import AnsweringSettings, ProblemSource
from rstar_math.errors import ConfigError, ModelError
from rstar_math.problems.load import load_problems
from rstar_math.training.calibration import expected_calibration_error


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
        good = model.evaluate_step(problem.question, steps[0].text, num_rollouts=0)
        assert 0 <= good <= 1
        assert good == pytest.approx(model.evaluate_step((), steps[0].text, question=problem.question, num_rollouts=0))
        later = model.evaluate_step(steps[:1], steps[1].text, question=problem.question, num_rollouts=0)
        assert 0 <= later <= 1
    assert answered


@pytest.fixture(scope="module")
def judged(model: RStarMathModel) -> dict[str, list[tuple[float, bool]]]:
    """Steps of fresh solutions of 40 test problems: what the reward model alone says, and how each solution ended."""
    found: dict[str, list[tuple[float, bool]]] = {"step": [], "answer": []}
    fresh = load_problems(ProblemSource(source="pocket/test", num_problems=40, seed=31)).problems

    async def solved() -> list[Solution]:
        settings = sampling(model, 3)
        return await asyncio.gather(*(model.asolve(p, settings=settings, seed=i) for i, p in enumerate(fresh)))

    for problem, solution in zip(fresh, asyncio.run(solved()), strict=True):
        for trajectory in solution.candidates:
            steps = trajectory.steps
            for k, step in enumerate(steps):
                if step.answer is None and step.text.endswith("<end_of_code>"):
                    continue
                kind = "answer" if step.answer is not None else "step"
                said = model.evaluate_step(steps[:k], step.text, question=problem.question, num_rollouts=0)
                found[kind].append((said, trajectory.answer == problem.answer))
    return found


def sampling(model: RStarMathModel, num_samples: int) -> AnsweringSettings:
    """Independent solutions at the model's temperature."""
    search = model.answering.search.model_copy(update={"num_rollouts": num_samples})
    return AnsweringSettings(strategy="sample", search=search, selector="majority")


def test_right_steps_get_high_probabilities_and_wrong_ones_low(judged: dict[str, list[tuple[float, bool]]]) -> None:
    for kind in ("step", "answer"):
        right = sorted(p for p, ended_right in judged[kind] if ended_right)
        wrong = sorted(p for p, ended_right in judged[kind] if not ended_right)
        assert len(wrong) >= 10
        assert right[len(right) // 2] > 0.8
        assert right[len(right) // 2] > wrong[len(wrong) // 2] + 0.1
    whole_wrong = sorted(p for p, ended_right in judged["answer"] if not ended_right)
    assert whole_wrong[len(whole_wrong) // 2] < 0.7


def test_probabilities_hold_on_fresh_problems(judged: dict[str, list[tuple[float, bool]]]) -> None:
    """On 3,000 solutions of 500 problems the error is 2.5 % (docs/log.md); on so few, chance adds its part."""
    both = judged["step"] + judged["answer"]
    p, y = (np.array(values, dtype=float) for values in zip(*both, strict=True))
    assert expected_calibration_error(p, y) < 0.12
    assert ((p - y) ** 2).mean() < ((y.mean() - y) ** 2).mean()


@pytest.mark.parametrize(
    "question",
    [
        "A car drives at 60 km/h for 3 hours. How far does it go?",
        "Bo has 79 euros, earns 22 a month for 7 months and spends 40. What is left?",
        "What is the lowest common multiple of 16, 40 and 36?",
        "Find the cube of 17.",
        "What is 2 + 2?",
    ],
)
def test_it_is_never_sure_outside_of_its_world(model: RStarMathModel, question: str) -> None:
    solution = model.solve(question)
    assert solution.outside is True
    assert solution.sure is False


def test_it_is_sure_of_most_of_its_own_world(model: RStarMathModel, problems: tuple[Problem, ...]) -> None:
    solutions = [model.solve(problem) for problem in problems]
    assert sum(solution.outside is False for solution in solutions) >= len(problems) - 1
    assert sum(solution.sure is True for solution in solutions) >= len(problems) // 2


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
