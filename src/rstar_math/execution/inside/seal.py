"""The seal: whether the libraries in this process are still as they were; the last line of defence of a warm worker.

The static check admits only programs that cannot change anything but their own namespace. Should one get past it and
past the guard, the seal notices: it compares the dictionaries of all modules and classes, and the containers in them,
with what they were. Results are given out only after it was found intact.
"""

from __future__ import annotations

import array
import ctypes
import decimal
import gc
import locale
import operator
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

_BENIGN_NAMES = frozenset({"__warningregistry__", "_count", "_dummycount", "_bessel_table", "_lookup_table"})
"""What libraries themselves change in their modules and classes as they work."""

_CACHES = ("cache", "_dummies")
"""Ends of the names of dictionaries that libraries fill as they work, and that programs cannot reach."""

_SELF_CHANGING = frozenset({"sympy.polys.domains.mpelements", "mpmath.ctx_mp", "mpmath.ctx_mp_python"})
"""Modules whose classes get their methods anew whenever one is instantiated."""

_VERSION_TAG_OFFSET = 24
"""Of `ma_version_tag` in a dict of CPython 3.11 and 3.12 (PEP 509), which changes with every change of the dict."""


class Seal:
    """The dictionaries of modules and classes as they were when the seal was put on."""

    def __init__(
        self, roots: Iterable[str], more: Iterable[dict[Any, Any]] = (), own: Iterable[types.ModuleType] = ()
    ) -> None:
        """Seals what programs can be affected by.

        Args:
          roots: modules that they start from, by name; what these lead to is sealed with them.
          more: further dictionaries.
          own: the worker's own modules, sealed with their classes and builtins.
        """
        gc.collect()
        names = _reachable(roots)
        modules = [sys.modules[name] for name in sorted(names)]
        classes = [
            kind
            for kind in gc.get_objects()
            if isinstance(kind, type) and kind.__module__ in names and kind.__module__ not in _SELF_CHANGING
        ]
        self._owners: list[Any] = [*modules, *classes]
        self._dicts: list[dict[str, Any]] = [vars(module) for module in modules]
        for kind in classes:
            # vars() of a class is a proxy; the dictionary behind it is its one referent
            referents = gc.get_referents(vars(kind))
            self._dicts.append(referents[0] if referents else {})
        for extra in (*_extra_dicts(), *more, *_own_dicts(own)):
            self._owners.append(extra)
            self._dicts.append(extra)
        for name, extra in _dicts_within(self._owners, self._dicts):
            self._owners.append(name)
            self._dicts.append(extra)
        self._saved = [dict(d) for d in self._dicts]
        self._versions_now = _version_reader(self._dicts) if _version_tags_work() else None
        self._versions = b""
        self._lists = [(container, list(container)) for container in (sys.path, sys.meta_path, warnings.filters)]
        self._probes = _probes()
        self._probed: list[Any] = []
        self._renew()

    def _renew(self) -> None:
        if self._versions_now is not None:
            self._versions = self._versions_now()

    def start(self) -> None:
        """What is there now is right: called once in each process, after its own setup."""
        for i in self._changed():
            self._saved[i] = dict(self._dicts[i])
        self._probed = [probe() for probe in self._probes]
        self._renew()

    def _changed(self) -> list[int]:
        """Indices of dictionaries that may have changed."""
        if self._versions_now is None:
            return [i for i in range(len(self._dicts)) if not _same(self._dicts[i], self._saved[i])]
        versions = self._versions_now()
        if versions == self._versions:
            return []
        both = zip(memoryview(versions).cast("Q"), memoryview(self._versions).cast("Q"), strict=True)
        return [i for i, (now, then) in enumerate(both) if now != then]

    def broken(self) -> str | None:
        """What has been changed that may not change; None where all is as it was."""
        changed = self._changed()
        for i in changed:
            now, then = self._dicts[i], self._saved[i]
            for name in now.keys() | then.keys():
                if now.get(name, then) is then.get(name, now):
                    continue
                if not self._benign(self._owners[i], name, now.get(name)):
                    return f"{name!r} of {_name(self._owners[i])}"
            self._saved[i] = dict(now)
        if changed:
            self._renew()
        for container, then_list in self._lists:
            if len(container) != len(then_list) or not all(map(operator.is_, container, then_list)):
                return "sys.path, sys.meta_path or warnings.filters"
        if [probe() for probe in self._probes] != self._probed:
            return "a setting of the interpreter or of numpy"
        return None

    def _benign(self, owner: Any, name: str, value: Any) -> bool:
        if name in _BENIGN_NAMES:
            return True
        if owner is sys.modules or not isinstance(owner, types.ModuleType):
            return False
        # a library has imported another of its parts
        return isinstance(value, types.ModuleType) and sys.modules.get(f"{owner.__name__}.{name}") is value


