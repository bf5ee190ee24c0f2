"""Forms of solution: code-augmented steps, one whole program, plain text; what is drawn at once and what is executed.

The paper's solutions are `steps` (section 3.2). The other two are what it sets them against: a program written in one
go (program of thought, Chen et al. 2022) and a chain of thought that nothing checks. A form says where the policy stops
writing and what becomes of a candidate; strategies know nothing of it, so that all of them work with all forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rstar_math import steps as step_format
from rstar_math.config import FormName, SearchSettings
from rstar_math.execution.observation import RecordedExecution, lines_before, official_observation
from rstar_math.search.together import all_of
from rstar_math.types import Execution, Step

_WHOLE = (step_format.END_OF_CODE, step_format.END_OF_ANSWER)
PRINT_ANSWER = "print(answer)"
"""What asks a whole program that printed nothing for its answer."""


@dataclass(frozen=True, slots=True)
class TriedStep:
    """A candidate made a step.

    Attributes:
      step: the step, executed where the form executes.
      rejected: why it cannot stand, or None if it can.
      is_last: nothing can follow it; where it stands, its solution is finished.
    """

    step: Step
    rejected: str | None
    is_last: bool


Candidate = tuple[str, str | None]
"""A candidate's text, its stop marker included, and the marker; None where it ended without one."""


class RunsCode(Protocol):
    """The part of an `Environment` that a form needs."""

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """Runs each of several steps' code after the code of the steps before them."""
        ...

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program, and records what each of its statements does."""
        ...


class Form(Protocol):
    """How solutions are written.

    Attributes:
      step_stops: markers that end a candidate of the next step.
      solution_stops: markers at which a solution sampled in one go ends, or waits for its program's output.
    """

    step_stops: tuple[str, ...]
    solution_stops: tuple[str, ...]

    def max_step_tokens(self, settings: SearchSettings) -> int:
        """Most tokens of a candidate."""
        ...

    def split(self, solution: str) -> list[str]:
        """The candidates one after the other that a solution sampled in one go stands for."""
        ...

    async def try_steps(
        self, env: RunsCode, history: Sequence[Step], candidates: Sequence[Candidate]
    ) -> list[TriedStep]:
        """Makes candidates of one node steps, in their order.

        Args:
          env: executes.
          history: the steps before them.
          candidates: what the policy wrote.
        """
        ...


class CodeSteps:
    """Code-augmented chain of thought: each step's code runs at once, and an answer step reads what was printed."""

    step_stops: tuple[str, ...] = step_format.STOPS
    solution_stops: tuple[str, ...] = _WHOLE

    def max_step_tokens(self, settings: SearchSettings) -> int:
        """Those of one step."""
        return settings.max_step_tokens

    def split(self, solution: str) -> list[str]:
        """Step by step."""
        return [step.text for step in step_format.parse(solution)] or [""]

    async def try_steps(
        self, env: RunsCode, history: Sequence[Step], candidates: Sequence[Candidate]
    ) -> list[TriedStep]:
        """Executes the code of each after that of the steps before it which did not fail."""
        is_closed = code_is_closed(history)
        settled: dict[int, TriedStep] = {}
        codes: dict[int, str] = {}
        for i, (text, stop) in enumerate(candidates):
            if (reason := step_format.malformed(text, stop, is_closed)) is not None:
                settled[i] = _rejected(text, reason)
            elif stop == step_format.END_OF_ANSWER:
                settled[i] = TriedStep(step_format.step_from_text(text), None, is_last=True)
            else:
                codes[i] = step_format.code_of(text)
        prefix = [s.code for s in history if s.execution is None or s.execution.ok]
        executions = await env.execute_all(prefix, list(codes.values())) if codes else []
        tried = {i: Step(candidates[i][0], codes[i], "", e) for i, e in zip(codes, executions, strict=True)}
        finished = [i for i in tried if candidates[i][1] == step_format.END_OF_CODE]
        shown = await all_of(self._shown(env, history, tried[i]) for i in finished)
        for i, text in zip(finished, shown, strict=True):
            tried[i] = replace(tried[i], observation=step_format.observation(text))
        for (i, step), execution in zip(tried.items(), executions, strict=True):
            settled[i] = TriedStep(step, _failure(execution), is_last=False)
        return [settled[i] for i in range(len(candidates))]

    async def _shown(self, env: RunsCode, history: Sequence[Step], last: Step) -> str:
        """What the policy sees of a finished program."""
        assert last.execution is not None
        return printed(history, last.execution)


class OfficialSteps(CodeSteps):
    """The same, with what the released code shows of a program: finished, it is run once more and recorded."""

    async def _shown(self, env: RunsCode, history: Sequence[Step], last: Step) -> str:
        before = [step for step in history if step.execution is None or step.execution.ok]
        executions = await env.record_program([step.code for step in (*before, last)])
        recorded = [execution for execution in executions if isinstance(execution, RecordedExecution)]
        statements = [statement for execution in recorded for statement in execution.statements]
        lines = lines_before("".join(step.text for step in before), last.text)
        return official_observation(statements, executions[-1].error, lines)


