"""Whatever is answered rests on a program that came out the same in a fresh process: by every strategy and form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from rstar_math import steps
from rstar_math.config import AnsweringSettings, ExecutionSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.evaluation.methods import read_methods
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.models import SHIPPED, default_answering, find_model
from rstar_math.search.answer import answer
from rstar_math.search.confirm import recorded
from rstar_math.search.strategies import STRATEGIES
from rstar_math.types import Completion, Execution, Problem, SamplingParams, Solution, Unfinished
from rstar_math.workers.bench import Workbench
from rstar_math.workers.jobs import Answered, graded

PROBLEM = Problem("p", "What?", "1")
SURE_HAND = FakePolicy(malformed_rate=0, slip_rate=0)


class Forging:
    """A sandbox in which what runs step by step is forged where `forged` says so; whole programs are as they are."""

    def __init__(self, inner: SandboxExecutor, forged: dict[str, str]) -> None:
        self.inner, self.forged, self.programs = inner, forged, list[list[str]]()

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        made = await self.inner.execute(prefix, code)
        return replace(made, output=self.forged[made.output]) if made.output in self.forged else made

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        self.programs.append(list(steps))
        return await self.inner.execute_program(steps)

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        return await self.inner.record_program(steps)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Programs:
    """Writes whole programs that print nothing: what `answer` holds is asked for."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        texts = [f"\nanswer = {(params.seed + i) % 3}\n" for i in range(params.n)]
        return Generation(tuple(Completion(t, steps.END_OF_CODE, 5, 0.0) for t in texts), num_prompt_tokens=3)

    async def aclose(self) -> None:
        """Nothing is held."""


class Sandbox:
    """One sandbox for all tests of this file, on a loop of its own."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.executor = SandboxExecutor(ExecutionSettings(num_slots=1))

    def answered(self, engine: Engine, settings: AnsweringSettings, forged: dict[str, str]) -> tuple[Answered, Forging]:
        """An answer to the problem, and the sandbox that forged outputs on the way."""
        executor = Forging(self.executor, forged)
        bench = Workbench(engine, executor, FakeGrader(), FakeRewardModel(), shares_tools=True)

        async def run() -> Answered:
            solution, trees = await answer(PROBLEM, bench.environment, settings, seed=0)
            return await graded(PROBLEM, solution, bench, trees, settings)

        return self.runner.run(run()), executor


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox()
    with made.runner:
        yield made
        made.runner.run(made.executor.aclose())


def checked(solution: Solution, executor: Forging) -> None:
    """The answer's program ran as a whole, and its record is what came out."""
    assert executor.programs, "nothing was run once more"
    if solution.trajectory is None:
        assert solution.unfinished == Unfinished.NOT_REPRODUCED
        return
    codes = [s.code for s in solution.reasoning_trace if s.execution is not None]
    assert any(program[: len(codes)] == codes for program in executor.programs)
    assert not set(solution.dropped) & set(solution.candidates)


SEARCH = {"num_rollouts": 4, "num_candidates": 4, "terminal_value": "ppm"}
FORGED = {"1\n": "7\n"}
"""What a neighbour's mischief makes of an output."""


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("form", ["steps", "official", "program"])
def test_every_strategy_and_form_answers_by_what_was_run_again(name: str, form: str, sandbox: Sandbox) -> None:
    more = {"observation": "official"} if form == "official" else {"form": form}
    search = SearchSettings.model_validate(SEARCH | more)
    engine = Programs() if form == "program" else FakeEngine(SURE_HAND)
    honest, executor = sandbox.answered(engine, AnsweringSettings(strategy=name, search=search, num_trees=2), {})
    if honest.solution.answer is None:  # the one greedy solution may have failed
        assert name == "greedy"
        return
    checked(honest.solution, executor)
    assert honest.solution.num_not_reproduced == 0
    # one program for the answer, and one for each other that counts as right
    counted = [t for t in honest.solution.candidates if t.answer == "1" or t == honest.solution.trajectory]
    assert len(executor.programs) == len({tuple(recorded(t)) for t in counted})

    settings = AnsweringSettings(strategy=name, search=search, num_trees=2)
    forged, executor = sandbox.answered(engine, settings, {"0\n": "7\n", "1\n": "7\n", "2\n": "7\n"})
    checked(forged.solution, executor)
    assert forged.solution.answer != "7"
    assert forged.solution.num_not_reproduced == len(forged.solution.dropped) > 0
    assert all(c.answer_class is None or c.correct is not None for c in forged.candidates)


@pytest.mark.parametrize("selector", ["best", "vote", "majority"])
@pytest.mark.parametrize("name", ["sample", "mcts", "forest"])
def test_the_next_by_the_same_rule_is_taken_and_what_was_dropped_counts_nowhere(
    name: str, selector: str, sandbox: Sandbox
) -> None:
    settings = AnsweringSettings.model_validate(
        {"strategy": name, "selector": selector, "search": SEARCH | {"num_rollouts": 12}, "num_trees": 2}
    )
    forged, executor = sandbox.answered(FakeEngine(SURE_HAND), settings, FORGED)
    solution = forged.solution
    checked(solution, executor)
    assert solution.answer in ("0", "2")
    for dropped in solution.dropped:
        assert dropped.answer == "7"
    assert solution.candidates[0] == solution.trajectory
    finished = [c for c in forged.candidates if c.answer_class is not None]
    assert len(finished) == len([t for t in solution.candidates if t.answer is not None])
    # equal trajectories are dropped together: each program is run once
    assert len({tuple(p) for p in executor.programs}) == len(executor.programs)


@pytest.mark.parametrize("name", ["sample", "mcts", "forest"])
def test_a_candidate_counts_as_right_only_if_its_program_says_so_again(name: str, sandbox: Sandbox) -> None:
    settings = AnsweringSettings.model_validate(
        {"strategy": name, "search": SEARCH | {"num_rollouts": 12}, "num_trees": 2}
    )
    honest, _ = sandbox.answered(FakeEngine(SURE_HAND), settings, {})
    forged, executor = sandbox.answered(FakeEngine(SURE_HAND), settings, {"0\n": "1\n"})

    def num_right(found: Answered) -> int:
        return sum(bool(candidate.correct) for candidate in found.candidates)

    assert {"0", "1"} <= {t.answer for t in honest.solution.candidates}, "nothing to forge"
    assert num_right(forged) == num_right(honest) > 0
    assert forged.solution.dropped
    assert {t.answer for t in forged.solution.dropped} == {"1"}
    assert not set(forged.solution.dropped) & set(forged.solution.candidates)
    assert len({tuple(p) for p in executor.programs}) == len(executor.programs)
    nothing_right, _ = sandbox.answered(FakeEngine(SURE_HAND), settings, {"0\n": "1\n", "1\n": "9\n"})
    assert nothing_right.any_correct is False


def test_methods_files_and_models_go_the_same_way() -> None:
    """Every method of the shipped file is one of the strategies above with other settings."""
    model = find_model("pocket")
    read = read_methods("pocket")
    assert {m.strategy for m in read.methods} <= set(STRATEGIES)
    assert default_answering(model).strategy in STRATEGIES
    assert SHIPPED.exists()
