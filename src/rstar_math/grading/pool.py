"""Grading in worker processes that can be killed: bounded CPU time and memory for any pair of answers.

The pool's threads only wait on pipes, so a pool belongs to no event loop and may be used from several. Pairs that
need no parsing never reach a worker; workers start when the first pair needs one.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Literal, final

from rstar_math.errors import ConfigError, GradingError
from rstar_math.grading.policy import DEFAULT, Policy
from rstar_math.grading.shortcut import shortcut
from rstar_math.types import Verdict

_START_TIMEOUT_S = 120.0
_WALL_PER_CPU = 60.0
"""A worker that neither answers nor uses its CPU limit is killed at this multiple of it, in wall seconds."""

Backend = Literal["rules", "math-verify"]
"""What compares in the workers: this package's rules, or math-verify alone, to be measured against."""

_Key = tuple[str, str, Policy]


@dataclass(slots=True)
class GradingCounts:
    """What a pool has done so far.

    Attributes:
      num_pairs: comparisons asked for.
      num_shortcuts: decided in the calling process.
      num_cached: answered from the cache, or by waiting for the same pair.
      num_timeouts: undecided at a limit of time or memory.
      num_errors: undecided because the comparison failed inside.
      num_workers_started: worker processes started.
      cpu_seconds: CPU seconds spent on pairs in workers.
    """

    num_pairs: int = 0
    num_shortcuts: int = 0
    num_cached: int = 0
    num_timeouts: int = 0
    num_errors: int = 0
    num_workers_started: int = 0
    cpu_seconds: float = 0.0


