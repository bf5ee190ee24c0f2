"""Whole jobs from Python: evolve and search, blocking or awaited.

`evolve` and `search` block and may be called from any thread, also where an event loop is running (Jupyter): the work
is done in processes of its own. `aevolve` and `asearch` are awaited; cancelling one stops it at the next problem or
optimiser step. What was finished is kept on disk, and the same call goes on from there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rstar_math.config import ProblemSource, Recipe, RuntimeSettings, SearchSettings
from rstar_math.config.reading import load_recipe
from rstar_math.errors import ConfigError
from rstar_math.models import find_model
from rstar_math.problems.load import load_problems
from rstar_math.progress import Progress
from rstar_math.report.schema import Report
from rstar_math.search.strategies import strategy as find_strategy
from rstar_math.stages.search import search_problems
from rstar_math.store.records import TreeStore
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.jobs import SearchJob
from rstar_math.workers.pool import WorkerPool

T = TypeVar("T")


def evolve(recipe: str | Path | Recipe, out: str | Path, progress: Progress | None = None) -> Report:
    """Runs, or goes on with, the rounds of a recipe, as `rstar evolve` does.

    Args:
      recipe: a recipe, its YAML file, or a name of the package (`rstar recipes` lists them).
      out: folder of the run.
      progress: hears how far it is; None: nobody does.

    Returns:
      The report, which also stands in `out` as report.json and report.html.

    Raises:
      UserError: the recipe, its problems, its base model or the folder are unfit; nothing is lost.
    """
    from rstar_math.evolve import evolve as run_rounds
    from rstar_math.report.from_run import report_of
    from rstar_math.report.page import write_report

    folder = Path(out)
    run_rounds(recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe)), folder, progress or Progress())
    report = report_of(folder, None)
    write_report(folder, report)
    return report


async def aevolve(recipe: str | Path | Recipe, out: str | Path, progress: Progress | None = None) -> Report:
    """`evolve`, awaited; cancelling stops it, and the same call goes on from what was finished."""
    return await _awaited(lambda stoppable: evolve(recipe, out, stoppable), progress)


def search(
    problems: str | Path | Sequence[Problem],
    out: str | Path,
    model: str | Path = "pocket-base",
    settings: SearchSettings | None = None,
    *,
    strategy: str = "mcts",
    seed: int = 0,
    limit: int | None = None,
    runtime: RuntimeSettings | None = None,
    progress: Progress | None = None,
) -> list[Tree]:
    """Grows one tree for each problem, its reference in view, as `rstar search` does: data for training.

    Args:
      problems: problems with references, or where they come from: `pocket/train`, a benchmark, a JSONL file.
      out: folder for the trees; problems whose trees are there are not searched again.
      model: as `RStarMathModel.from_pretrained` takes it.
      settings: of each search; None: the defaults, without a reward model where there is none.
      strategy: how trees grow.
      seed: of every search.
      limit: only the first so many problems.
      runtime: the machine.
      progress: hears of every problem; None: nobody does.

    Returns:
      All trees of the folder.

    Raises:
      ConfigError: a setting is out of range, or asks for a reward model that is not there.
      DataError: the problems cannot be read.
      ModelError: there is no such model.
    """
    found = find_model(model)
    if isinstance(problems, str | Path):
        chosen = load_problems(ProblemSource(source=str(problems), num_problems=limit)).problems
    else:
        chosen = tuple(problems)[:limit]
    settings = settings or SearchSettings(use_ppm=found.reward_model is not None)
    if settings.use_ppm and found.reward_model is None:
        raise ConfigError(f"use_ppm is true, and {found.name} has no reward model; give SearchSettings(use_ppm=False)")
    find_strategy(strategy)
    needs_ppm = settings.use_ppm or settings.terminal_value == "ppm"
    job = SearchJob(found.policy, found.reward_model if needs_ppm else None, strategy, settings)
    with WorkerPool(runtime or RuntimeSettings()) as pool, TreeStore(Path(out)) as store:
        search_problems(pool, job, chosen, store, seed, (), progress or Progress(), "search")
        return list(store)


async def asearch(
    problems: str | Path | Sequence[Problem],
    out: str | Path,
    model: str | Path = "pocket-base",
    settings: SearchSettings | None = None,
    *,
    strategy: str = "mcts",
    seed: int = 0,
    limit: int | None = None,
    runtime: RuntimeSettings | None = None,
    progress: Progress | None = None,
) -> list[Tree]:
    """`search`, awaited; cancelling stops it, and the same call goes on from what was finished."""
    return await _awaited(
        lambda stoppable: search(
            problems,
            out,
            model,
            settings,
            strategy=strategy,
            seed=seed,
            limit=limit,
            runtime=runtime,
            progress=stoppable,
        ),
        progress,
    )


class _Stopped(BaseException):
    """The awaiter has been cancelled. No `Exception`: nothing on the way may take it for a failure of its own."""


class _Stoppable(Progress):
    """Tells another progress, and ends the work where it hears of any after `stop`."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def start(self, stage: str, total: int, done: int = 0) -> None:
        self._check()
        self._inner.start(stage, total, done)

    def advance(self, tokens: int = 0, solved: bool | None = None, note: str = "") -> None:
        self._check()
        self._inner.advance(tokens, solved, note)

    def finish(self) -> None:
        self._inner.finish()

    def say(self, line: str) -> None:
        self._inner.say(line)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _Stopped


async def _awaited(work: Callable[[Progress], T], progress: Progress | None) -> T:
    """Does blocking work in a thread of its own; where it is cancelled, waits until it has stopped."""
    stoppable = _Stoppable(progress or Progress())

    def run() -> T | None:
        try:
            return work(stoppable)
        except _Stopped:
            return None

    doing = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        result = await asyncio.shield(doing)
    except asyncio.CancelledError:
        stoppable.stop()
        await asyncio.wait([doing])
        doing.exception()  # looked at, so that the loop does not complain that nobody did
        raise
    assert result is not None  # only a cancelled awaiter stops it
    return result
