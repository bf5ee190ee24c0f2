"""A warm worker: one process that runs many admitted programs, one after the other, each in a namespace of its own.

What makes it cheap: nothing is forked, code is compiled once, and the namespaces that prefixes left are copied rather
than computed again. What makes it safe: the static check (`staticcheck`) admits only programs that cannot change
anything else; the `guard` and the `seal` notice one that does, before any result is given out; and whatever
is out of the ordinary is left to a fork of its own.

Messages over a stream, each a length of 4 bytes and JSON:

    to the worker        [mode, forced, [[[prefix step, ...], [[number, step], ...]], ...]]
    to the supervisor    [[number, status, error, seconds, output, replayed_s, kept], ...]    it has run
                         [number, "refused", reason, i]   the static check does not admit step i, or with -1 the steps
                                                          together; nothing has run
                         [number, "deferred", reason]     admitted, but it needs a process of its own
                         [number, "tainted", reason]      it, or one beside it, has changed this process
"""

from __future__ import annotations

import builtins
import gc
import json
import mmap
import os
import resource
import select
import socket
import sys
import time
import types
from typing import Any, NoReturn, cast

from rstar_math.execution.inside import harness, libraries, namespaces, output, staticcheck
from rstar_math.execution.inside.compiled import Compiled, Compiler
from rstar_math.execution.inside.facades import Facades, add_builtins
from rstar_math.execution.inside.guard import DeferredError, Guard
from rstar_math.execution.inside.protocol import HEADER, left_well
from rstar_math.execution.inside.seal import Seal
from rstar_math.execution.inside.states import State, States

# see the same line in protocol.py
globals()["__builtins__"] = dict(vars(builtins))

CHECK_AFTER_S = 0.02
"""Seconds of programs after which the seal is looked at although more programs wait."""

NOTE_STATE_S = 0.004
"""Prefixes dearer than this are looked at right away for whether their namespace can be copied."""

CLOCK_S = 0.001
"""Programs that took less than this on the wall clock are not worth reading the CPU clock for."""

_DEPTH_OF_RUN = 3
"""Frames between `Worker.serve` and the program's: `_run_group`, `_run` and `_execute`."""

_NUMBERED = "Dummy_"
"""Names that sympy gives symbols by counting those before them, in this process."""

_quoted = json.encoder.encode_basestring_ascii


class _Prepared:
    """What the zygote builds once for all workers."""

    def __init__(self, own_modules: list[types.ModuleType]) -> None:
        self.facades = Facades()
        facades = self.facades.modules.values()
        self.builtins = {name: value for name, value in vars(builtins).items() if name in staticcheck.SAFE_BUILTINS}
        libraries.make_caches_exact()
        self.restorer = libraries.Restorer()
        roots = [*self.facades.names, "copyreg", "warnings", "io", "codecs"]
        more = [self.builtins, self.facades.names, self.facades.modules, *map(vars, facades)]
        self.seal = Seal(roots, more, own_modules)
        mutable = (list, dict, set, bytearray)
        self.library = [
            value
            for facade in facades
            for value in vars(facade).values()
            if not isinstance(value, mutable) and type(value).__name__ != "ndarray"
        ]
        self.library += facades


_prepared: _Prepared | None = None


def prepare(own_modules: list[types.ModuleType]) -> None:
    """Does the work that all workers of this zygote share; `own_modules` are those that run them."""
    global _prepared
    _prepared = _Prepared(own_modules)


