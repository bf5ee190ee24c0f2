"""Step execution in forked children of warm zygotes: what the search's `Executor` is on Linux.

A zygote (`rstar_math.execution.zygote`) is a fresh interpreter in a clean environment that has loaded what programs
import. For each program it forks a child, which runs the program and ends. This file is the supervisor: it asks for
children, watches their CPU and wall clocks from outside, kills them, and remembers results. No step is ever run in
the supervisor's own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from rstar_math.errors import SandboxError
from rstar_math.execution.harness import HEADER, HEADER_BYTES
from rstar_math.execution.settings import ExecutionSettings
from rstar_math.types import Execution, ExecutionStatus

ZYGOTE = Path(__file__).with_name("zygote.py")
TICK_S = 0.02
"""How often the clocks of running programs are read."""

MAX_INLINE_BYTES = 60_000
MAX_STARTS = 3
"""How often a program is tried whose zygote was lost under it."""

_STATUSES = frozenset({"ok", "error", "memory_limit", "output_limit"})
_UCRED = struct.Struct("iII")


@dataclass(eq=False, slots=True)
class _Job:
    """One program on its way: what to run and where its executions go."""

    steps: tuple[str, ...]
    first: int
    """Index of the first step whose execution is wanted."""
    profile: str
    done: asyncio.Future[list[Execution]]
    executions: list[Execution] = field(default_factory=list)
    starts: int = 0
    channel: socket.socket | None = None
    buffer_fd: int = -1
    pid: int = 0
    pidfd: int = -1
    zygote: _Zygote | None = None
    step_began: float = 0.0
    """Monotonic time at which the running step, as far as the supervisor knows, began."""
    output_read: int = 0


@dataclass(eq=False, slots=True)
class _Zygote:
    """A running zygote, ready to fork."""

    profile: str
    process: subprocess.Popen[bytes]
    control: socket.socket


class SandboxExecutor:
    """Runs each program in a forked child of a warm zygote, under limits that are enforced from outside.

    Use it inside one event loop, as an async context manager or with `aclose`. Any number of executions may be
    awaited at the same time; `num_slots` of them run at once, in the order in which they were asked for.

    Args:
      settings: limits.
      num_slots: programs that run at once; overrides the settings.
    """

    def __init__(self, settings: ExecutionSettings | None = None, num_slots: int | None = None) -> None:
        self._settings = settings or ExecutionSettings()
        self._num_slots = num_slots or self._settings.slots()
        self._cache: OrderedDict[tuple[tuple[str, ...], str], Execution] = OrderedDict()
        self._in_flight: dict[tuple[tuple[str, ...], str], asyncio.Future[list[Execution]]] = {}
        self._forget_processes()

    def _forget_processes(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._zygotes: dict[str, asyncio.Task[_Zygote]] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Job] = deque()
        self._running: set[_Job] = set()
        self._ticking = False

    async def __aenter__(self) -> SandboxExecutor:
        self._enter_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs `code` in a fresh namespace that holds what `prefix` defined and nothing else."""
        self._enter_loop()
        key = (tuple(prefix), code)
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            return known
        flight = self._in_flight.get(key)
        if flight is None or flight.cancelled():
            flight = self._submit((*key[0], code), first=len(key[0]))
            self._in_flight[key] = flight
            flight.add_done_callback(lambda done: self._remember(key, done))
        # one awaiter that is cancelled must not cancel the run for the others
        return (await asyncio.shield(flight))[-1]

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program from the start, past every cache, in a fresh child of a clean zygote."""
        self._enter_loop()
        if not steps:
            return []
        return await self._submit(tuple(steps), first=0)

    async def aclose(self) -> None:
        """Ends every process that this executor started; programs on their way end as SandboxError."""
        if self._loop is None or self._pid != os.getpid():
            return
        for job in [*self._waiting, *self._running]:
            self._release(job)
            if not job.done.done():
                job.done.set_exception(SandboxError("the executor was closed while this program was on its way"))
                job.done.exception()  # an awaiter that is gone must not make the loop complain
        zygotes = list(self._zygotes.values())
        self._forget_processes()
        for starting in zygotes:
            starting.cancel()
        for zygote in await asyncio.gather(*zygotes, return_exceptions=True):
            if isinstance(zygote, _Zygote):
                _end(zygote)

    # ---------------------------------------------------------------- one program

    def _submit(self, steps: tuple[str, ...], first: int) -> asyncio.Future[list[Execution]]:
        assert self._loop is not None
        job = _Job(steps, first, profile_of(steps), self._loop.create_future())
        self._waiting.append(job)
        self._start_waiting()
        return job.done

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._num_slots:
            job = self._waiting.popleft()
            if job.done.done():  # cancelled while it waited
                continue
            self._running.add(job)
            zygote = _ready(self._zygotes.get(job.profile))
            if zygote is not None:
                self._start(job, zygote)
            else:
                task = asyncio.ensure_future(self._start_when_ready(job))
                self._starting.add(task)  # the loop itself keeps only weak references
                task.add_done_callback(self._starting.discard)

    async def _start_when_ready(self, job: _Job) -> None:
        try:
            zygote = await self._zygote(job.profile)
        except (SandboxError, OSError) as error:
            self._fail(job, error)
        except asyncio.CancelledError:
            self._fail(job, SandboxError("the executor was closed while this program was on its way"))
        else:
            if job in self._running:
                self._start(job, zygote)

    def _start(self, job: _Job, zygote: _Zygote) -> None:
        """Asks `zygote` for a child that runs `job`."""
        assert self._loop is not None
        job.starts += 1
        job.executions.clear()
        job.output_read = 0
        limits = self._settings
        reported = len(job.steps) - job.first
        request = {
            "steps": job.steps,
            "first": job.first,
            "step_bytes": limits.output_bytes,
            "memory_bytes": limits.memory_mb << 20,
        }
        message = json.dumps(request).encode()
        buffer_bytes = HEADER_BYTES + reported * limits.output_bytes
        child_end: socket.socket | None = None
        try:
            job.channel, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            job.channel.setblocking(False)
            job.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            job.buffer_fd = os.memfd_create("step", os.MFD_CLOEXEC)
            os.truncate(job.buffer_fd, max(buffer_bytes, HEADER_BYTES + len(message)))
            if len(message) > MAX_INLINE_BYTES:
                os.pwrite(job.buffer_fd, message, HEADER_BYTES)
                message = json.dumps({"file": len(message)}).encode()
            socket.send_fds(zygote.control, [b"F" + message], [child_end.fileno(), job.buffer_fd])
        except BlockingIOError:
            self._retry(job, after_s=TICK_S, lost=False)
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # others hold descriptors now; they will give some back
                self._retry(job, after_s=5 * TICK_S, lost=False)
            else:
                self._lost(zygote)
                self._retry(job, after_s=0.0, lost=True)
            return
        finally:
            if child_end is not None:
                child_end.close()
        job.zygote = zygote
        job.step_began = time.monotonic()
        self._loop.add_reader(job.channel, self._on_message, job)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_S, self._tick, self._loop)

    def _on_message(self, job: _Job) -> None:
        """Takes what the child of `job` says; only the kernel's word for its pid is trusted."""
        assert job.channel is not None
        try:
            message, ancillary, _, _ = job.channel.recvmsg(1 << 14, socket.CMSG_SPACE(_UCRED.size))
        except BlockingIOError:
            return
        except OSError:
            message, ancillary = b"", []
        if job.pid == 0 and message == b"H":
            self._identify(job, ancillary)
        elif not message or job.pid == 0:
            self._on_end(job)
        else:
            self._on_step(job, message)

    def _identify(self, job: _Job, ancillary: list[tuple[int, int, bytes]]) -> None:
        assert job.channel is not None
        job.pid = next(_UCRED.unpack(data[: _UCRED.size])[0] for _, _, data in ancillary)
        try:
            job.pidfd = os.pidfd_open(job.pid)
        except ProcessLookupError:
            return  # it has ended; its channel says the rest
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._retry(job, after_s=5 * TICK_S, lost=False)
            return
        poll = select.poll()
        poll.register(job.channel, select.POLLHUP)
        if any(event & select.POLLHUP for _, event in poll.poll(0)):
            # the child may have ended before its pid was looked up, and the pid may belong to another process by now
            os.close(job.pidfd)
            job.pidfd = -1

    def _on_step(self, job: _Job, message: bytes) -> None:
        try:
            index, status, error, seconds, end = json.loads(message[1:])
            if not (
                message[:1] == b"R"
                and status in _STATUSES
                and (error is None) == (status == "ok")
                and (error is None or isinstance(error, str))
                and isinstance(seconds, float)
                and isinstance(end, int)
            ):
                raise ValueError(message)
        except (ValueError, TypeError):
            self._finish(job, "killed", "ProtocolError: the program interfered with the report of its own result")
            return
        if index < job.first:
            self._finish(job, status, f"step {index + 1} of the prefix failed: {error}")
            return
        job.executions.append(Execution(status, self._read_output(job, end), error, seconds))
        job.step_began = time.monotonic()
        if status != "ok" or len(job.executions) == len(job.steps) - job.first:
            self._complete(job)

    def _on_end(self, job: _Job) -> None:
        """The child has ended without a word."""
        if job.pid == 0:
            self._retry(job, after_s=0.0, lost=True)
        elif job.zygote is not None and job.zygote.process.poll() is not None:
            self._lost(job.zygote)
            self._retry(job, after_s=0.0, lost=True)
        else:
            self._finish(job, "killed", "Killed: the program ended its own process, or the system did")

    def _finish(self, job: _Job, status: ExecutionStatus, error: str, seconds: float = 0.0) -> None:
        """Ends `job` with a step that did not report itself."""
        length = 0
        if job.buffer_fd >= 0:
            length = HEADER.unpack(os.pread(job.buffer_fd, HEADER.size, 0))[0]
        job.executions.append(Execution(status, self._read_output(job, length), error, seconds))
        self._complete(job)

    def _read_output(self, job: _Job, end: int) -> str:
        """What the running step printed, up to the buffer's byte `end`."""
        length = min(max(end - job.output_read, 0), self._settings.output_bytes)
        data = os.pread(job.buffer_fd, length, HEADER_BYTES + job.output_read) if length else b""
        job.output_read = max(end, job.output_read)
        return data.decode("utf-8", "ignore")

    def _complete(self, job: _Job) -> None:
        self._release(job)
        if not job.done.done():
            job.done.set_result(job.executions)
        self._start_waiting()

    def _fail(self, job: _Job, error: Exception) -> None:
        self._release(job)
        if not job.done.done():
            job.done.set_exception(error)
        self._start_waiting()

    def _retry(self, job: _Job, after_s: float, lost: bool) -> None:
        """Starts `job` once more; not for ever where processes are lost under it."""
        self._release(job)
        if not lost:
            job.starts -= 1
        if job.starts >= MAX_STARTS:
            job.executions.append(Execution("killed", "", f"Killed: lost with its zygote {job.starts} times", 0.0))
            self._complete(job)
            return
        assert self._loop is not None

        def again() -> None:
            self._waiting.appendleft(job)
            self._start_waiting()

        self._loop.call_later(after_s, again)

    def _release(self, job: _Job) -> None:
        """Kills the child of `job` if it still runs, and gives its descriptors back."""
        self._running.discard(job)
        if job.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself, as a program should
                signal.pidfd_send_signal(job.pidfd, signal.SIGKILL)
            os.close(job.pidfd)
            job.pidfd = -1
        if job.channel is not None:
            if self._loop is not None:
                self._loop.remove_reader(job.channel)
            job.channel.close()
            job.channel = None
        if job.buffer_fd >= 0:
            os.close(job.buffer_fd)
            job.buffer_fd = -1
        job.pid = 0
        job.zygote = None

    def _remember(self, key: tuple[tuple[str, ...], str], done: asyncio.Future[list[Execution]]) -> None:
        if self._in_flight.get(key) is done:
            del self._in_flight[key]
        if done.cancelled() or done.exception():
            return
        execution = done.result()[-1]
        # how long the wall clock ran, and what killed a process, says nothing certain about the program
        if execution.status in ("wall_limit", "killed") or not self._settings.cache_entries:
            return
        self._cache[key] = execution
        if len(self._cache) > self._settings.cache_entries:
            self._cache.popitem(last=False)

    # ---------------------------------------------------------------- clocks

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        now = time.monotonic()
        for job in list(self._running):
            if job.channel is not None:
                self._check_clocks(job, now)
        self._ticking = bool(self._running)
        if self._ticking:
            loop.call_later(TICK_S, self._tick, loop)

    def _check_clocks(self, job: _Job, now: float) -> None:
        limits = self._settings
        age = now - job.step_began
        if job.pid == 0 or age < min(limits.cpu_s, limits.wall_s):
            # a child not yet heard of is late, which is not its fault: nothing of the program has run
            return
        cpu = _cpu_seconds(job.pid) if job.pidfd >= 0 else 0.0
        _, began, index = HEADER.unpack(os.pread(job.buffer_fd, HEADER.size, 0))
        # `began` is the child's own word: it may only lie to its own disadvantage, or within the sum of its limits
        spent = cpu - began if 0.0 <= began <= cpu else cpu
        where = "" if index >= job.first else f" in step {index + 1} of the prefix"
        if spent >= limits.cpu_s or cpu >= limits.cpu_s * len(job.steps):
            self._finish(job, "cpu_limit", f"CpuLimit: more than {limits.cpu_s:g} CPU seconds{where}", spent)
        elif age >= limits.wall_s:
            self._finish(job, "wall_limit", f"WallLimit: more than {limits.wall_s:g} seconds{where}", spent)

    # ---------------------------------------------------------------- zygotes

    def _enter_loop(self) -> None:
        """Binds the executor to the running loop; after a fork, or in a new loop, it starts afresh."""
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._pid == os.getpid():
            return
        if self._loop is not None:
            ours = self._pid == os.getpid()
            for job in self._running:
                for fd in (job.buffer_fd, job.pidfd):
                    if fd >= 0:
                        os.close(fd)
                if job.channel is not None:
                    job.channel.close()
            for starting in self._zygotes.values():
                zygote = _ready(starting)
                if zygote is not None and ours:
                    _end(zygote)
                elif zygote is not None:
                    zygote.control.close()
            self._in_flight.clear()
            self._forget_processes()
        self._loop = loop

    async def _zygote(self, profile: str) -> _Zygote:
        starting = self._zygotes.get(profile)
        if starting is None or (starting.done() and (starting.cancelled() or starting.exception())):
            starting = asyncio.ensure_future(self._start_zygote(profile))
            self._zygotes[profile] = starting
        return await asyncio.shield(starting)

    async def _start_zygote(self, profile: str) -> _Zygote:
        assert self._loop is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        config = {"profile": profile, "parent": os.getpid(), "stderr": False}
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-X", "utf8", str(ZYGOTE), json.dumps(config), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=clean_environment(),
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        zygote = _Zygote(profile, process, ours)
        try:
            hello = await asyncio.wait_for(self._loop.sock_recv(ours, 1 << 16), timeout=120)
        except BaseException:
            _end(zygote)
            raise
        if hello[:1] != b"Z":
            _end(zygote)
            raise SandboxError(f"the {profile} zygote ended while it started; its standard error says why")
        return zygote

    def _lost(self, zygote: _Zygote) -> None:
        """A zygote that does not answer is ended; the next program of its profile starts another."""
        if _ready(self._zygotes.get(zygote.profile)) is zygote:
            del self._zygotes[zygote.profile]
        _end(zygote)


