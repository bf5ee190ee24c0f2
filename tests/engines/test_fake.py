"""The fakes answer as a pure function of what was asked, and their programs mean what real Python says they mean."""

from __future__ import annotations

import asyncio
import contextlib
import io

import pytest

from rstar_math import steps
from rstar_math.engines.base import Engine, Generation, RewardModel
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel, num_fake_tokens
from rstar_math.errors import EngineError
from rstar_math.execution.base import Executor
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.base import Grader
from rstar_math.grading.fake import FakeGrader
from rstar_math.types import SamplingParams

STEP = SamplingParams(n=8, max_tokens=64, stop=steps.STOPS, seed=3)


def _generate(engine: Engine, prompts: list[str], params: SamplingParams = STEP) -> list[Generation]:
    async def run() -> list[Generation]:
        return await asyncio.gather(*(engine.generate(prompt, params) for prompt in prompts))

    return asyncio.run(run())


def test_completions_do_not_depend_on_company_or_latency() -> None:
    prompts = [steps.prompt(f"question {i}") for i in range(20)]
    together = _generate(FakeEngine(latency_seed=1), prompts)
    alone = [_generate(FakeEngine(max_latency_turns=0), [prompt])[0] for prompt in prompts]
    assert together == alone
    assert len({generation.completions for generation in together}) > 10


def test_candidates_hold_duplicates_and_seeds_change_them() -> None:
    prompt = steps.prompt("any")
    texts = [c.text for c in _generate(FakeEngine(FakePolicy(num_branches=4)), [prompt])[0].completions]
    assert 1 < len(set(texts)) <= 4
    other = SamplingParams(n=8, max_tokens=64, stop=steps.STOPS, seed=4)
    assert [c.text for c in _generate(FakeEngine(), [prompt], other)[0].completions] != texts


def test_greedy_candidates_are_equal_for_every_seed() -> None:
    greedy = [SamplingParams(n=3, temperature=0, max_tokens=64, stop=steps.STOPS, seed=seed) for seed in (1, 2)]
    first, second = (_generate(FakeEngine(), [steps.prompt("q")], params)[0] for params in greedy)
    assert first == second
    assert len(set(first.completions)) == 1


async def _whole_solution(engine: Engine, executor: Executor, question: str, seed: int) -> tuple[str, list[str]] | None:
    """Follows the first well-formed, executing candidate of every step; None where there is none."""
    text, codes, closed = steps.prompt(question), list[str](), False
    for _ in range(10):
        params = SamplingParams(n=8, max_tokens=64, stop=steps.STOPS, seed=seed)
        for candidate in (await engine.generate(text, params)).completions:
            step = steps.step_from_text(candidate.text + (candidate.stop or ""))
            if steps.malformed(step.text, candidate.stop, closed) is not None:
                continue
            if candidate.stop == steps.END_OF_ANSWER:
                return text + step.text, codes
            execution = await executor.execute(codes, step.code)
            if execution.ok:
                text, closed = text + step.text, candidate.stop == steps.END_OF_CODE
                text += steps.observation(execution.output) if closed else ""
                codes.append(step.code)
                break
        else:
            return None
    return None


def test_solutions_finish_and_agree_with_real_python() -> None:
    async def run() -> list[tuple[str, list[str]] | None]:
        engine, executor = FakeEngine(), FakeExecutor()
        return [await _whole_solution(engine, executor, f"question {i}", i) for i in range(60)]

    solutions = [solution for solution in asyncio.run(run()) if solution is not None]
    assert len(solutions) > 50
    assert {len(codes) for _, codes in solutions} == {1, 2, 3, 4}
    for text, codes in solutions:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec("\n".join(codes), {})  # the fake policy's own sums, not model-written code
        assert f"{steps.OUTPUT}{printed.getvalue().strip()}{steps.END_OF_OUTPUT}" in text
        response = steps.split_prompt(text)[1]
        assert steps.render(steps.parse(response)) == response
    boxed = [steps.last_boxed(text) for text, _ in solutions]
    assert {"0", "1", "2"} <= set(boxed)