class Worker:
    """Runs programs until the supervisor is gone or memory has grown."""

    def __init__(self, channel: socket.socket, shared: mmap.mmap, step_bytes: int, memory_bytes: int) -> None:
        assert _prepared is not None
        self._channel = channel
        self._shared = shared
        self._facades = _prepared.facades
        self._seal = _prepared.seal
        self._restorer = _prepared.restorer
        self._guard = Guard()
        self._memory_limit = _most_resident_bytes() + memory_bytes // 3
        self._room_bytes = memory_bytes
        """Address space that a program of a process of its own would find."""
        self._is_full = False
        self._output = output.OutputBuffer(shared, step_bytes, self._too_much)
        self._printed_too_much = False
        restorer, guard = self._restorer, self._guard
        self._builtins = _prepared.builtins
        add_builtins(self._builtins, self._facades, guard.defer, self._show, restorer.typing_is_used)
        self._facades.connect(self._missing)
        # kept alive, so that their ids are never those of other objects
        self._library = [*_prepared.library, self._builtins]
        self._states = States(namespaces.Copier(frozenset(map(id, self._library))))
        self._compiler = Compiler(self._facades)
        self._results: list[str] = []
        self._unverified: list[int] = []
        self._verified_at = 0.0
        self._cpu = 0.0
        """The process's CPU clock when it was last read."""
        self._received = bytearray()

    # ---------------------------------------------------------------- serving

    def serve(self) -> NoReturn:
        """Runs what comes, until nobody is there any more."""
        harness.fresh_main()
        sys.stdout = cast(Any, self._output)
        sys.stderr = cast(Any, output.Discarded())
        harness.reset_recursion(extra=_DEPTH_OF_RUN)
        libraries.refuse(self._guard.defer, self._facades.modules)
        self._guard.install()
        self._seal.start()
        self._verify()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        while True:
            self._receive()
            while (frame := self._next_frame()) is not None:
                mode, forced, groups = json.loads(frame)  # the same mode every time
                for prefix, programs in groups:
                    self._run_group(tuple(prefix), programs, mode, forced)
                if self._results and (self._received or poll.poll(0)):
                    continue  # more waits: the seal is looked at once for all, or when it is time to
                self._verify()

    def _receive(self) -> None:
        data = self._channel.recv(1 << 18)
        if not data:
            os._exit(0)
        self._received += data

    def _next_frame(self) -> bytes | None:
        if len(self._received) < 4:
            return None
        length = int.from_bytes(self._received[:4], "big")
        if len(self._received) < 4 + length:
            return None
        frame = bytes(self._received[4 : 4 + length])
        del self._received[: 4 + length]
        return frame

    def _verify(self) -> None:
        """Looks at the seal, and gives the results out that waited for it."""
        broken = self._seal.broken()
        if broken is not None:
            reason = _quoted(broken)
            self._send([f'[{number},"tainted",{reason}]' for number in self._unverified])
            os._exit(0)
        self._unverified.clear()
        self._verified_at = time.perf_counter()
        self._cpu = time.process_time()
        HEADER.pack_into(self._shared, 0, 0, 0.0, 0, 0.0, 0)  # no program runs
        if self._results:
            self._send(self._results)
            self._results.clear()
        if self._is_full or _most_resident_bytes() > self._memory_limit:
            os._exit(0)  # another one takes over, with memory as it was

    def _send(self, results: list[str]) -> None:
        message = f"[{','.join(results)}]".encode()
        self._channel.sendall(len(message).to_bytes(4, "big") + message)

    # ---------------------------------------------------------------- programs

    def _run_group(self, prefix: tuple[str, ...], programs: list[tuple[int, str]], mode: str, forced: bool) -> None:
        """Runs the candidates after one prefix."""
        for number, step in programs:
            self._run(number, prefix, step, mode, forced)
            if time.perf_counter() - self._verified_at > CHECK_AFTER_S:
                self._verify()

    def _run(self, number: int, prefix: tuple[str, ...], step: str, mode: str, forced: bool) -> None:
        last = self._compiler.compiled(step, mode)
        state = self._states.find(prefix) if prefix else None
        if state is None:
            before = [self._compiler.compiled(earlier, mode) for earlier in prefix]
            has_star = last.has_star or any(earlier.has_star for earlier in before)
            uses_random = last.uses_random or any(earlier.uses_random for earlier in before)
        else:
            before = []
            has_star = last.has_star or state.has_star
            uses_random = last.uses_random or state.uses_random
        refusal, culprit = last.refusal, len(prefix)
        for i, earlier in enumerate(before):
            if earlier.refusal is not None:
                refusal, culprit = earlier.refusal, i
                break
        if refusal is None and has_star:
            every = [*(self._compiler.compiled(earlier, mode) for earlier in prefix), last]
            refusal = staticcheck.stray_name([step.code for step in every if step.code is not None], self._facades)
            culprit = -1
        if refusal is not None and not (forced and last.code is not None):
            self._results.append(f'[{number},"refused",{_quoted(refusal)},{culprit}]')
            return
        if last.code is None:
            self._results.append(f'[{number},"error",{_quoted(last.error or "")},0.0,"",0.0,false]')
            return
        if (last.has_handler or any(earlier.has_handler for earlier in before)) and not self._has_room():
            self._results.append(f'[{number},"deferred","what others left here takes its memory"]')
            return
        self._unverified.append(number)
        self._restorer.before_program()
        started = time.perf_counter()
        if state is not None:
            namespace: dict[str, Any] | None = self._states.copy(prefix, state)
            self._restorer.restore_random(state.random, uses_random)
        else:
            namespace = self._replayed(number, prefix, before, uses_random)
        if namespace is None:
            self._results.append(f'[{number},"deferred",{_quoted(self._guard.reason or "the prefix failed")}]')
            return
        began = time.perf_counter()
        self._begin(number)
        status, error, reason = self._execute(last.code, namespace)
        ended = time.perf_counter()
        if reason is not None:
            self._results.append(f'[{number},"deferred",{_quoted(reason)}]')
            return
        printed = self._output.printed()
        if _NUMBERED in printed or _NUMBERED in (error or ""):
            self._results.append(f'[{number},"deferred","it shows how many symbols there have been"]')
            return
        seconds, replayed_s = ended - began, began - started
        if ended - started > CLOCK_S:
            seconds, replayed_s = self._cpu_share(seconds, replayed_s)
        kept = False
        if status == "ok":
            left = State(namespace, self._restorer.random_states(uses_random), uses_random, has_star)
            kept = self._states.keep((*prefix, step), left, dear=replayed_s + seconds > NOTE_STATE_S)
        error_text = "null" if error is None else _quoted(error)
        self._results.append(
            f'[{number},"{status}",{error_text},{seconds!r},{_quoted(printed)},{replayed_s!r},'
            f"{'true' if kept else 'false'}]"
        )

    def _has_room(self) -> bool:
        """Whether a program finds the memory that it would find in a process of its own.

        One that handles the error itself would otherwise print something else for want of what others have kept.
        """
        for attempt in range(2):
            try:
                mmap.mmap(-1, self._room_bytes).close()  # address space alone: nothing is touched
            except OSError:
                if not attempt:
                    self._states.clear()
                    gc.collect()
            else:
                return True
        self._is_full = True
        return False

    def _begin(self, number: int) -> None:
        """Tells the supervisor which program runs from now on."""
        self._printed_too_much = False
        self._output.begin_at(0)
        before = len(self._unverified) - 1
        HEADER.pack_into(self._shared, 0, 0, self._cpu, number, time.monotonic(), before)

    def _cpu_share(self, seconds: float, replayed_s: float) -> tuple[float, float]:
        """CPU seconds of a program and of the replay before it, from their share of the wall clock."""
        now = time.process_time()
        share = min(1.0, (now - self._cpu) / (seconds + replayed_s))
        self._cpu = now
        return seconds * share, replayed_s * share

    def _execute(self, code: types.CodeType, namespace: dict[str, Any]) -> tuple[str, str | None, str | None]:
        """Runs `code`; returns (status, error, why a fork of its own must decide)."""
        guard = self._guard
        status, error = "ok", None
        guard.arm(code)
        try:
            exec(code, namespace)
        except MemoryError:
            # what others left here counts too: alone it may have had room
            return "", None, "out of memory"
        except DeferredError:
            pass
        except BaseException as raised:
            left = isinstance(raised, SystemExit) and left_well(raised)
            if not left and not self._printed_too_much:
                status, error = "error", harness.describe(raised)
        finally:
            guard.disarm()
        if self._printed_too_much:
            status, error = "output_limit", "OutputLimit: the step printed more than its limit"
        return status, error, guard.reason

    def _too_much(self) -> None:
        self._printed_too_much = True
        raise output.OutputLimit

    # ---------------------------------------------------------------- namespaces

    def _fresh_namespace(self) -> dict[str, Any]:
        return {
            "__name__": "__main__",
            "__doc__": None,
            "__package__": None,
            "__loader__": None,
            "__spec__": None,
            "__builtins__": self._builtins,
        }

    def _replayed(
        self, number: int, prefix: tuple[str, ...], compiled: list[Compiled], uses_random: bool
    ) -> dict[str, Any] | None:
        """A namespace as `prefix` leaves it, by running it on top of the longest part of it that is kept."""
        namespace = self._fresh_namespace()
        done = 0
        for length in range(len(prefix) - 1, 0, -1):
            state = self._states.find(prefix[:length])
            if state is not None:
                namespace = self._states.copy(prefix[:length], state)
                self._restorer.restore_random(state.random, uses_random)
                done = length
                break
        else:
            self._restorer.restore_random({}, uses_random)
        for i in range(done, len(prefix)):
            code = compiled[i].code
            if code is None:
                return None
            self._begin(number)
            status, _, reason = self._execute(code, namespace)
            if status != "ok" or reason is not None:
                return None
        return namespace

    def _show(self, value: Any) -> None:
        """Prints a last expression's value as a notebook does."""
        if value is not None:
            self._output.write(f"{value!r}\n")

    def _missing(self, name: str) -> Any:
        """What programs get for a name that a facade does not have."""
        raise self._guard.defer(f"{name} of a module")


def _most_resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