class Program:
    """Program of thought: one program, executed once, whose answer is what it printed last.

    Where it printed nothing, the value of its variable `answer` is asked for by one further execution. The policy reads
    nothing of what was printed, and writes no answer; a reward model reads it as the step's observation.
    """

    step_stops: tuple[str, ...] = _WHOLE
    solution_stops: tuple[str, ...] = _WHOLE

    def max_step_tokens(self, settings: SearchSettings) -> int:
        """Those of a whole solution."""
        return settings.max_solution_tokens

    def split(self, solution: str) -> list[str]:
        """The program as it is, whatever markers of steps stand in it."""
        return [solution]

    async def try_steps(
        self, env: RunsCode, history: Sequence[Step], candidates: Sequence[Candidate]
    ) -> list[TriedStep]:
        """Executes the programs; rejected is what fails, or shows no answer."""
        is_closed = code_is_closed(history)
        reasons = [step_format.malformed(text, stop, is_closed) for text, stop in candidates]
        codes = [step_format.code_of(text) for text, _ in candidates]
        executions = iter(await env.execute_all([], [c for c, r in zip(codes, reasons, strict=True) if r is None]))
        tried = iter(
            await all_of(
                self._tried(env, text, code, next(executions))
                for (text, _), code, reason in zip(candidates, codes, reasons, strict=True)
                if reason is None
            )
        )
        return [
            next(tried) if reason is None else _rejected(text, reason)
            for (text, _), reason in zip(candidates, reasons, strict=True)
        ]

    async def _tried(self, env: RunsCode, text: str, code: str, execution: Execution) -> TriedStep:
        output, reason = execution.output, _failure(execution)
        if reason is None and not output.strip():
            (asked,) = await env.execute_all([code], [PRINT_ANSWER])
            output = asked.output
            if not output.strip():
                reason = f"the program printed nothing, and `{PRINT_ANSWER}` after it: {_failure(asked) or 'nothing'}"
        if reason is not None:
            return TriedStep(Step(text, code, "", execution), reason, is_last=True)
        answer = output.strip().splitlines()[-1].strip()
        step = Step(text, code, step_format.observation(output), execution, answer)
        return TriedStep(step, None, is_last=True)


class Text:
    """Plain chain of thought: steps as they are, nothing executed, no observation; the answer comes from the policy."""

    step_stops: tuple[str, ...] = step_format.STOPS
    solution_stops: tuple[str, ...] = (step_format.END_OF_ANSWER,)

    def max_step_tokens(self, settings: SearchSettings) -> int:
        """Those of one step."""
        return settings.max_step_tokens

    def split(self, solution: str) -> list[str]:
        """Step by step; an output that the policy wrote itself stays in its step, which cannot stand then."""
        return [step.text + step.observation for step in step_format.parse(solution)] or [""]

    async def try_steps(
        self, env: RunsCode, history: Sequence[Step], candidates: Sequence[Candidate]
    ) -> list[TriedStep]:
        """Holds the steps against the format only."""
        is_closed = code_is_closed(history)
        return [self._tried(text, stop, is_closed) for text, stop in candidates]

    def _tried(self, text: str, stop: str | None, is_closed: bool) -> TriedStep:
        if (reason := step_format.malformed(text, stop, is_closed)) is not None:
            return TriedStep(Step(text), reason, is_last=False)
        if stop == step_format.END_OF_ANSWER:
            return TriedStep(step_format.step_from_text(text), None, is_last=True)
        return TriedStep(Step(text), None, is_last=False)


FORMS: dict[FormName, Form] = {"steps": CodeSteps(), "program": Program(), "text": Text()}


_OFFICIAL_STEPS = OfficialSteps()


def form_of(settings: SearchSettings) -> Form:
    """The form that a search is to use."""
    if settings.form == "steps" and settings.observation == "official":
        return _OFFICIAL_STEPS
    return FORMS[settings.form]


def code_is_closed(history: Sequence[Step]) -> bool:
    """Whether only an answer can follow."""
    return any(step_format.END_OF_CODE in step.text for step in history)


def printed(history: Sequence[Step], last: Execution) -> str:
    """What the whole program printed, step after step; for a failed last step its error instead."""
    if not last.ok:
        return last.error or last.status
    return "".join(s.execution.output for s in history if s.execution) + last.output


def _rejected(text: str, reason: str) -> TriedStep:
    return TriedStep(Step(text, step_format.code_of(text)), reason, is_last=False)


def _failure(execution: Execution) -> str | None:
    return None if execution.ok else execution.error or execution.status
