"""The grading pool: lazy workers, limits enforced from outside, the cache, and clean ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rstar_math.errors import ConfigError, GradingError
from rstar_math.grading import GradingPool
from rstar_math.grading import pool as pool_module


def _children() -> set[int]:
    """Ids of this process's children that are alive."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    while True:
        with contextlib.suppress(FileNotFoundError):  # a thread ended meanwhile, and left its children to another
            return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}


def test_plain_integers_start_no_worker() -> None:
    async def graded() -> None:
        async with GradingPool() as pool:
            verdicts = await asyncio.gather(*(pool.grade("12", str(i)) for i in range(1000)))
            assert [i for i, verdict in enumerate(verdicts) if verdict.equal] == [12]
            assert pool.counts.num_workers_started == 0
            assert pool.counts.num_shortcuts == 1000

    asyncio.run(graded())


def test_thousands_of_pairs_at_once_use_one_worker_and_the_cache() -> None:
    async def graded() -> None:
        async with GradingPool() as pool:
            pairs = [(r"\frac{1}{2}", "1/2"), (r"\frac{1}{2}", "1/3")] * 1500
            verdicts = await asyncio.gather(*(pool.grade(*pair) for pair in pairs))
            assert [verdict.equal for verdict in verdicts] == [True, False] * 1500
            assert pool.counts.num_workers_started <= 1
            assert pool.counts.num_pairs == 3000

    asyncio.run(graded())


def test_a_pool_serves_several_event_loops() -> None:
    pool = GradingPool()
    assert asyncio.run(pool.grade(r"\frac12", "0.5")).equal
    assert asyncio.run(pool.grade(r"\frac14", "0.25")).equal
    pool.close()


@pytest.fixture
def sleepy_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Workers whose comparison never ends, busily or idly, or which die, as the prediction says."""
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(
        "import os, sys, time\n"
        "from rstar_math.grading import worker\n"
        "real = worker.equivalent\n"
        "def compared(gold, prediction, policy):\n"
        "    while 'busy' in prediction: pass\n"
        "    if 'idle' in prediction: time.sleep(60)\n"
        "    if 'die' in prediction: os._exit(1)\n"
        "    if 'raise' in prediction: raise ValueError('inside')\n"
        "    if 'eat' in prediction: bytearray(8 * 2**30)\n"
        "    return real(gold, prediction, policy)\n"
        "worker.equivalent = compared\n"
        "worker.main()\n"
    )
    popen = subprocess.Popen

    def started(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return popen([arguments[0], str(stand_in), *arguments[3:]], **options)

    monkeypatch.setattr(subprocess, "Popen", started)


@pytest.mark.usefixtures("sleepy_worker")
def test_limits_are_verdicts_of_their_own_and_the_pool_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_WALL_PER_CPU", 300.0)  # however busy the machine is

    async def graded() -> None:
        async with GradingPool(timeout_s=0.3) as pool:
            busy = await pool.grade("x+1", "busy")
            assert (busy.equal, busy.rule, busy.timed_out) == (False, "cpu_limit", True)
            assert 0.25 < busy.seconds < 2.0
            died = await pool.grade("x+1", "die")
            assert (died.rule, died.timed_out) == ("worker_died", True)
            failed = await pool.grade("x+1", "raise")
            assert (failed.rule, failed.timed_out) == ("grader_error", True)
            ate = await pool.grade("x+1", "eat")
            assert (ate.rule, ate.timed_out) == ("memory_limit", True)
            assert (await pool.grade("x+1", "1+x")).equal
            assert (pool.counts.num_timeouts, pool.counts.num_errors) == (2, 2)
            again = await pool.grade("x+1", "busy")
            assert again == busy
            assert pool.counts.num_cached == 1

    asyncio.run(graded())


@pytest.mark.usefixtures("sleepy_worker")
def test_an_idle_worker_is_killed_at_the_wall_limit_and_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_WALL_PER_CPU", 2.0)
    pool = GradingPool(timeout_s=0.2)
    assert pool.grade_blocking("x+1", "idle").rule == "wall_limit"
    assert pool.grade_blocking("x+1", "idle").rule == "wall_limit"
    assert pool.counts.num_cached == 0
    pool.close()


@pytest.mark.usefixtures("sleepy_worker")
def test_closing_ends_the_children_and_fails_what_is_in_flight() -> None:
    async def graded() -> None:
        before = _children()
        pool = GradingPool(num_workers=2)
        pairs = [asyncio.ensure_future(pool.grade("x+1", f"busy {i}")) for i in range(5)]
        while not _children() - before:
            await asyncio.sleep(0.02)
        await pool.aclose()
        results = await asyncio.gather(*pairs, return_exceptions=True)
        assert all(isinstance(result, GradingError) for result in results)
        assert _children() == before
        with pytest.raises(GradingError, match="closed"):
            await pool.grade("x+1", "x+2")

    asyncio.run(graded())


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen

    def broken(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return popen([arguments[0], "-c", "raise SystemExit('no such thing')"], **options)

    monkeypatch.setattr(subprocess, "Popen", broken)
    pool = GradingPool()
    with pytest.raises(GradingError, match="no such thing"):
        pool.grade_blocking("x+1", "x+2")
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is signalled on Linux")
def test_workers_die_with_their_parent() -> None:
    script = (
        "import os, signal\n"
        "from rstar_math.grading import GradingPool\n"
        "pool = GradingPool()\n"
        "pool.grade_blocking('x+1', 'x+2')\n"
        "print(pool._lanes[0].worker._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    child = Path(f"/proc/{int(done.stdout)}")
    for _ in range(100):
        if not child.exists():
            return
        time.sleep(0.02)
    pytest.fail(f"worker {child.name} outlived its parent")


@pytest.mark.parametrize("options", [{"num_workers": 0}, {"timeout_s": 0.0}, {"memory_mb": 10}])
def test_bad_options_are_errors_that_name_the_value(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(options.values())))):
        GradingPool(**options)


def test_importing_grading_loads_neither_sympy_nor_torch() -> None:
    script = "import sys, rstar_math.grading; print({'sympy', 'torch', 'math_verify'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
