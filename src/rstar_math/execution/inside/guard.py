"""The guard: stops what no admitted program does, should one get past the static check into a warm worker.

It is an audit hook. Before a program starts it looks at the code once more, by a few coarse rules of its own
(`forbidden`), and it stops a program that reads frames or code objects, runs text or opens files.
"""

from __future__ import annotations

import dis
import os
import re
import sys
import types
from typing import Any

_QUIET_EVENTS = frozenset({"object.__getattr__", "sys._getframe", "builtins.id", "array.__new__"})
"""Events that libraries raise as they work; a program itself may not."""

_GENERATORS = {"monomials.py": ("_build",)}
"""Functions of libraries, by file, that run text which they alone have written."""


class DeferredError(BaseException):
    """The program does what a warm worker does not allow; it is to run in a fork of its own."""


_STORES = frozenset(dis.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR", "LOAD_BUILD_CLASS"))
_LOADS = frozenset(dis.opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in dis.opmap)
_LOAD_SHIFT = 1 if sys.version_info >= (3, 12) else 0
_EXTENDED = dis.opmap["EXTENDED_ARG"]
_HANDLER = dis.opmap["PUSH_EXC_INFO"]
_GENERATOR_FLAGS = 0x20 | 0x80 | 0x200
_OWN_NAMES = frozenset({"__name__", "__doc__", "__annotations__", "__show__"})
_LOAD_CONST = dis.opmap["LOAD_CONST"]
_IDLE = frozenset(dis.opmap[name] for name in ("CACHE", "PUSH_NULL", "NOP", "EXTENDED_ARG") if name in dis.opmap)
_SUSPECT_ATTRIBUTES = frozenset({"format", "register"})
"""`format` reads attributes by text; `register` makes a class answer otherwise to `isinstance`, which no seal shows."""

_LEADING_FIELD = re.compile(r"\{[^{}:!]*[.\[]")


def forbidden(code: types.CodeType) -> str | None:
    """Why `code` may run in no warm worker, whatever the static check says of it; None where no coarse rule objects."""
    bytecode = code.co_code
    operations = frozenset(bytecode[::2])
    if operations & _STORES:
        return "it stores attributes or makes classes"
    if code.co_flags & _GENERATOR_FLAGS and _HANDLER in operations:
        return "it has a generator that handles exceptions"
    names = code.co_names
    if any(name[:2] == "__" and name not in _OWN_NAMES for name in names):
        return "it uses names with double underscores"
    if not _SUSPECT_ATTRIBUTES.isdisjoint(names) or any(name[:1] == "_" for name in names):
        extended = 0
        loaded: object = None
        reached_by_jump = frozenset(dis.findlabels(code.co_code))  # type: ignore[arg-type]  # bytes they are
        for i in range(0, len(bytecode), 2):
            if i in reached_by_jump:  # another text may have been loaded on the way there
                loaded = None
            operation, argument = bytecode[i], bytecode[i + 1] | extended
            extended = argument << 8 if operation == _EXTENDED else 0
            if operation in _LOADS:
                name = names[argument >> _LOAD_SHIFT]
                if name[:1] == "_" or name == "register":
                    return f"it uses the attribute {name}"
                if name == "format" and not (isinstance(loaded, str) and not _LEADING_FIELD.search(loaded)):
                    return "it has a format that may lead into objects"
            if operation not in _IDLE:
                loaded = code.co_consts[argument] if operation == _LOAD_CONST else None
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            reason = forbidden(constant)
            if reason is not None:
                return reason
    return None


class Guard:
    """Stops what no admitted program does; such a program is deferred to a fork of its own."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why the program that ran last was stopped, whatever it made of that."""
        self._armed = False
        self._expected: types.CodeType | None = None
        self._inside = False

    def install(self) -> None:
        """From now on the interpreter reports to this guard; that cannot be taken back."""
        sys.addaudithook(self._hook)

    def arm(self, code: types.CodeType) -> None:
        """A program starts by executing `code`."""
        self.reason = None
        self._expected = code
        self._armed = True

    def disarm(self) -> None:
        """The program has ended."""
        self._armed = False

    def defer(self, reason: str) -> DeferredError:
        """Notes that the program is to run elsewhere; the error to raise in it."""
        if self.reason is None:
            self.reason = reason
        return DeferredError(reason)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed or self._inside:
            return
        if event == "exec" and self._expected is not None and arguments[0] is self._expected:
            expected, self._expected = self._expected, None
            reason = forbidden(expected)
            if reason is not None:
                raise self.defer(reason)
            return
        self._inside = True
        try:
            caller = sys._getframe(1).f_code
        finally:
            self._inside = False
        if event in _QUIET_EVENTS and caller.co_filename != "<step>":
            return
        if event in ("compile", "exec") and caller.co_name in _GENERATORS.get(os.path.basename(caller.co_filename), ()):
            return
        raise self.defer(f"audit event {event} in {caller.co_name} of {os.path.basename(caller.co_filename)}")
