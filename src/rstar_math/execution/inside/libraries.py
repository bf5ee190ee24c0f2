"""The libraries in a warm worker: what is switched off, and what is put back before each program.

A warm worker shares its libraries among programs, so nothing that one program makes a library do may show in another.
Three things see to that:

- `refuse` switches off what runs text or what keeps a program's own functions: a program that needs it runs in a fork;
- `make_caches_exact` has sympy's caches pass by whatever compares equal to something that prints otherwise, as 1 does
  to 1.0 inside a tuple, so that no program is given what another has asked for;
- `Restorer` empties the caches that stay inexact, and puts random generators into the state that programs start with.

Which functions and caches these are is found by `tests/execution/library_walk.py`, which reads the libraries.
"""

from __future__ import annotations

import builtins
import functools
import gc
import sys
import types
from collections.abc import Callable
from typing import Any

from rstar_math.execution.inside import harness
from rstar_math.execution.inside.facades import Defer

# see the same line in protocol.py
globals()["__builtins__"] = dict(vars(builtins))

TEXT_FUNCTIONS = ("parse_expr", "stringify_expr", "eval_expr", "evaluateFalse")
"""Of sympy.parsing.sympy_parser: all that leads to `eval`. sympy turns text into expressions with nothing else."""

# ---------------------------------------------------------------- what is switched off


def refuse(defer: Defer, facades: dict[str, types.ModuleType]) -> None:
    """Switches off what a warm worker does not do, in whatever libraries are loaded.

    Args:
      defer: notes that a program needs a fork.
      facades: what programs get for modules.
    """
    _refuse_text(defer)
    _refuse_strategies(defer, facades)
    _refuse_methods(defer)
    _refuse_inexact_flags(defer)


def _refuse_text(defer: Defer) -> None:
    """Has sympy evaluate no text.

    The dictionaries that it evaluates text in hold the interpreter's builtins and all of sympy, and functions of a
    program may be handed them (`transformations`) or given in their place (`global_dict`).
    """
    parser: Any = sys.modules.get("sympy.parsing.sympy_parser")
    if parser is None:
        return

    def no_text(*_: Any, **__: Any) -> Any:
        raise defer("text that sympy evaluates")

    for name in TEXT_FUNCTIONS:
        original = vars(parser).get(name)
        setattr(parser, name, no_text)
        for module in [m for n, m in sys.modules.items() if n == "sympy" or n.startswith("sympy.")]:
            if original is not None and vars(module).get(name) is original:
                setattr(module, name, no_text)


def _refuse_strategies(defer: Defer, facades: dict[str, types.ModuleType]) -> None:
    """Has mpmath take its solvers and rules by name alone: a program's own would be handed all of mpmath's state."""

    def by_name(function: Callable[..., Any], keyword: str) -> Callable[..., Any]:
        def named(*args: Any, **kwargs: Any) -> Any:
            if type(kwargs.get(keyword, "")) is not str:
                raise defer(f"a {keyword} that is no name")
            return function(*args, **kwargs)

        return named

    contents = vars(facades["mpmath"]) if "mpmath" in facades else {}
    for name, keyword in (("findroot", "solver"), ("quad", "method")):
        if name in contents:
            contents[name] = by_name(contents[name], keyword)


def _refuse_methods(defer: Defer) -> None:
    """Has sympy make no functions with methods of a program's own, which would run whenever sympy compares them.

    Its caches keep them, so that it would compare them with what other programs ask for.
    """
    function: Any = sys.modules.get("sympy.core.function")
    if function is None:
        return
    kind, filtered = function.UndefinedFunction, sys.modules["sympy.core.symbol"]._filter_assumptions
    original = kind.__new__

    def new(mcl: Any, name: Any, *bases_and_dict: Any, **assumptions: Any) -> Any:
        if bases_and_dict or filtered(assumptions)[1]:
            raise defer("a function with methods of its own")
        return original(mcl, name, **assumptions)

    kind.__new__ = new


def _refuse_inexact_flags(defer: Defer) -> None:
    """Has `re` take flags of its own kinds alone: it looks patterns up by them, and 2.0 would find what 2 has left."""
    module: Any = sys.modules["re"]
    original, kinds = module._compile, (int, module.RegexFlag)

    def compile_pattern(pattern: Any, flags: Any) -> Any:
        if type(flags) not in kinds:
            raise defer("flags of another kind")
        return original(pattern, flags)

    module._compile = compile_pattern


# ---------------------------------------------------------------- caches that compare


def make_caches_exact() -> None:
    """Has sympy's caches keep only calls whose arguments print as whatever compares equal to them.

    Called once, before the libraries are sealed. Frames and results stay the same, only what is remembered changes.
    """
    module: Any = sys.modules.get("sympy.core.cache")
    if module is None:
        return
    exact = _ExactKinds(sys.modules["sympy"].Basic)
    vars(module)["_are_exact"] = exact.kinds.issuperset
    vars(module)["_learn"] = exact.learn
    for wrapper in module.CACHE:
        code = getattr(wrapper, "__code__", None)
        if code is not None and code.co_freevars == _exact_wrapper_code.co_freevars:
            wrapper.__code__ = _exact_wrapper_code
        else:  # another version of sympy: without its caches it is slow, and right
            wrapper.cache_clear()


