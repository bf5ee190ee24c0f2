"""What the search asks of step execution. Implementations: `supervisor.executor`, and the fake for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rstar_math.types import Execution


class Executor(Protocol):
    """Runs steps of model-written Python, each after the steps before it, isolated from everything else."""

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs `code` in a fresh namespace that holds what `prefix` defined and nothing else.

        Args:
          prefix: code of the earlier steps, in order; each of them is known to run without error.
          code: the step to run.

        Returns:
          How `code` ended and what it alone printed. A failing program is a result, not an exception.

        Raises:
          SandboxError: execution itself is broken or refused.
        """
        ...

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program from the start, past every cache, in a fresh process of its own.

        Stops after the first step that does not end "ok"; the result is as long as the steps that ran.
        """
        ...

    async def aclose(self) -> None:
        """Ends every process that this executor started."""
        ...


@runtime_checkable
class BatchExecutor(Protocol):
    """An executor that runs the candidates of one node for less than each by itself."""

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """As `execute` for each of `codes`, each in a namespace of its own; in their order."""
        ...


@runtime_checkable
class Recorder(Protocol):
    """An executor that can also tell what each statement of a program did."""

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        """As `execute_program`; each step that reported is a `RecordedExecution`."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """An executor that can start what programs need before the first of them comes."""

    def prepare(self) -> None:
        """Begins to start it, inside the event loop of the executor. What fails here fails at the first program."""
        ...