def _ready(starting: asyncio.Task[_Zygote] | None) -> _Zygote | None:
    """The zygote that `starting` has started; None while it starts, and where it failed to."""
    if starting is None or not starting.done() or starting.cancelled() or starting.exception():
        return None
    return starting.result()


def _end(zygote: _Zygote) -> None:
    zygote.process.kill()
    zygote.process.wait()
    zygote.control.close()


def clean_environment() -> dict[str, str]:
    """The environment of zygotes: nothing of the caller's, one thread per process, a fixed hash seed."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        **dict.fromkeys(threads, "1"),
    }


_WORD = re.compile(r"\w+")
_FULL_WORDS = frozenset({"numpy", "sympy", "mpmath"})


def profile_of(steps: Sequence[str]) -> str:
    """Which zygote a program needs: "light", "full" (numpy, sympy, mpmath) or "scipy" (those and scipy)."""
    profiles = {_profile_of_step(code) for code in steps}
    return "scipy" if "scipy" in profiles else "full" if "full" in profiles else "light"


@lru_cache(maxsize=4096)
def _profile_of_step(code: str) -> str:
    # words, not imports: this can only err towards the zygote that has more loaded
    words = set(_WORD.findall(code))
    if "scipy" in words:
        return "scipy"
    return "full" if words & _FULL_WORDS else "light"


def _cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, by its CPU clock (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
