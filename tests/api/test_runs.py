"""Search and evolve from Python: blocking inside a running loop, awaited, cancelled and gone on with."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rstar_math import Problem
from rstar_math.api.runs import aevolve, asearch, search
from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.errors import ConfigError, ModelError
from rstar_math.progress import Progress
from rstar_math.store.records import read_trees
from tests.docs.test_python import FILES, run

SMALL = SearchSettings(num_rollouts=2, num_candidates=3, max_step_tokens=64, use_ppm=False)
ONE = RuntimeSettings(num_workers=1, device="cpu", concurrency=2)


@pytest.mark.timeout(900)  # a round of evolution: half a minute where nothing else runs
def test_the_example_searches_and_evolves(tmp_path: Path) -> None:
    first, last = run(FILES["evolving.py"], tmp_path).splitlines()
    assert re.fullmatch(r"8 trees, [1-8] with a right answer", first)
    assert last == "1 round; see work/run/report.html"
    assert (tmp_path / "work" / "run" / "report.html").exists()


class StopAfter(Progress):
    """Cancels a task once so many problems are done."""

    def __init__(self, num: int) -> None:
        self.num, self.done = num, 0
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[object] | None = None

    def advance(self, tokens: int = 0, solved: bool | None = None, note: str = "") -> None:
        self.done += 1
        if self.done == self.num and self.task is not None:
            self.loop.call_soon_threadsafe(self.task.cancel)


def test_a_cancelled_search_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        stopping = StopAfter(3)
        work = asearch("pocket/train", tmp_path, settings=SMALL, limit=40, runtime=ONE, progress=stopping)
        stopping.task = asyncio.create_task(work)
        with pytest.raises(asyncio.CancelledError):
            await stopping.task
        kept = len(list(read_trees(tmp_path)))
        assert 3 <= kept < 40
        # blocking, where a loop is running: as in a cell of Jupyter
        trees = search("pocket/train", tmp_path, settings=SMALL, limit=kept + 1, runtime=ONE)
        assert len(trees) == kept + 1

    asyncio.run(main())


def test_problems_of_ones_own_and_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pocket-base has no reward model"):
        search([Problem("p", "Q?", "1")], tmp_path, settings=SearchSettings())
    with pytest.raises(ConfigError, match="strategy 'mtcs' is not known"):
        search([Problem("p", "Q?", "1")], tmp_path, strategy="mtcs")
    with pytest.raises(ModelError, match="no model 'nothing'"):
        asyncio.run(asearch([Problem("p", "Q?", "1")], tmp_path, "nothing"))
    with pytest.raises(ConfigError, match="no recipe"):
        asyncio.run(aevolve("nothing", tmp_path / "run"))


def test_a_script_on_standard_input_needs_no_guard(tmp_path: Path) -> None:
    script = (
        "from rstar_math import Problem\n"
        "from rstar_math.config import RuntimeSettings, SearchSettings\n"
        "from rstar_math.api.runs import search\n"
        "settings = SearchSettings(num_rollouts=1, num_candidates=2, max_step_tokens=64, use_ppm=False)\n"
        "runtime = RuntimeSettings(num_workers=1, device='cpu')\n"
        "print(len(search([Problem('p', 'What is 2 + 3?', '5')], 'trees', 'pocket-base', settings, runtime=runtime)))\n"
    )
    for arguments, given in (([], script), (["script.py"], None)):
        (tmp_path / "script.py").write_text(script)
        command = [sys.executable, *(arguments or ["-"])]
        done = subprocess.run(command, input=given, cwd=tmp_path, capture_output=True, text=True, timeout=1500)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr[-2_000:]
