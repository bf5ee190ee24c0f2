"""A warm worker: one process that runs many admitted programs, one after the other, each in a namespace of its own.

What makes it cheap: nothing is forked, code is compiled once, and the namespaces that prefixes left are copied rather
than computed again. What makes it safe: the static check (`staticcheck`) admits only programs that cannot change
anything else; the guard and the seal (`integrity`) notice one that does, before any result is given out; and whatever
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
import dis
import gc
import json
import mmap
import os
import re
import resource
import select
import socket
import sys
import time
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from rstar_math.execution.inside import harness, integrity, libraries, namespaces, staticcheck
else:
    import harness
    import integrity
    import libraries
    import namespaces
    import staticcheck

# see the same line in harness.py
globals()["__builtins__"] = dict(vars(builtins))

CHECK_AFTER_S = 0.02
"""Seconds of programs after which the seal is looked at although more programs wait."""

MAX_COMPILED = 4096
MAX_STATES = 1024
NOTE_STATE_S = 0.004
"""Prefixes dearer than this are looked at right away for whether their namespace can be copied."""

CLOCK_S = 0.001
"""Programs that took less than this on the wall clock are not worth reading the CPU clock for."""

_DEPTH_OF_RUN = 3
"""Frames between `Worker.serve` and the program's: `_run_group`, `_run` and `_execute`."""

OWN_MODULES = (harness, integrity, libraries, namespaces, staticcheck, staticcheck.allowlist)
_HANDLER = dis.opmap["PUSH_EXC_INFO"]
_NUMBERED = "Dummy_"
"""Names that sympy gives symbols by counting those before them, in this process."""

_quoted = json.encoder.encode_basestring_ascii
_STAR = re.compile(r"import[\s\\]*\*")


class _Prepared:
    """What the zygote builds once for all workers."""

    def __init__(self) -> None:
        self.lists = staticcheck.Lists()
        facades = self.lists.facades.values()
        self.builtins = {name: value for name, value in vars(builtins).items() if name in staticcheck.SAFE_BUILTINS}
        libraries.make_caches_exact()
        self.restorer = libraries.Restorer()
        roots = [*self.lists.modules, "copyreg", "warnings", "io", "codecs"]
        more = [self.builtins, self.lists.modules, self.lists.facades, *map(vars, facades)]
        self.seal = integrity.Seal(roots, more=[*more, globals()], own=OWN_MODULES)
        mutable = (list, dict, set, bytearray)
        self.library = [
            value
            for facade in facades
            for value in vars(facade).values()
            if not isinstance(value, mutable) and type(value).__name__ != "ndarray"
        ]
        self.library += facades


_prepared: _Prepared | None = None


def prepare() -> None:
    """Does the work that all workers of this zygote share."""
    global _prepared
    _prepared = _Prepared()


class _Compiled:
    """A step's code: compiled and admitted, or why not."""

    __slots__ = ("code", "error", "has_handler", "has_star", "refusal", "uses_random")

    def __init__(self, step: str, code: types.CodeType | None, refusal: str | None, error: str | None) -> None:
        self.code = code
        self.refusal = refusal
        self.error = error
        # the compiler reads letters of other alphabets as plain ones
        self.uses_random = "rand" in step or "shuffle" in step or "sample" in step or not step.isascii()
        self.has_star = _STAR.search(step) is not None
        self.has_handler = code is not None and _has_handler(code)


def _has_handler(code: types.CodeType) -> bool:
    """Whether `code` handles exceptions, among them perhaps that there is no memory left."""
    return _HANDLER in code.co_code[::2] or any(
        _has_handler(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)
    )


class _State:
    """The namespace that some steps left, and how to copy it."""

    __slots__ = ("has_star", "namespace", "plan", "planned", "random", "uses_random")

    def __init__(self, namespace: dict[str, Any], random: dict[str, Any], uses_random: bool, has_star: bool) -> None:
        self.namespace = namespace
        self.random = random
        self.uses_random = uses_random
        self.has_star = has_star
        self.plan: namespaces.Plan | None = None
        self.planned = False