class _ExactKinds:
    """Kinds of argument whose values are the same wherever they compare equal."""

    def __init__(self, basic: type) -> None:
        self._basic = basic
        self.kinds: set[type] = {int, str, bool, type(None)}

    def learn(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether all of these are such values; notes kinds that are new."""
        return all(self._is_exact(value) for value in (*args, *kwargs.values()))

    def _is_exact(self, value: Any) -> bool:
        kind = type(value)
        if kind in self.kinds:
            return True
        if issubclass(kind, (self._basic, type)):
            self.kinds.add(kind)
            return True
        # inside a tuple a cache does not tell 1 from 1.0 or True
        return kind is tuple and all(type(part) is str or isinstance(part, self._basic) for part in value)


def _exact_wrapper_maker(cfunc: Any, func: Any) -> types.FunctionType:
    """What replaces the function around each cache of sympy: its code must have these free variables alone."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (_are_exact(map(type, args)) and not kwargs) or _learn(args, kwargs):  # type: ignore[name-defined]  # noqa: F821
            try:
                return cfunc(*args, **kwargs)
            except TypeError as e:
                if not e.args or not e.args[0].startswith("unhashable type:"):
                    raise
        return func(*args, **kwargs)

    return wrapper  # type: ignore[return-value]  # a function it is


_exact_wrapper_code = _exact_wrapper_maker(None, None).__code__


# ---------------------------------------------------------------- what is put back


class Restorer:
    """Puts back, before each program, what the libraries keep of those before it.

    Made in the zygote: what is loaded there is later hidden from the garbage collector, which finds the caches.
    """

    def __init__(self) -> None:
        self._clears = [cache.cache_clear for cache in inexact_caches()]
        typing: Any = sys.modules["typing"]
        self._typing_clears = [cache.cache_clear for cache in _all_caches() if cache.__module__ == "typing"]
        self._typing_clears += [clear for clear in typing._cleanups if clear not in self._typing_clears]
        self._typing_used = False
        self._tables = _tables()
        self.generators = random_generators()

    def typing_is_used(self) -> None:
        """From now on `typing` forgets before each program what it has made: `List[1.0]` is no `List[1]`."""
        self._typing_used = True

    def before_program(self) -> None:
        """A program starts."""
        for clear in self._clears:
            clear()
        if self._typing_used:
            for clear in self._typing_clears:
                clear()
        for table in self._tables:
            if table:
                table.clear()

    def random_states(self, uses_random: bool) -> dict[str, Any]:
        """The state of every random generator that a program may have used."""
        states = {}
        for name, generator in self.generators.items():
            # sympy draws numbers of its own accord, the others only for programs that say so
            if uses_random or name in _OWN_ACCORD:
                states[name] = generator.get_state() if name == "numpy.random" else generator.getstate()
        return states

    def restore_random(self, states: dict[str, Any], uses_random: bool) -> None:
        """Puts the generators into `states`, and others into what every program starts with."""
        for name, generator in self.generators.items():
            if name not in states:
                if uses_random or name in _OWN_ACCORD:
                    generator.seed(harness.SEED)
            elif name == "numpy.random":
                generator.set_state(states[name])
            else:
                generator.setstate(states[name])


_OWN_ACCORD = ("sympy.core.random", "sympy.core.assumptions")
"""Generators that sympy uses without being asked for random numbers."""


def random_generators() -> dict[str, Any]:
    """The random generators that a program can reach without naming a seed, by their modules."""
    found: dict[str, Any] = {"random": sys.modules["random"]}
    if "sympy.core.random" in sys.modules:
        found["sympy.core.random"] = sys.modules["sympy.core.random"].rng
        own = vars(sys.modules["sympy.core.random"]).get("_assumptions_rng")
        if own is not None:  # the order in which sympy asks what is known of a symbol
            found["sympy.core.assumptions"] = own
    if "numpy.random" in sys.modules:
        found["numpy.random"] = sys.modules["numpy.random"]
    return found


def _all_caches() -> list[Any]:
    """Every `functools.lru_cache` of this process."""
    return [o for o in gc.get_objects() if type(o) is functools._lru_cache_wrapper]


def inexact_caches() -> list[Any]:
    """The caches of sympy, numpy and mpmath that tell 1 from 1.0 by nothing, and that nobody else sees to."""
    known = sys.modules.get("sympy.core.cache")
    wrappers = known.CACHE if known is not None else []
    exact = {id(cell.cell_contents) for wrapper in wrappers for cell in wrapper.__closure__ or ()}
    return [
        cache
        for cache in _all_caches()
        if id(cache) not in exact and str(cache.__module__).partition(".")[0] in ("sympy", "mpmath", "numpy")
    ]


def _tables() -> list[Any]:
    """Dictionaries in which sympy notes how far it has told the roots of a polynomial apart; it finds them again."""
    roots = sys.modules.get("sympy.polys.rootoftools")
    return [vars(roots)[name]._dict for name in ("_reals_cache", "_complexes_cache")] if roots is not None else []


# ---------------------------------------------------------------- in every process of the sandbox


class _Forgetful(dict[Any, Any]):
    """A cache that keeps nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forgets `value`."""


def keep_less() -> None:
    """Takes caches from the libraries whose contents show in what programs print, in workers and forks alike.

    mpmath looks the points of an integral up by its bounds, and 0 finds what a complex 0 has left; sympy remembers
    factors, with which `factorint(n, limit=...)` then goes further than it would alone.
    """
    mpmath = sys.modules.get("mpmath")
    if mpmath is not None:
        for rule in (mpmath.mp._tanh_sinh, mpmath.mp._gauss_legendre, mpmath.fp._tanh_sinh, mpmath.fp._gauss_legendre):
            rule.transformed_cache = _Forgetful()
            rule.interval_count = _Forgetful()
    factor = sys.modules.get("sympy.ntheory.factor_")
    if factor is not None and "factor_cache" in vars(factor):
        factor.factor_cache._cache = _Forgetful()