def test_every_kind_of_bad_candidate_occurs() -> None:
    async def run() -> tuple[set[str | None], set[str]]:
        engine, executor = FakeEngine(FakePolicy(malformed_rate=0.3, error_rate=0.3)), FakeExecutor()
        reasons, statuses = set[str | None](), set[str]()
        for i in range(40):
            for c in (await engine.generate(steps.prompt(f"q{i}"), STEP)).completions:
                text = c.text + (c.stop or "")
                reason = steps.malformed(text, c.stop, False)
                reasons.add(reason)
                if reason is None:
                    statuses.add((await executor.execute([], steps.code_of(text))).status)
        return reasons, statuses

    reasons, statuses = asyncio.run(run())
    assert len(reasons) == 4  # None, no stop marker, output written, early answer
    assert statuses == {"ok", "error"}


def test_without_stops_a_completion_runs_to_its_answer() -> None:
    policy = FakePolicy(malformed_rate=0)
    completions = _generate(FakeEngine(policy), [steps.prompt("q")], SamplingParams(n=5))[0].completions
    assert all(c.stop is None and c.text.endswith(steps.END_OF_ANSWER) for c in completions)


def test_max_tokens_cuts_the_text() -> None:
    params = SamplingParams(n=4, max_tokens=5, stop=steps.STOPS)
    for completion in _generate(FakeEngine(), [steps.prompt("q")], params)[0].completions:
        assert completion.stop is None
        assert completion.num_tokens == num_fake_tokens(completion.text) == 5


def test_prompts_beyond_the_context_are_refused() -> None:
    with pytest.raises(EngineError, match="but the fake context holds 10"):
        _generate(FakeEngine(FakePolicy(context_length=10)), [steps.prompt("q")])


def test_scores_depend_on_the_text_alone() -> None:
    async def run(reward_model: RewardModel, texts: list[str]) -> list[float]:
        return [score.value for score in await reward_model.score(texts)]

    forward = asyncio.run(run(FakeRewardModel(), ["a", "b", "c"]))
    backward = asyncio.run(run(FakeRewardModel(latency_seed=9), ["c", "b", "a"]))
    assert forward == backward[::-1]
    assert len(set(forward)) == 3
    assert all(-1 < value < 1 for value in forward)


@pytest.mark.parametrize(
    ("prefix", "code", "status", "output", "error"),
    [
        ([], "x = 3 * 4\nprint(x)", "ok", "12\n", None),
        (["x = 2", "print(x)"], "print(x - 5)", "ok", "-3\n", None),
        ([], "print(1)\nprint(y)", "error", "1\n", "NameError: name 'y' is not defined"),
        ([], "x = 1 // 0", "error", "", "ZeroDivisionError: integer division or modulo by zero"),
        ([], "import os", "error", "", "FakeUnknown: the fake executor does not know: import os"),
    ],
)
def test_fake_execution(prefix: list[str], code: str, status: str, output: str, error: str | None) -> None:
    execution = asyncio.run(FakeExecutor().execute(prefix, code))
    assert (execution.status, execution.output) == (status, output)
    if error is None or "Zero" not in error:  # the wording of a division by zero differs between Python versions
        assert execution.error == error


def test_fake_program_stops_at_the_first_failure() -> None:
    executions = asyncio.run(FakeExecutor().execute_program(["x = 1", "y = z", "print(x)"]))
    assert [execution.status for execution in executions] == ["ok", "error"]


def test_fake_grader_compares_texts() -> None:
    async def run() -> list[bool]:
        grader: Grader = FakeGrader()
        return [(await grader.grade(*pair)).equal for pair in (("2", " 2 "), ("2", "3"), ("2", None))]

    assert asyncio.run(run()) == [True, False, False]