class Worker:
    """Runs programs until the supervisor is gone or memory has grown."""

    def __init__(self, channel: socket.socket, shared: mmap.mmap, step_bytes: int, memory_bytes: int) -> None:
        assert _prepared is not None
        self._channel = channel
        self._shared = shared
        self._lists = _prepared.lists
        self._seal = _prepared.seal
        self._guard = integrity.Guard()
        self._memory_limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + memory_bytes // 3
        self._room_bytes = memory_bytes
        """Address space that a program of a process of its own would find."""
        self._is_full = False
        self._output = harness.OutputBuffer(shared, step_bytes, self._too_much)
        self._printed_too_much = False
        self._builtins = self._safe_builtins(_prepared.builtins)
        self._lists.connect(self._missing)
        # kept alive, so that their ids are never those of other objects
        self._library = [*_prepared.library, self._builtins]
        self._copier = namespaces.Copier(frozenset(map(id, self._library)))
        self._compiled: OrderedDict[str, _Compiled] = OrderedDict()
        self._states: OrderedDict[tuple[str, ...], _State] = OrderedDict()
        self._results: list[str] = []
        self._unverified: list[int] = []
        self._verified_at = 0.0
        self._cpu = 0.0
        """The process's CPU clock when it was last read."""
        self._received = bytearray()
        self._restorer = _prepared.restorer

    # ---------------------------------------------------------------- serving

    def serve(self) -> NoReturn:
        """Runs what comes, until nobody is there any more."""
        harness.fresh_main()
        sys.stdout = cast(Any, self._output)
        sys.stderr = cast(Any, harness.Discarded())
        harness.reset_recursion(extra=_DEPTH_OF_RUN)
        libraries.refuse(self._guard.defer, self._lists.facades)
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
        harness.HEADER.pack_into(self._shared, 0, 0, 0.0, 0, 0.0, 0)  # no program runs
        if self._results:
            self._send(self._results)
            self._results.clear()
        if self._is_full or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > self._memory_limit:
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
        last = self._compile(step, mode)
        state = self._states.get(prefix) if prefix else None
        if state is not None and not state.planned:
            state.plan, state.planned = self._copier.plan(state.namespace), True
        if state is None or state.plan is None:
            state = None
            before = [self._compile(earlier, mode) for earlier in prefix]
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
            every = [*(self._compile(earlier, mode) for earlier in prefix), last]
            refusal = staticcheck.stray_name([step.code for step in every if step.code is not None], self._lists)
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
            self._states.move_to_end(prefix)
            namespace: dict[str, Any] | None = self._copier.copy(state.namespace, cast(namespaces.Plan, state.plan))
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
            kept = self._keep((*prefix, step), namespace, uses_random, has_star, replayed_s + seconds > NOTE_STATE_S)
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
        harness.HEADER.pack_into(self._shared, 0, 0, self._cpu, number, time.monotonic(), before)

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
        except integrity.DeferredError:
            pass
        except BaseException as raised:
            left = isinstance(raised, SystemExit) and harness.left_well(raised)
            if not left and not self._printed_too_much:
                status, error = "error", harness.describe(raised)
        finally:
            guard.disarm()
        if self._printed_too_much:
            status, error = "output_limit", "OutputLimit: the step printed more than its limit"
        return status, error, guard.reason

    def _too_much(self) -> None:
        self._printed_too_much = True
        raise harness.OutputLimit

    def _compile(self, step: str, mode: str) -> _Compiled:
        known = self._compiled.get(step)
        if known is not None:
            return known
        try:
            code = harness.compile_step(step, mode)
        except (SyntaxError, ValueError) as error:
            entry = _Compiled(step, None, None, harness.describe(error))
        except (MemoryError, RecursionError) as error:
            entry = _Compiled(step, None, f"not compiled: {type(error).__name__}", None)
        else:
            entry = _Compiled(step, code, staticcheck.refusal(code, self._lists), None)
        self._compiled[step] = entry
        if len(self._compiled) > MAX_COMPILED:
            self._compiled.popitem(last=False)  # the oldest: steps are asked for while their tree grows
        return entry

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
        self, number: int, prefix: tuple[str, ...], compiled: list[_Compiled], uses_random: bool
    ) -> dict[str, Any] | None:
        """A namespace as `prefix` leaves it, by running it on top of the longest part of it that is kept."""
        namespace = self._fresh_namespace()
        done = 0
        for length in range(len(prefix) - 1, 0, -1):
            state = self._states.get(prefix[:length])
            if state is None:
                continue
            if not state.planned:
                state.plan, state.planned = self._copier.plan(state.namespace), True
            if state.plan is not None:
                self._states.move_to_end(prefix[:length])
                namespace = self._copier.copy(state.namespace, state.plan)
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

    def _keep(
        self, steps: tuple[str, ...], namespace: dict[str, Any], uses_random: bool, has_star: bool, dear: bool
    ) -> bool:
        """Keeps what `steps` left, for the steps that come after; returns whether that is certain to be of use."""
        state = _State(namespace, self._restorer.random_states(uses_random), uses_random, has_star)
        if dear:
            state.plan, state.planned = self._copier.plan(namespace), True
            if state.plan is None:
                return False
        self._states[steps] = state
        if len(self._states) > MAX_STATES:
            self._states.popitem(last=False)
        return dear

    # ---------------------------------------------------------------- the second line of defence

    def _safe_builtins(self, safe: dict[str, Any]) -> dict[str, Any]:
        for name in vars(builtins):
            if name not in safe and not name.startswith("__"):
                safe[name] = self._deferring(name)
        safe["__build_class__"] = self._deferring("class")
        safe["__import__"] = self._import
        safe["__show__"] = self._show
        return safe

    def _show(self, value: Any) -> None:
        """Prints a last expression's value as a notebook does."""
        if value is not None:
            self._output.write(f"{value!r}\n")

    def _deferring(self, name: str) -> Callable[..., Any]:
        guard = self._guard

        def not_here(*_: Any, **__: Any) -> Any:
            raise guard.defer(f"builtin {name}")

        return not_here

    def _import(
        self, name: str, globals_: Any = None, locals_: Any = None, fromlist: tuple[str, ...] = (), level: int = 0
    ) -> Any:
        """`import` in a warm worker: of modules that are loaded and admitted, and their admitted names."""
        lists = self._lists
        if level or name not in lists.modules:
            raise self._guard.defer(f"module {name}")
        if name == "typing":
            self._restorer.typing_is_used()
        return lists.facades[name if fromlist else name.partition(".")[0]]

    def _missing(self, name: str) -> Any:
        """What programs get for a name that a facade does not have."""
        raise self._guard.defer(f"{name} of a module")
