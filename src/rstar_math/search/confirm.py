"""Running a trajectory's program once more before anybody relies on it: for training data, and for an answer shown."""

from __future__ import annotations

from rstar_math.execution.base import Executor
from rstar_math.types import Execution, Trajectory


async def run_again(trajectory: Trajectory, executor: Executor) -> tuple[bool, list[Execution]]:
    """Runs the whole program of a trajectory from the start, past every cache, in a fresh process of its own.

    Returns:
      Whether it ends and prints as it did in the search, and what came of each step now.
    """
    before = [step.execution for step in trajectory.steps if step.execution is not None]
    again = await executor.execute_program([s.code for s in trajectory.steps if s.execution is not None])
    # what models read has no white space at its end, and trees of the released code have kept none either
    same = [(e.status, e.output.rstrip()) for e in again] == [(e.status, e.output.rstrip()) for e in before]
    return same, again