def _own_dicts(modules: Iterable[types.ModuleType]) -> list[dict[Any, Any]]:
    """The dictionaries of modules that `sys.modules` does not have, of their builtins and of their classes."""
    found: list[dict[Any, Any]] = []
    for module in modules:
        contents = vars(module)
        found.append(contents)
        if isinstance(contents.get("__builtins__"), dict):
            found.append(contents["__builtins__"])
        classes = [v for v in contents.values() if isinstance(v, type) and v.__module__ == module.__name__]
        found += [d for kind in classes for d in gc.get_referents(vars(kind))[:1] if isinstance(d, dict)]
    return found


def _extra_dicts() -> list[dict[Any, Any]]:
    """Dictionaries of state that are neither a module's nor a class's."""
    extra: list[dict[Any, Any]] = [sys.modules, os.environ._data]  # type: ignore[attr-defined]
    mpmath = sys.modules.get("mpmath")
    if mpmath is not None:
        extra += [vars(mpmath.mp), vars(mpmath.fp), vars(mpmath.iv)]
    return extra


def _dicts_within(owners: list[Any], dicts: list[dict[str, Any]]) -> list[tuple[str, dict[Any, Any]]]:
    """Dictionaries that modules and classes hold, such as the assumptions that all symbols share, with their names."""
    found: dict[int, tuple[str, dict[Any, Any]]] = {}
    known = {id(d) for d in dicts}
    for owner, d in zip(owners, dicts, strict=True):
        for name, value in d.items():
            if isinstance(value, dict) and id(value) not in known and not str(name).endswith(_CACHES):
                found[id(value)] = f"{name} of {_name(owner)}", value
    return list(found.values())


def _probes() -> list[Callable[[], Any]]:
    """Settings that are kept neither in a module nor in a class."""
    probes: list[Callable[[], Any]] = [sys.getrecursionlimit, gc.isenabled, gc.get_threshold, sys.getswitchinterval]
    probes.append(lambda: (decimal.getcontext().prec, decimal.getcontext().rounding))
    probes.append(lambda: locale.setlocale(locale.LC_ALL))
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        probes += [numpy.geterr, numpy.get_printoptions]
    return probes


def _same(now: dict[str, Any], then: dict[str, Any]) -> bool:
    return len(now) == len(then) and all(map(operator.is_, now.values(), then.values())) and now.keys() == then.keys()


def _name(owner: Any) -> str:
    if isinstance(owner, str):
        return owner
    return str(getattr(owner, "__qualname__", None) or getattr(owner, "__name__", "a dictionary"))


def _reachable(roots: Iterable[str]) -> set[str]:
    """The modules `roots`, those whose contents they use, and so on."""
    found: set[str] = set()
    waiting = [*roots, "builtins", "sys", "json.encoder", "decimal", "random"]
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if name in found or not isinstance(module, types.ModuleType):
            continue
        found.add(name)
        if name == "sys":  # it leads everywhere, and programs cannot reach it
            continue
        for value in vars(module).values():
            other = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            if isinstance(other, str) and other not in found:
                waiting.append(other)
    return found


def _version_reader(dicts: list[dict[str, Any]]) -> Callable[[], bytes]:
    """A function that reads the version tags of `dicts`, thousands of them, without a loop in Python."""
    addresses = [id(d) + _VERSION_TAG_OFFSET for d in dicts]
    numpy = sys.modules.get("numpy")
    if numpy is None:
        tags = [ctypes.c_uint64.from_address(address) for address in addresses]
        value = operator.attrgetter("value")
        return lambda: array.array("Q", map(value, tags)).tobytes()
    # all memory between the first and the last of them as one array, of which only the tags are ever read
    first = min(addresses)
    span = ctypes.c_uint64 * ((max(addresses) - first) // 8 + 1)
    memory = numpy.frombuffer(span.from_address(first), dtype=numpy.uint64)
    places = numpy.array([(address - first) // 8 for address in addresses], dtype=numpy.intp)
    return lambda: bytes(memory[places].tobytes())


def _version_tags_work() -> bool:
    """Whether dictionaries of this interpreter carry the tag where it is looked for."""
    if sys.implementation.name != "cpython" or sys.version_info >= (3, 13):
        return False
    probe: dict[str, int] = {"a": 1}
    tag = ctypes.c_uint64.from_address(id(probe) + _VERSION_TAG_OFFSET)
    seen = [tag.value, tag.value]
    probe["a"] = 2
    seen.append(tag.value)
    probe["b"] = 3
    seen.append(tag.value)
    del probe["b"]
    seen.append(tag.value)
    return seen[0] == seen[1] and len(set(seen)) == 4
