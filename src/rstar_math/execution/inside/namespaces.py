"""Copies of a program's namespace, so that the candidates after a prefix need not run the prefix again.

A copy must be indistinguishable from running the prefix once more. So this is a list of the kinds of value for which
that is certain; a namespace that holds anything else has no copy, and its prefix is replayed.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import itertools
import operator
import re
import sys
import types
from collections.abc import Callable
from typing import Any

MAX_ELEMENTS = 50_000
"""Containers of more elements than this, all together, are dearer to copy than most prefixes to replay."""


class NotCopyableError(Exception):
    """A namespace holds a value of which it is not certain that a copy behaves the same."""


_SHARED: set[type] = {
    *(int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range),
    *(fractions.Fraction, decimal.Decimal, datetime.date, datetime.datetime, datetime.timedelta, datetime.time),
    *(re.Pattern, types.MethodDescriptorType, types.ModuleType, type),
}
"""Kinds whose values cannot change."""

_NOT_SHARED_MODULES = ("sympy.combinatorics", "sympy.stats", "sympy.vector", "sympy.physics")
_FLAT_DICTS = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)


class Plan:
    """Which names of a namespace must be copied, and how; all others are shared."""

    __slots__ = ("deep", "flat", "functions")

    def __init__(self) -> None:
        self.flat: list[str] = []
        """By their own `copy`: what they hold cannot change."""
        self.functions: list[str] = []
        self.deep: list[str] = []


class Copier:
    """Makes copies of one namespace after another; remembers what it has learnt about kinds of value."""

    def __init__(self, library_objects: frozenset[int]) -> None:
        self._library_objects = library_objects
        self._shared = set(_SHARED)
        self._not_copyable: set[type] = set()
        self._copiers: dict[type, Callable[[Any, dict[int, Any], dict[str, Any]], Any]] = {
            list: self._list,
            tuple: self._tuple,
            dict: self._dict,
            set: self._set,
            frozenset: self._frozenset,
            collections.Counter: self._dict,
            collections.OrderedDict: self._dict,
            collections.defaultdict: self._defaultdict,
            collections.deque: self._deque,
            bytearray: self._plain_copy,
            types.FunctionType: self._function,
            types.BuiltinFunctionType: self._builtin,
        }
        numpy = sys.modules.get("numpy")
        self._ndarray: Any = numpy.ndarray if numpy is not None else None
        if numpy is not None:
            self._copiers[numpy.ndarray] = self._array
            scalars = {t for t in vars(numpy).values() if isinstance(t, type) and issubclass(t, numpy.generic)}
            # records can be written to
            self._shared |= {kind for kind in scalars if not issubclass(kind, numpy.void)}
        mpmath = sys.modules.get("mpmath")
        if mpmath is not None:
            self._shared |= {mpmath.mpf, mpmath.mpc}
        sympy = sys.modules.get("sympy")
        self._basic: Any = sympy.Basic if sympy is not None else None
        if sympy is not None:
            self._copiers[sympy.Matrix] = self._plain_copy
        self._elements = 0
        self._aliased = False

    def plan(self, namespace: dict[str, Any]) -> Plan | None:
        """How to copy `namespace`; None where there is no copy. It holds as long as nothing in it changes."""
        shared = self._shared
        if len(namespace) > 100:  # after `from sympy import *`, say
            library = self._library_objects
            ids = [*map(id, namespace.values())]
            names = [name for name, number in zip(namespace, ids, strict=True) if number not in library]
        else:
            names = [name for name, value in namespace.items() if type(value) not in shared]
        plan = Plan()
        self._elements = 0
        self._aliased = False
        memo: dict[int, Any] = {}
        trial: dict[str, Any] = {}
        try:
            for name in names:
                value = namespace[name]
                if type(value) in shared:
                    continue
                copied = self._copy(value, memo, namespace, trial)
                if copied is value:
                    continue
                if type(value) is types.FunctionType:
                    plan.functions.append(name)
                elif self._is_flat(value, copied):
                    plan.flat.append(name)
                else:
                    plan.deep.append(name)
        except (NotCopyableError, RecursionError):
            return None
        if self._aliased:
            # two ways lead to one object, and must do so in the copy
            plan.deep += plan.flat + plan.functions
            plan.flat, plan.functions = [], []
        return plan

    def copy(self, namespace: dict[str, Any], plan: Plan) -> dict[str, Any]:
        """A copy of `namespace`, for which `plan` was made."""
        new = dict(namespace)
        for name in plan.flat:
            new[name] = namespace[name].copy()
        for name in plan.functions:
            old = namespace[name]
            new[name] = types.FunctionType(old.__code__, new, old.__name__, old.__defaults__)
        if plan.deep:
            memo: dict[int, Any] = {}
            self._elements = 0
            for name in plan.deep:
                new[name] = self._copy(namespace[name], memo, namespace, new)
        return new

    def _is_flat(self, value: Any, copied: Any) -> bool:
        """Whether only `value` itself must be copied, and what it holds may be shared."""
        kind = type(value)
        if kind is list:
            return all(map(operator.is_, value, copied))
        if kind in _FLAT_DICTS:
            return all(map(operator.is_, value.values(), copied.values()))
        if kind is self._ndarray:
            return value.base is None and bool(value.flags.c_contiguous)
        return kind in (set, collections.deque, bytearray)

    def _copy(self, value: Any, memo: dict[int, Any], old: dict[str, Any], new: dict[str, Any]) -> Any:
        kind = type(value)
        if kind in self._shared or id(value) in self._library_objects:
            return value
        known = memo.get(id(value))
        if known is not None:
            self._aliased = True
            return known
        copier = self._copiers.get(kind)
        if copier is None:
            return self._library_value(value, kind)
        self._old = old
        copied = copier(value, memo, new)
        memo[id(value)] = copied
        return copied

    def _library_value(self, value: Any, kind: type) -> Any:
        """A value of a kind that is not listed: sympy's expressions are immutable, all others are not known to be."""
        if kind in self._not_copyable:
            raise NotCopyableError
        if self._basic is not None and issubclass(kind, type) and issubclass(value, self._basic):
            return value  # an undefined function, f = Function("f"), is a class of its own
        module = kind.__module__
        if self._basic is not None and issubclass(kind, self._basic):
            if isinstance(kind, type) and type(kind).__name__ == "UndefinedFunction":
                return value
            if module.startswith("sympy.") and not module.startswith(_NOT_SHARED_MODULES):
                self._shared.add(kind)
                return value
        self._not_copyable.add(kind)
        raise NotCopyableError

    def _count(self, number: int) -> None:
        self._elements += number
        if self._elements > MAX_ELEMENTS:
            raise NotCopyableError

    def _list(self, value: list[Any], memo: dict[int, Any], new: dict[str, Any]) -> list[Any]:
        self._count(len(value))
        kinds = {*map(type, value)}
        if kinds <= self._shared:
            return value.copy()
        if kinds == {tuple}:  # pairs and the like, of which programs make many
            self._count(sum(map(len, value)))
            if self._shared.issuperset(map(type, itertools.chain.from_iterable(value))):
                return value.copy()
        copied: list[Any] = []
        memo[id(value)] = copied  # it may hold itself
        copied.extend([self._copy(element, memo, self._old, new) for element in value])
        return copied

    def _tuple(self, value: tuple[Any, ...], memo: dict[int, Any], new: dict[str, Any]) -> tuple[Any, ...]:
        self._count(len(value))
        if self._shared.issuperset(map(type, value)):
            return value
        copied = tuple([self._copy(element, memo, self._old, new) for element in value])
        return value if all(a is b for a, b in zip(value, copied, strict=True)) else copied

    def _dict(self, value: dict[Any, Any], memo: dict[int, Any], new: dict[str, Any]) -> dict[Any, Any]:
        self._count(len(value))
        self._hashable(value)
        copied = value.copy()
        if self._shared.issuperset(map(type, value.values())):
            return copied
        memo[id(value)] = copied
        for key, element in value.items():
            copied[key] = self._copy(element, memo, self._old, new)
        return copied

    def _defaultdict(self, value: Any, memo: dict[int, Any], new: dict[str, Any]) -> Any:
        if value.default_factory is not None and type(value.default_factory) is not type:
            raise NotCopyableError
        return self._dict(value, memo, new)

    def _set(self, value: set[Any], memo: dict[int, Any], new: dict[str, Any]) -> set[Any]:
        self._count(len(value))
        self._hashable(value)
        # a copy may order its elements otherwise, or another size of table may do so later
        copied = value.copy()
        if sys.getsizeof(copied) != sys.getsizeof(value) or [*map(id, copied)] != [*map(id, value)]:
            raise NotCopyableError
        return copied

    def _frozenset(self, value: frozenset[Any], memo: dict[int, Any], new: dict[str, Any]) -> frozenset[Any]:
        self._count(len(value))
        self._hashable(value)
        return value

    def _hashable(self, elements: Any) -> None:
        """Keys and members must be shareable as they are."""
        if self._shared.issuperset(map(type, elements)):
            return
        for element in elements:
            if self._copy(element, {}, self._old, {}) is not element:
                raise NotCopyableError

    def _deque(self, value: Any, memo: dict[int, Any], new: dict[str, Any]) -> Any:
        self._count(len(value))
        if not self._shared.issuperset(map(type, value)):
            raise NotCopyableError
        return value.copy()

    def _plain_copy(self, value: Any, memo: dict[int, Any], new: dict[str, Any]) -> Any:
        self._count(len(value))
        return value.copy()

    def _array(self, value: Any, memo: dict[int, Any], new: dict[str, Any]) -> Any:
        if value.dtype.hasobject or not value.flags.writeable:
            raise NotCopyableError
        base = value.base
        if base is None:
            self._count(value.size)
            return value.copy(order="K")
        # a view of another array that can be reached must go on viewing it; numpy's functions also return views of
        # arrays that nothing else holds (here: the view, the variable, the argument): these are copied with the view
        if type(base) is not self._ndarray or sys.getrefcount(base) > 3 or base.base is not None:
            raise NotCopyableError
        if base.dtype.hasobject or not base.flags.c_contiguous or not base.flags.writeable:
            raise NotCopyableError
        self._count(base.size)
        start = value.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        return self._ndarray(value.shape, value.dtype, base.copy(), start, value.strides)

    def _builtin(self, value: Any, memo: dict[int, Any], new: dict[str, Any]) -> Any:
        # `append = numbers.append` must go on appending to what `numbers` is in the copy
        owner = value.__self__
        if owner is None or type(owner) in self._shared:
            return value
        raise NotCopyableError

    def _function(self, value: types.FunctionType, memo: dict[int, Any], new: dict[str, Any]) -> types.FunctionType:
        if value.__globals__ is not self._old or value.__closure__ is not None or value.__dict__:
            raise NotCopyableError
        if value.__kwdefaults__ or value.__annotations__:
            raise NotCopyableError
        defaults = value.__defaults__
        if defaults is not None and not self._shared.issuperset(map(type, defaults)):
            raise NotCopyableError
        return types.FunctionType(value.__code__, new, value.__name__, defaults)