@final
class GradingPool:
    """Grades pairs in killable processes; implements `rstar_math.grading.base.Grader`.

    Args:
      num_workers: worker processes, started when needed.
      timeout_s: CPU seconds that one pair may take. The wall limit is 60 times that: a busy machine must not turn
        an answer into a time-out.
      memory_mb: address space of one worker, in MB.
      cache_size: verdicts kept; the least recently used goes first.
      policy: how contested matters are decided.
      backend: what compares; with "math-verify" nothing is decided in the calling process.
    A number that is too small raises ConfigError.
    """

    def __init__(
        self,
        num_workers: int = 1,
        *,
        timeout_s: float = 5.0,
        memory_mb: int = 1024,
        cache_size: int = 65_536,
        policy: Policy = DEFAULT,
        backend: Backend = "rules",
    ) -> None:
        if num_workers < 1:
            raise ConfigError(f"num_workers is {num_workers}; a grading pool needs at least 1")
        if timeout_s <= 0:
            raise ConfigError(f"timeout_s is {timeout_s}; it must be above 0 (5 is usual)")
        if memory_mb < 256:
            raise ConfigError(f"memory_mb is {memory_mb}; sympy alone needs about 200, so give at least 256")
        self.counts = GradingCounts()
        self._num_workers = num_workers
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._cache_size = cache_size
        self._policy = policy
        self._backend: Backend = backend
        self._cache: OrderedDict[_Key, Verdict] = OrderedDict()
        self._in_flight: dict[_Key, Future[Verdict]] = {}
        self._queue: queue.SimpleQueue[tuple[_Key, Future[Verdict]] | None] = queue.SimpleQueue()
        self._lanes: list[_Lane] = []
        self._lock = threading.Lock()
        self._closed = False

    async def grade(self, gold: str, prediction: str | None, policy: Policy | None = None) -> Verdict:
        """Compares a prediction with the reference; see `Grader.grade`. `policy` stands in for the pool's own."""
        decided = self._decided(gold, prediction, policy or self._policy)
        return decided if isinstance(decided, Verdict) else await asyncio.wrap_future(decided)

    def grade_blocking(self, gold: str, prediction: str | None, policy: Policy | None = None) -> Verdict:
        """`grade` for callers without an event loop."""
        decided = self._decided(gold, prediction, policy or self._policy)
        return decided if isinstance(decided, Verdict) else decided.result()

    async def aclose(self) -> None:
        """Ends every worker; pairs in flight end with GradingError."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """`aclose` for callers without an event loop."""
        with self._lock:
            self._closed = True
            lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.close()
            self._queue.put(None)
        for lane in lanes:
            lane.thread.join()

    async def __aenter__(self) -> GradingPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _decided(self, gold: str, prediction: str | None, policy: Policy) -> Verdict | Future[Verdict]:
        """The verdict, or that of a worker to come."""
        known = self._decided_here(gold, prediction, policy)
        return self._submitted(gold, prediction or "", policy) if known is None else known

    def _decided_here(self, gold: str, prediction: str | None, policy: Policy) -> Verdict | None:
        """The verdict where no worker is needed: a pair that needs no parsing, or a known one."""
        decided = None
        if self._backend == "rules" or prediction is None:
            started = time.perf_counter()
            decided = shortcut(gold, prediction)
            if decided is not None:
                decided = replace(decided, seconds=time.perf_counter() - started)
        with self._lock:
            self.counts.num_pairs += 1
            if decided is not None:
                self.counts.num_shortcuts += 1
                return decided
            assert prediction is not None
            key = (gold, prediction, policy)
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
                self.counts.num_cached += 1
            return known

    def _submitted(self, gold: str, prediction: str, policy: Policy) -> Future[Verdict]:
        """The future of a pair: one computation, however many wait for it."""
        key = (gold, prediction, policy)
        with self._lock:
            if self._closed:
                raise GradingError("this grading pool is closed; open a new one")
            running = self._in_flight.get(key)
            if running is not None:
                self.counts.num_cached += 1
                return running
            future: Future[Verdict] = Future()
            future.set_running_or_notify_cancel()  # nobody who waits may cancel it for the others
            self._in_flight[key] = future
            if len(self._lanes) < self._num_workers:
                self._lanes.append(_Lane(self._serve, _Worker(self._timeout_s, self._memory_mb, self._backend)))
        self._queue.put((key, future))
        return future

    def _serve(self, lane: _Lane) -> None:
        """Runs in a thread of the pool: one worker process, pair after pair."""
        while (item := self._queue.get()) is not None:
            key, future = item
            verdict, error = None, None
            try:
                verdict = self._computed(key, lane)
            except Exception as failure:  # handed to whoever waits for the pair
                error = failure
            with self._lock:
                self._in_flight.pop(key, None)
                if verdict is not None:
                    self._count(key, verdict)
            if verdict is not None:
                future.set_result(verdict)
            else:
                future.set_exception(error or GradingError("a grading worker gave no verdict"))
        lane.worker.end()

    def _computed(self, key: _Key, lane: _Lane) -> Verdict:
        """Asks the lane's worker, and a new one where it died."""
        gold, prediction, policy = key
        request = {"gold": gold, "prediction": prediction, "policy": asdict(policy), "backend": self._backend}
        for _ in range(2):  # a worker may have died of something else than this pair: once more, in a new one
            if self._closed:
                raise GradingError("the grading pool was closed before this pair was compared")
            if lane.worker.ended:
                lane.replace(_Worker(self._timeout_s, self._memory_mb, self._backend))
            with self._lock:
                self.counts.num_workers_started += lane.worker.is_new
            verdict = lane.worker.ask(request)
            if verdict is not None:
                return verdict
        if self._closed:
            raise GradingError("the grading pool was closed while it compared this pair")
        return Verdict(equal=False, rule="worker_died", timed_out=True)

    def _count(self, key: _Key, verdict: Verdict) -> None:
        self.counts.cpu_seconds += verdict.seconds
        self.counts.num_errors += verdict.rule in _ERROR_RULES
        self.counts.num_timeouts += verdict.timed_out and verdict.rule not in _ERROR_RULES
        if verdict.rule != "wall_limit":  # says more about the machine than about the pair
            self._cache[key] = verdict
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)


@final
class _Lane:
    """One thread of the pool and the worker process that it waits for."""

    def __init__(self, serve: Callable[[_Lane], None], worker: _Worker) -> None:
        self.worker = worker
        self._closed = False
        self._lock = threading.Lock()
        # a daemon: pairs that nobody waits for any more must not keep the program from ending
        self.thread = threading.Thread(target=serve, args=(self,), name="grading", daemon=True)
        self.thread.start()

    def replace(self, worker: _Worker) -> None:
        """Puts a new worker in the place of one that ended."""
        with self._lock:
            self.worker = worker
            if self._closed:
                worker.kill()

    def close(self) -> None:
        """Kills the worker, from any thread; the lane's own thread cleans up behind it."""
        with self._lock:
            self._closed = True
            self.worker.kill()


_ERROR_RULES = frozenset({"worker_died", "grader_error"})


