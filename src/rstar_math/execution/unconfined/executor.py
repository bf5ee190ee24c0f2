"""Step execution without isolation, for systems that have no sandbox: not a security boundary.

Programs run in freshly started worker processes (`worker.py`) that serve one after the other: limits, and an
end from outside, hold against mistakes. They hold against no attack: a program may read and write what the caller may.
Used only where the settings ask for it in so many words (`isolation: none`); macOS and Windows have nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from rstar_math.config import ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution import capacity
from rstar_math.execution.inside.protocol import HEADER, HEADER_BYTES
from rstar_math.execution.layers import LayerReport
from rstar_math.execution.observation import RecordedExecution, Statement
from rstar_math.execution.supervisor.requests import readable
from rstar_math.types import Execution, ExecutionStatus

WORKER = Path(__file__).with_name("worker.py")
WARNING = "steps run without isolation (isolation: none), which is not a security boundary"

START_S = 120.0
"""How long a worker may take to start."""

PROGRAMS_PER_WORKER = 500
"""After so many programs a worker is replaced, with whatever they have left in it."""


class UnconfinedExecutor:
    """Runs each program in one of a few worker processes, under limits, without isolation.

    Args:
      settings: limits; `isolation` must be "none".
      num_slots: programs that run at once; overrides the settings.

    Raises:
      SandboxError: the settings do not ask for this.
    """

    def __init__(self, settings: ExecutionSettings, num_slots: int | None = None) -> None:
        if settings.isolation != "none":
            raise SandboxError("steps run without isolation only where the settings say so: isolation: none")
        warnings.warn(WARNING, stacklevel=2)
        self.settings = settings
        self._num_slots = num_slots or capacity.num_slots(settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(self._num_slots)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    async def __aenter__(self) -> UnconfinedExecutor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs `code` in a fresh namespace that holds what `prefix` defined and nothing else."""
        return (await self._run([*prefix, code], len(prefix), fresh=False))[-1]

    async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program from the start in a fresh process of its own."""
        return await self._run(list(steps), 0, fresh=True) if steps else []

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        """The same, with what each statement did."""
        return await self._run(list(steps), 0, fresh=True, mode="statements") if steps else []

    async def layers(self) -> list[LayerReport]:
        """None: what stands in the place of a sandbox is named, as not active."""
        return [LayerReport("isolation", False, False, "switched off by isolation: none; not a security boundary")]

    async def aclose(self) -> None:
        """Ends every process that this executor started."""
        for worker in list(self._all):
            await worker.end()
        self._all.clear()
        self._idle.clear()

    async def _run(self, steps: list[str], first: int, fresh: bool, mode: str | None = None) -> list[Execution]:
        if self._loop is not asyncio.get_running_loop():
            # workers of another loop cannot be talked to from this one
            for worker in self._all:
                worker.kill()
            self._all.clear()
            self._idle.clear()
            self._loop = asyncio.get_running_loop()
            self._slots = asyncio.Semaphore(self._num_slots)
        async with self._slots:
            worker = self._idle.pop() if self._idle and not fresh else await self._start()
            try:
                executions = await worker.run(steps, first, mode or self.settings.output)
            except BaseException:  # also where the awaiter gives up: nobody knows what the worker does
                await self._end(worker)
                raise
            if fresh or not worker.alive() or worker.num_programs >= PROGRAMS_PER_WORKER:
                await self._end(worker)
            else:
                self._idle.append(worker)
            return executions

    async def _start(self) -> _Worker:
        worker = _Worker(self.settings)
        self._all.add(worker)
        try:
            await worker.start()
        except BaseException:
            await self._end(worker)
            raise
        return worker

    async def _end(self, worker: _Worker) -> None:
        self._all.discard(worker)
        await worker.end()


class _Worker:
    """One process, and the file through which it shows what programs print."""

    def __init__(self, settings: ExecutionSettings) -> None:
        self._settings = settings
        self.num_programs = 0
        self._process: asyncio.subprocess.Process | None = None
        handle, self._file = tempfile.mkstemp(prefix="rstar-step-")
        os.truncate(handle, HEADER_BYTES + settings.output_bytes)
        self._shared = mmap.mmap(handle, 0)
        os.close(handle)

    async def start(self) -> None:
        limits = self._settings
        config = {"file": self._file, "cpu_s": limits.cpu_s, "memory_mb": limits.memory_mb}
        config |= {"output_bytes": limits.output_bytes, "path": [p for p in sys.path if p]}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-B", "-X", "utf8", str(WORKER), json.dumps(config)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 28,
            start_new_session=hasattr(os, "killpg"),
        )
        try:
            ready = await asyncio.wait_for(self._line(), START_S)
        except TimeoutError as error:
            raise SandboxError(f"a worker was not ready within {START_S:g} seconds") from error
        if ready != "ready":
            raise SandboxError(f"a worker ended while it started (its file: {WORKER})")

    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def run(self, steps: list[str], first: int, mode: str) -> list[Execution]:
        """Runs `steps`; the executions of those from index `first` on, up to the first that fails."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self.num_programs += 1
        executions: list[Execution] = []
        with contextlib.suppress(ConnectionError):  # it has ended, which its output says too
            process.stdin.write(json.dumps([mode, steps]).encode() + b"\n")
            await process.stdin.drain()
        for index in range(len(steps)):
            try:
                reply = await asyncio.wait_for(self._line(), self._settings.wall_s)
            except TimeoutError:
                error = f"WallLimit: more than {self._settings.wall_s:g} seconds"
                execution = Execution("wall_limit", self._printed(), error, self._settings.wall_s)
                await self.end()
            else:
                execution = self._execution(reply, mode) if isinstance(reply, dict) else await self._lost()
            if index >= first:
                executions.append(execution)
            elif execution.status != "ok":
                error = f"step {index + 1} of the prefix failed: {execution.error}"
                executions.append(Execution(execution.status, "", error, execution.seconds))
            if execution.status != "ok":
                break
        return executions

    def _execution(self, reply: dict[str, Any], mode: str) -> Execution:
        status = cast(ExecutionStatus, reply["status"])
        error = None if reply["error"] is None else readable(reply["error"])
        output, seconds = readable(reply["output"]), float(reply["seconds"])
        if mode != "statements":
            return Execution(status, output, error, seconds)
        return RecordedExecution(status, output, error, seconds, tuple(Statement(*r) for r in reply["records"]))

    async def _lost(self) -> Execution:
        """The process has ended under a program."""
        assert self._process is not None
        code = await self._process.wait()
        output = self._printed()
        if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
            limit = self._settings.cpu_s
            return Execution("cpu_limit", output, f"CpuLimit: more than {limit:g} CPU seconds", limit)
        return Execution("killed", output, "Killed: the program ended its own process, or the system did")

    def _printed(self) -> str:
        length = min(HEADER.unpack_from(self._shared)[0], self._settings.output_bytes)
        return self._shared[HEADER_BYTES : HEADER_BYTES + length].decode("utf-8", "ignore")

    async def _line(self) -> Any:
        """The next message; None where none will come."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            return json.loads(await self._process.stdout.readline() or b"null")
        except (ValueError, RecursionError, asyncio.LimitOverrunError):
            return None

    async def end(self) -> None:
        """Kills it and waits for its end."""
        self.kill()
        if self._process is not None:
            await self._process.wait()

    def kill(self) -> None:
        """Kills it, and what it has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
        if not self._shared.closed:
            self._shared.close()
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._file)
