"""Work on a loop of its own: waited for by threads, awaited on other loops, stopped from either side."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from rstar_math.api.background import BackgroundLoop
from rstar_math.errors import EngineError


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop("thing")
    yield made
    made.close()


class Work:
    """Something that never ends by itself, and takes its time to be stopped."""

    def __init__(self) -> None:
        self.began, self.stopped = threading.Event(), threading.Event()

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            self.stopped.set()
            raise


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def fail() -> None:
    raise ValueError("no")


def test_results_and_errors_come_back_to_both_kinds_of_callers(loop: BackgroundLoop) -> None:
    assert loop.call(add(1, 2)) == 3
    with pytest.raises(ValueError, match="no"):
        loop.call(fail())

    async def awaited() -> None:
        assert await asyncio.gather(*(loop.acall(add(i, 1)) for i in range(20))) == list(range(1, 21))
        with pytest.raises(ValueError, match="no"):
            await loop.acall(fail())
        assert loop.call(add(3, 4)) == 7  # blocking, inside a running loop: as a cell of Jupyter does

    asyncio.run(awaited())


def test_cancelling_stops_the_work_and_waits_for_its_end(loop: BackgroundLoop) -> None:
    work = Work()

    async def awaited() -> None:
        task = asyncio.create_task(loop.acall(work.run()))
        await asyncio.to_thread(work.began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.stopped.is_set()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await loop.acall(Work().run())

    asyncio.run(awaited())
    assert loop.call(add(1, 2)) == 3


def test_an_interrupt_stops_the_work(loop: BackgroundLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import Future

    work, once = Work(), iter([True])
    wait = Future.result

    def interrupted(self: Future[None], timeout: float | None = None) -> None:
        if next(once, False):
            work.began.wait()
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.call(work.run())
    assert work.stopped.is_set()


def test_closing_tells_whoever_waits() -> None:
    loop, work = BackgroundLoop("thing"), Work()
    said: list[BaseException] = []

    def wait() -> None:
        try:
            loop.call(work.run())
        except EngineError as error:
            said.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    work.began.wait()
    loop.close()
    thread.join()
    assert "thing was closed, or stopped, while it worked on this" in str(said[0])
    assert work.stopped.is_set()
    with pytest.raises(EngineError, match="thing has been closed"):
        loop.call(add(1, 2))


def test_what_would_wait_for_ever_is_refused(loop: BackgroundLoop) -> None:
    async def inner() -> int:
        return loop.call(add(1, 2))

    with pytest.raises(EngineError, match="cannot be called from the searches that run in it"):
        loop.call(inner())
    child = os.fork()
    if child == 0:  # the thread stayed in the parent
        try:
            loop.call(add(1, 2))
        except EngineError as error:
            os._exit(7 if "belongs to the process that made it" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
