"""The same work over a Ray cluster (extra `[ray]`): an actor for each share of a machine, calls as leases.

Ray carries and restarts; it decides nothing. An actor that dies is started again by Ray (`max_restarts=-1`), a call
that was lost with it is not (`max_task_retries=0`): its task goes to whoever is there. What an actor is given is data
(`rstar_math.cluster.wire`). Actors end with their driver, and nothing is kept in the cluster: the files of the run,
which every machine must see at the same place, hold what is done.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rstar_math.cluster.tally import Tally
from rstar_math.cluster.wire import (
    Order,
    Row,
    key_of,
    order_to_row,
    own_machine,
    result_to_row,
    row_to_order,
    row_to_result,
    tasks_to_text,
    text_to_tasks,
    tokens_of,
)
from rstar_math.config import RuntimeSettings
from rstar_math.errors import ConfigError, EngineError, RStarError
from rstar_math.workers.jobs import Job, Result, Task
from rstar_math.workers.process import Failure, Searcher

_log = logging.getLogger(__name__)

_MAX_LOST = 10
_MAX_FAILURES = 3
_PAUSE_S = 0.5
_EXPECTED_S = 60.0
"""An actor that has not come for so long has no room: the others do its share."""

_AGAIN_S = 1.0
"""An actor that is being started again is asked so often whether it is there."""


class SearchActor:
    """What runs in each process of the cluster: one event loop with many searches in flight."""

    def __init__(self, run: str, runtime: str, device: str) -> None:
        """Loads nothing yet.

        Args:
          run: folder of the run.
          runtime: settings of the driver's machine, as JSON.
          device: of the models.
        """
        import torch

        self._num_workers = len(os.sched_getaffinity(0))  # an actor has one CPU, however many the machine has
        if device == "cpu":
            torch.set_num_threads(1)
        self._run, self._device = Path(run), device
        self._own = RuntimeSettings.model_validate_json(runtime)
        self._lock = asyncio.Lock()
        self._order_text = ""
        self._order: Order | None = None
        self._runtime: RuntimeSettings | None = None
        self._searcher: Searcher | None = None

    async def beat(self) -> str:
        """Says that the loop turns; gives the name of this process."""
        import ray

        return f"{ray.util.get_node_ip_address()}-{os.getpid()}"

    async def do(self, order: str, unit: str) -> str:
        """Does the tasks of a unit by an order; all three as JSON."""
        try:
            async with self._lock:
                await self._open(order)
            opened, searcher = self._order, self._searcher
            assert opened is not None
            assert searcher is not None
            if searcher.trouble is not None:
                raise searcher.trouble.error
        except RStarError as error:
            return json.dumps({"trouble": result_to_row(Failure(error))})
        rows: list[Row] = []
        for task in text_to_tasks(unit):
            began = time.monotonic()
            result = await searcher.do(opened.job, task)
            seconds, tokens = round(time.monotonic() - began, 3), tokens_of(result)
            rows.append({"key": key_of(task), "tokens": tokens, "seconds": seconds, **result_to_row(result)})
        return json.dumps({"rows": rows})

    async def _open(self, text: str) -> None:
        if text == self._order_text:
            return
        order = row_to_order(json.loads(text), self._run, trusted=True)  # the driver may run anything here anyway
        runtime = own_machine(order.runtime, self._own)
        if runtime != self._runtime:
            if self._searcher is not None:
                await self._searcher.aclose()
            self._searcher, self._runtime = Searcher(runtime, self._device, self._num_workers), runtime
        assert self._searcher is not None
        await self._searcher.open(order.job)
        self._order_text, self._order = text, order


@dataclass(eq=False)
class _Actor:
    """An actor from its driver's end.

    Attributes:
      handle: Ray's.
      made: when it was asked for.
      name: of its process; "" until it has answered, and again when it was lost.
      asked: the question whether it is there, while it is open, and since when.
      ask_next: when it is asked next.
      in_flight: tasks that it has.
    """

    handle: Any
    made: float
    name: str = ""
    asked: Any = None
    asked_since: float = 0.0
    ask_next: float = 0.0
    in_flight: set[str] = field(default_factory=set)


class RayPool:
    """Actors on a Ray cluster, as long as the `with` block."""

    def __init__(self, runtime: RuntimeSettings, run: Path, log: Callable[..., None]) -> None:
        """Connects to nothing yet.

        Args:
          runtime: `num_workers` actors, or one for each GPU or CPU that the cluster has, also those that come later.
          run: folder of the run, at the same place on every machine.
          log: takes the name of an event and its values, for the run's log.

        Raises:
          ConfigError: Ray is not installed.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._address = runtime.address or os.environ.get("RAY_ADDRESS") or None
        if self._address is None or self._address.startswith(("127.", "localhost:")):
            # one machine: then Ray's servers listen on loopback alone, and are found there; read when it is loaded
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigError("cluster: ray needs Ray: pip install 'rstar-math[ray]'") from error
        self._ray: Any = ray
        self._runtime, self._run, self._log = runtime, run.absolute(), log
        self._actors: list[_Actor] = []
        self._next_size = 0.0
        self._is_ours = False

    @property
    def is_remembering(self) -> bool:
        """Never: what one machine remembers, another does not."""
        return False

    def __enter__(self) -> Self:
        ray, address = self._ray, self._address
        if ray.is_initialized():
            return self
        common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            common |= {"include_dashboard": False}
        try:
            ray.init(address=address or "local", **common)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            if address is None:
                raise ConfigError(f"Ray could not be started on this machine: {error}") from error
            raise ConfigError(
                f"no Ray cluster at {address!r} ({error}); start one (`ray start --head`, docs/cluster.md), or leave "
                "runtime.address out to use this machine alone"
            ) from error
        self._is_ours = True
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors = []
        if self._is_ours:
            self._ray.shutdown()

    def run(self, job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Works on all tasks, wherever there are actors; yields (task, result) as they come.

        Raises:
          RStarError: a task raised it again and again, or a machine of the cluster is not fit.
          EngineError: whoever worked on a task was lost again and again.
        """
        ray = self._ray
        waiting = {key_of(task): task for task in tasks}
        todo = collections.deque(waiting)
        order = json.dumps(order_to_row(Order(job, self._runtime), self._run))
        calls: dict[Any, tuple[str, _Actor]] = {}
        num_lost: collections.Counter[str] = collections.Counter()
        num_failed: collections.Counter[str] = collections.Counter()
        tally = Tally()

        def lost(ref: Any) -> None:
            key, actor = calls.pop(ref)
            actor.in_flight.discard(key)
            tally.num_taken_over += 1
            num_lost[key] += 1
            if num_lost[key] > _MAX_LOST:
                raise EngineError(
                    f"whoever works on {key} is lost, {num_lost[key]} times now; look at the memory of the machines: "
                    "runtime.concurrency, max_batch_rows"
                )
            todo.appendleft(key)

        try:
            while waiting:
                self._grow(len(waiting))
                for actor in self._ask():
                    for ref in [r for r, (_, of) in calls.items() if of is actor]:
                        lost(ref)
                while todo and (free := self._freest(len(todo) + len(calls))) is not None:
                    key = todo.popleft()
                    if key in waiting:
                        ref = free.handle.do.remote(order, tasks_to_text([waiting[key]]))
                        calls[ref] = key, free
                        free.in_flight.add(key)
                        tally.num_leases += 1
                asked = {actor.asked: actor for actor in self._actors if actor.asked is not None}
                refs = [*calls, *asked]
                if not refs:
                    time.sleep(_PAUSE_S)
                    continue
                ready, _ = ray.wait(refs, num_returns=1, timeout=_PAUSE_S)
                more, _ = ray.wait(refs, num_returns=len(refs), timeout=0)  # whatever else is there
                for ref in {*ready, *more}:
                    if ref in asked:
                        self._heard(asked[ref])
                        continue
                    try:
                        said = json.loads(ray.get(ref))
                    except (ray.exceptions.RayError, OSError):
                        calls[ref][1].name = ""  # asked for before it is given anything again
                        lost(ref)
                        continue
                    key, actor = calls.pop(ref)
                    actor.in_flight.discard(key)
                    if "trouble" in said:
                        raise _failure(said["trouble"]).error
                    for row in said["rows"]:
                        result = row_to_result(row)
                        if isinstance(result, Failure):
                            num_failed[key] += 1
                            if num_failed[key] >= _MAX_FAILURES:
                                raise result.error
                            _log.warning("%s failed, and is tried again: %s", key, str(result.error)[-300:])
                            todo.appendleft(key)
                        elif row["key"] in waiting:
                            tally.count({**row, "worker": actor.name or "lost"})
                            yield waiting.pop(row["key"]), result
                        else:
                            tally.num_twice += 1
        finally:
            for ref in calls:
                ray.cancel(ref)
            for actor in self._actors:
                actor.in_flight.clear()
            if tally.num_leases:
                self._log("cluster", **tally.row("ray"))

    def _grow(self, most: int) -> None:
        """As many actors as there is room for, also on machines that have come meanwhile; none beyond the work."""
        now = time.monotonic()
        if now < self._next_size and self._actors:
            return
        self._next_size = now + 5.0
        resources = self._ray.cluster_resources()
        on_gpus = self._runtime.device != "cpu" and resources.get("GPU", 0) >= 1
        room = int(resources.get("GPU" if on_gpus else "CPU", 0))
        wanted = min(self._runtime.num_workers or max(1, room), max(most, len(self._actors)))
        needs = {"num_gpus": 1} if on_gpus else {"num_cpus": 1}
        made = self._ray.remote(SearchActor).options(
            max_restarts=-1, max_task_retries=0, max_concurrency=self._runtime.concurrency + 8, **needs
        )
        device = "cuda" if on_gpus else "cpu"
        while len(self._actors) < wanted:
            handle = made.remote(str(self._run), self._runtime.model_dump_json(), device)
            self._actors.append(_Actor(handle, now))

    def _freest(self, num_open: int) -> _Actor | None:
        """Of the actors that are there the one with the least to do, if it may get more: its share of what is open."""
        there = [actor for actor in self._actors if actor.name]
        if not there:
            return None
        now = time.monotonic()
        num_expected = sum(bool(a.name) or now - a.made < _EXPECTED_S for a in self._actors)
        most = min(self._runtime.concurrency, math.ceil(num_open / num_expected))
        freest = min(there, key=lambda actor: len(actor.in_flight))
        return freest if len(freest.in_flight) < most else None

    def _ask(self) -> list[_Actor]:
        """Asks actors whether they are there; gives those whose lease has run out, which are started again."""
        now, lease_s = time.monotonic(), self._runtime.lease_s
        run_out = []
        for actor in self._actors:
            if actor.asked is None and now >= actor.ask_next:
                actor.asked, actor.asked_since = actor.handle.beat.remote(), now
            elif actor.asked is not None and actor.name and now - actor.asked_since > lease_s:
                actor.name, actor.asked, actor.ask_next = "", None, now + _AGAIN_S
                self._ray.kill(actor.handle, no_restart=False)
                run_out.append(actor)
        return run_out

    def _heard(self, actor: _Actor) -> None:
        ref, actor.asked = actor.asked, None
        now = time.monotonic()
        try:
            actor.name, actor.ask_next = self._ray.get(ref), now + self._runtime.lease_s / 4
        except (self._ray.exceptions.RayError, OSError):
            actor.name, actor.ask_next = "", now + _AGAIN_S


def _failure(row: Row) -> Failure:
    found = row_to_result(row)
    assert isinstance(found, Failure)
    return found
