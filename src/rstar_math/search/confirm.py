"""Running a trajectory's program once more before anybody relies on it: for training data, and for an answer shown."""

from __future__ import annotations

from dataclasses import dataclass

from rstar_math.execution.base import Executor
from rstar_math.search.forms import PRINT_ANSWER
from rstar_math.steps import END_OF_OUTPUT, OUTPUT, neutralised
from rstar_math.types import Execution, ExecutionStatus, Trajectory


async def run_again(trajectory: Trajectory, executor: Executor) -> tuple[bool, list[Execution]]:
    """Runs the whole program of a trajectory from the start, past every cache, in a fresh process of its own.

    Returns:
      Whether it ends and prints as it did in the search, and what came of each step now.
    """
    before = recorded(trajectory)
    again = await executor.execute_program([step.code for step in before])
    return [(e.status, _read(e.output)) for e in again] == [(e.status, e.output) for e in before], again


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step's program, and what came of it: its output as models read it."""

    code: str
    status: ExecutionStatus
    output: str


def recorded(trajectory: Trajectory) -> list[Recorded]:
    """The steps of a trajectory that were run. Trajectories in which they are equal come out the same, or none does."""
    found = []
    for step in trajectory.steps:
        if step.execution is None:
            continue
        found.append(Recorded(step.code, step.execution.status, _read(step.execution.output)))
        if step.answer is not None and step.execution.ok and not step.execution.output.strip():
            # a whole program that printed nothing, and was asked for its answer by one further execution
            shown = step.observation.strip().removeprefix(OUTPUT).removesuffix(END_OF_OUTPUT)
            found.append(Recorded(PRINT_ANSWER, "ok", _read(shown)))
    return found


def _read(output: str) -> str:
    """An output as models read it: no white space at its end, which trees of the released code have not kept either."""
    return neutralised(output.rstrip())
