"""What an admitted program may use of the modules that are loaded, and what it gets in their place: facades.

Behind the static check this is a second line: what is not admitted is not there either, and using it defers the program
to a fork.

The lists of names are in `allowlist`. Underscored names are never on them.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import decimal
import fractions
import importlib
import re
import sys
import types
from collections.abc import Callable
from typing import Any

from rstar_math.execution.inside import allowlist

Names = allowlist.Names

Defer = Callable[[str], BaseException]
"""Notes that the program is to run in a fork, for a reason; returns the error to raise in it."""


class Facades:
    """What an admitted program may use, as far as it is loaded here."""

    def __init__(self) -> None:
        self.names: dict[str, Names] = {}
        """Importable modules, and what may be taken from them."""
        attributes: set[str] = set()
        numpy = dict.fromkeys(("numpy", "numpy.linalg", "numpy.random"), allowlist.NUMPY)
        for name, names in {**allowlist.STANDARD, **numpy, "mpmath": allowlist.MPMATH}.items():
            self._add(name, names)
        if "sympy" in sys.modules:
            for name in allowlist.SYMPY_MODULES:
                try:
                    importlib.import_module(name)
                except ImportError:  # another version of sympy: what it does not have cannot be admitted
                    continue
                self._add(name, allowlist.LETTERS if name == "sympy.abc" else allowlist.SYMPY)
            attributes |= allowlist.SYMPY_METHODS
            for kind in _sympy_kinds(sys.modules["sympy"]):
                attributes.update(n for n in dir(kind) if n.startswith("is_"))
        for kind in (
            *(str, bytes, list, dict, set, frozenset, tuple, int, float, complex, range, slice),
            *(fractions.Fraction, decimal.Decimal, collections.Counter, collections.deque, collections.OrderedDict),
            *(collections.defaultdict, datetime.date, datetime.datetime, datetime.timedelta, re.Pattern, re.Match),
        ):
            attributes.update(dir(kind))
        if "numpy" in sys.modules:
            attributes |= allowlist.ARRAY_METHODS
        for names in self.names.values():
            attributes |= names
        attributes.update(part for name in self.names for part in name.split(".")[1:])
        self.attributes: Names = frozenset(n for n in attributes if not n.startswith("_")) - allowlist.NOT_METHODS
        self.modules: dict[str, types.ModuleType] = {}
        """What programs get for a module: one that holds what they may use, and nothing else."""
        self.stray: dict[str, Names] = {}
        """By module: names that `from MODULE import *` binds outside a warm worker, but not in it."""
        for name, names in self.names.items():
            self._add_facade(name, names)

    def _add(self, name: str, names: Names | None) -> None:
        module = sys.modules.get(name)
        if module is None:
            return
        public = frozenset(n for n in vars(module) if not n.startswith("_"))
        names = public if names is None else names
        # modules are no names of theirs: each would open the way to everything in it
        self.names[name] = frozenset(
            n for n in names if hasattr(module, n) and not isinstance(getattr(module, n), types.ModuleType)
        )

    def _add_facade(self, name: str, names: Names) -> None:
        module = sys.modules[name]
        exported = frozenset(getattr(module, "__all__", None) or [n for n in vars(module) if n[:1] != "_"])
        self.stray[name] = exported - names
        facade = types.ModuleType(name)
        for n in sorted(names):
            facade.__dict__[n] = getattr(module, n)
        facade.__dict__["__spec__"] = module.__spec__  # for its text
        facade.__dict__["__all__"] = sorted(exported & names)
        self.modules[name] = facade

    def connect(self, missing: Callable[[str], Any]) -> None:
        """Makes the facades show their parts, and ask `missing` for what they do not have."""
        for name, facade in self.modules.items():
            facade.__dict__["__getattr__"] = missing
            parent, _, last = name.rpartition(".")
            if parent in self.modules:
                self.modules[parent].__dict__.setdefault(last, facade)


def _sympy_kinds(sympy: Any) -> list[type]:
    """Classes whose properties programs ask for."""
    names = (
        *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Eq", "Lt", "And", "Or", "Not", "Function"),
        *("Derivative", "Integral", "Sum", "Product", "Limit", "Poly", "Matrix", "ImmutableMatrix", "Interval"),
        *("FiniteSet", "Union", "ConditionSet", "ImageSet", "Piecewise", "Tuple", "Point", "Line", "Segment", "Circle"),
        *("Triangle", "Polygon", "Ellipse", "Ray", "RegularPolygon", "Lambda", "Abs", "log", "exp", "sin", "Max"),
    )
    return [getattr(sympy, name) for name in names if isinstance(getattr(sympy, name, None), type)]


def add_builtins(
    safe: dict[str, Any],
    facades: Facades,
    defer: Defer,
    show: Callable[[Any], None],
    typing_is_used: Callable[[], None],
) -> None:
    """Adds to `safe` what programs in a warm worker get for the builtins that are not admitted.

    Args:
      safe: the builtins that are admitted; the seal knows this very dictionary, and programs are given it.
      facades: what can be imported.
      defer: notes that a program needs a fork.
      show: prints the value of a last expression.
      typing_is_used: is told where a program imports `typing`.
    """

    def deferring(name: str) -> Callable[..., Any]:
        def not_here(*_: Any, **__: Any) -> Any:
            raise defer(f"builtin {name}")

        return not_here

    def import_module(
        name: str, globals_: Any = None, locals_: Any = None, fromlist: tuple[str, ...] = (), level: int = 0
    ) -> Any:
        if level or name not in facades.names:
            raise defer(f"module {name}")
        if name == "typing":
            typing_is_used()
        return facades.modules[name if fromlist else name.partition(".")[0]]

    others = [name for name in vars(builtins) if name not in safe and not name.startswith("__")]
    safe.update({name: deferring(name) for name in others})
    safe.update({"__build_class__": deferring("class"), "__import__": import_module, "__show__": show})
