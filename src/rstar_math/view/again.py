"""Running a step once more: the program so far, and this step as it is or as somebody changed it, in the sandbox."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rstar_math.config import ExecutionSettings
from rstar_math.config.reading import load_recipe
from rstar_math.errors import RStarError
from rstar_math.execution.base import Executor
from rstar_math.execution.opening import open_executor
from rstar_math.store.round import RECIPE_FILE

MAX_CODE_CHARS = 100_000
_AT_ONCE = 2


class Again:
    """Sandboxes for steps that are run once more, one for each kind of settings, opened when first asked for.

    Never without isolation, whatever a run's recipe says: who opens a page has not agreed to that.
    """

    def __init__(self, open_with: Any = open_executor) -> None:
        self._open_with = open_with
        self._executors: dict[str, Executor] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, steps: list[dict[str, Any]], code: str | None, run: Path | None) -> list[dict[str, Any]]:
        """Runs the code of a node behind that of the nodes above it, from the start, in a fresh process.

        Args:
          steps: from `one_tree.steps_to`.
          code: to run in place of the last step's; None: as it is.
          run: the run whose limits and packages hold; None: the defaults.

        Returns:
          Of each step that ran: `index`, `code`, `status`, `output`, `error`, `seconds`, and `before`: what it did when
          it was searched, or None. The program ends at the first step that fails.

        Raises:
          SandboxError: there is no sandbox on this machine, or it does not work.
        """
        programs = [(s["index"], s["code"], s["execution"]) for s in steps if s["code"].strip()]
        if code is not None and steps:
            kept = [p for p in programs if p[0] != steps[-1]["index"]]
            programs = [*kept, (steps[-1]["index"], code, steps[-1]["execution"])]
        if not programs:
            return []
        async with self._turns:
            executor = self._executor(run)
            executions = await executor.execute_program([c for _, c, _ in programs])
        return [
            {"index": index, "code": own, **_plain(asdict(execution)), "before": before}
            for (index, own, before), execution in zip(programs, executions, strict=False)
        ]

    async def aclose(self) -> None:
        """Ends the sandboxes."""
        for executor in self._executors.values():
            await executor.aclose()
        self._executors = {}

    def _executor(self, run: Path | None) -> Executor:
        settings = _settings(run)
        key = settings.model_dump_json()
        if key not in self._executors:
            self._executors[key] = self._open_with(settings, 1)
        return self._executors[key]


def _settings(run: Path | None) -> ExecutionSettings:
    """The limits of a run's recipe; the defaults where there is no recipe that can be read."""
    settings = ExecutionSettings()
    if run is not None:
        try:
            settings = load_recipe(str(run / RECIPE_FILE)).runtime.execution
        except RStarError:
            return settings
    return settings.model_copy(update={"isolation": "sandbox", "num_slots": None})


def _plain(execution: dict[str, Any]) -> dict[str, Any]:
    return {name: execution[name] for name in ("status", "output", "error", "seconds")}
