"""Real programs reproduce the output that was recorded when they were made; what differs has a name."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution
from tests.execution.real_programs import FOLDER, SETTINGS, Block, Outcome, difference, run, run_all, solutions

CLASSES = {
    *("time limit", "wording of an error", "scalars of numpy 2", "another form from sympy", "no matplotlib here"),
    *("order of a set or of solutions", "cut by the notebook", "messages of the notebook itself"),
    "after another difference",
}
"""Described in docs/execution.md."""

present = pytest.mark.skipif(not FOLDER.exists(), reason=f"the recorded solutions are not here: {FOLDER}")


async def outcomes_of(every: int) -> list[Outcome]:
    async with SandboxExecutor(SETTINGS) as executor:
        return await run_all(executor, solutions(every))


def check(outcomes: list[Outcome], least: float) -> None:
    kinds = Counter(outcome.difference for outcome in outcomes)
    differing = [(o.solution, o.number, o.difference) for o in outcomes if o.difference not in (None, *CLASSES)]
    assert not differing, "differences without a name"
    assert kinds[None] >= least * len(outcomes), kinds


@present
def test_a_sample_of_real_programs() -> None:
    """Every hundredth; the whole is a slow test."""
    outcomes = asyncio.run(outcomes_of(100))
    assert len(outcomes) > 25
    check(outcomes, 0.9)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@present
def test_all_real_programs() -> None:
    outcomes = asyncio.run(outcomes_of(1))
    assert len(outcomes) > 3500
    check(outcomes, 0.95)


def test_a_notebook_goes_on_after_an_error() -> None:
    error = "-" * 75 + " ZeroDivisionError   Traceback (most recent call last) Cell In[1], line 2\n----> 2 1 / 0\n "
    blocks = [
        Block("x = 5\nx / 3", "1.66667"),
        Block("y = x + 1\n1 / 0\nz = 1", f"{error}ZeroDivisionError: division by zero"),
        Block("print(y)\ny + 1", "6\n7"),
        Block("z", "1"),
    ]

    async def body() -> list[Outcome]:
        async with SandboxExecutor(SETTINGS) as executor:
            return await run(executor, "made up", blocks)

    assert [o.difference for o in asyncio.run(body())] == [None, None, None, "unnamed"]


@pytest.mark.parametrize(
    ("recorded", "execution", "kind"),
    [
        ("[1,\n 2]", Execution("ok", "[1, 2]\n"), None),
        ("0.333333333", Execution("ok", "0.3333333333333333\n"), None),
        ("0.34", Execution("ok", "0.3333333333333333\n"), "unnamed"),
        ("NameError: name 'x' is not defined", Execution("error", "", "NameError: name 'x' is not defined"), None),
        ("NameError: name 'x' is not defined", Execution("error", "", "IndexError: x"), "unnamed"),
        ("25", Execution("ok", "np.int64(25)\n"), "scalars of numpy 2"),
        ("{1, 2}", Execution("ok", "{2, 1}\n"), "order of a set or of solutions"),
        ("[1,\n ...]", Execution("ok", "[1, 2, 3]\n"), "cut by the notebook"),
        ("1", Execution("cpu_limit", "", "CpuLimit"), "time limit"),
        ("1", Execution("error", "", "NameError: name 'x' is not defined"), "unnamed"),
        (
            "Cell In[1], line 1\n    1 = 1\n    ^\nSyntaxError: cannot assign to literal",
            Execution("error", "", "SyntaxError: cannot assign to literal here (<step>, line 1)"),
            "wording of an error",
        ),
    ],
)
def test_classes_of_differences(recorded: str, execution: Execution, kind: str | None) -> None:
    assert difference(Block("", recorded), execution, frozenset()) == kind