class _Worker:
    """One worker process, its pipes, and its CPU clock read from outside. Started when first asked.

    Everything but `kill` belongs to one thread.
    """

    def __init__(self, timeout_s: float, memory_mb: int, backend: Backend) -> None:
        self.ended = False
        self.is_new = True
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._backend = backend
        self._killed = False
        self._pending = b""
        self._errors: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any]) -> Verdict | None:
        """The worker's verdict, or that of the limit at which it was killed; None where it died by itself.

        Raises:
          GradingError: the worker process did not start.
        """
        process = self._started()
        assert process.stdin is not None
        before = self._cpu_seconds(process)
        try:
            message = json.dumps(request).encode() + b"\n"
            while message:  # an unbuffered pipe may take part of a long message
                message = message[process.stdin.write(message) or 0 :]
        except OSError:  # the worker is dead
            self.end()
            return None
        reply = self._line(process, self._timeout_s, self._timeout_s * _WALL_PER_CPU)
        if isinstance(reply, bytes):
            return _verdict(json.loads(reply))
        used = self._cpu_seconds(process) - before
        self.end()
        if reply is None:
            return None
        return Verdict(equal=False, rule=reply, seconds=max(used, 0.0), timed_out=True)

    def kill(self) -> None:
        """Kills the process; may be called from any thread."""
        self._killed = True
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """Kills the process, reaps it and closes its pipes."""
        self.ended = True
        self.kill()
        if self._process is None:
            return
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        """The process, started and ready."""
        if self._process is not None:
            return self._process
        self.is_new = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        # a fixed hash seed: the order of sympy's sets, and with it the time a pair takes, is the same in each worker
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        arguments = [str(os.getpid()), str(self._timeout_s), str(self._memory_mb), self._backend]
        process = subprocess.Popen(
            [sys.executable, "-m", "rstar_math.grading.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            bufsize=0,
            start_new_session=True,  # a terminal's signals are the parent's, also while it starts
        )
        self._process = process
        if self._killed:  # the pool was closed while the process came up
            process.kill()
        ready = self._line(process, _START_TIMEOUT_S, _START_TIMEOUT_S)
        if not isinstance(ready, bytes):
            said = self._said()
            self.end()
            raise GradingError(f"a grading worker did not start ({ready or 'it ended'}): {said}")
        return process

    def _line(self, process: subprocess.Popen[bytes], cpu_limit_s: float, wall_limit_s: float) -> bytes | str | None:
        """The next line of the worker; "cpu_limit" or "wall_limit"; None where it ended."""
        assert process.stdout is not None
        cpu_started, deadline = self._cpu_seconds(process), time.monotonic() + wall_limit_s
        pause = cpu_limit_s
        while b"\n" not in self._pending:
            if select.select([process.stdout], [], [], pause)[0]:
                data = os.read(process.stdout.fileno(), 65_536)
                if not data:
                    return None
                self._pending += data
                continue
            used = self._cpu_seconds(process) - cpu_started
            if used >= cpu_limit_s:
                return "cpu_limit"
            if time.monotonic() >= deadline:
                return "wall_limit"
            pause = max(min(cpu_limit_s - used, deadline - time.monotonic()), 0.01)
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    @staticmethod
    def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
        """The worker's CPU clock; 0 where the system does not show it or the worker has ended."""
        if sys.platform != "linux":
            return 0.0
        try:
            # the kernel's encoding of "the CPU clock of process p" (CPUCLOCK_SCHED)
            return time.clock_gettime((~process.pid << 3) | 2)
        except OSError:
            return 0.0

    def _said(self) -> str:
        """The end of what the worker wrote to its standard error."""
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read()[-2_000:].decode(errors="replace").strip() or "it said nothing"


def _verdict(reply: dict[str, Any]) -> Verdict:
    """The verdict in a worker's reply."""
    seconds = float(reply["seconds"])
    if "error" in reply:
        return Verdict(equal=False, rule="grader_error", seconds=seconds, timed_out=True)
    if "undecided" in reply:
        return Verdict(equal=False, rule=str(reply["undecided"]), seconds=seconds, timed_out=True)
    return Verdict(
        equal=bool(reply["equal"]),
        rule=str(reply["rule"]),
        seconds=seconds,
        contested=bool(reply["contested"]),
        timed_out=bool(reply["timed_out"]),
    )
