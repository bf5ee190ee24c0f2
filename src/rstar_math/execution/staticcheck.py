"""The static check: whether a program may run in a warm worker, judged by its compiled code without running it.

A warm worker runs many programs in one process, so a program that is admitted must be unable to change anything but
its own namespace. The check is an allowlist throughout: of instructions, of attribute names, of modules and what may be
taken from them, of builtins. What it does not know is not admitted, and runs in a fork of its own.

What makes a name fit for the list of attributes: on no object that an admitted program can reach does it lead to
something that outlives the program and can be changed, nor to a function that changes such a thing, runs text as code,
touches files, or keeps an object it is given. Underscored names are never on it.

Runs in the zygote and its workers, which load this file by its path: it imports nothing of the package.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import decimal
import dis
import fractions
import importlib
import re
import sys
import types
from typing import Any

# ---------------------------------------------------------------- instructions

_OPERATIONS = frozenset(
    {
        *(
            "CACHE",
            "NOP",
            "RESUME",
            "EXTENDED_ARG",
            "POP_TOP",
            "PUSH_NULL",
            "COPY",
            "SWAP",
            "PRECALL",
            "CALL",
            "KW_NAMES",
        ),
        *("CALL_FUNCTION_EX", "CALL_KW", "MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE", "RETURN_VALUE", "RETURN_CONST"),
        *("RETURN_GENERATOR", "YIELD_VALUE", "SEND", "GET_YIELD_FROM_ITER", "END_FOR", "END_SEND", "CLEANUP_THROW"),
        *("UNARY_POSITIVE", "UNARY_NEGATIVE", "UNARY_NOT", "UNARY_INVERT", "BINARY_OP", "COMPARE_OP", "IS_OP"),
        *("CONTAINS_OP", "BINARY_SUBSCR", "BINARY_SLICE", "STORE_SUBSCR", "STORE_SLICE", "DELETE_SUBSCR", "TO_BOOL"),
        *("BUILD_LIST", "BUILD_TUPLE", "BUILD_SET", "BUILD_MAP", "BUILD_CONST_KEY_MAP", "BUILD_STRING", "BUILD_SLICE"),
        *("LIST_APPEND", "LIST_EXTEND", "LIST_TO_TUPLE", "SET_ADD", "SET_UPDATE", "MAP_ADD", "DICT_MERGE"),
        *("DICT_UPDATE", "FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONVERT_VALUE", "GET_LEN"),
        *("GET_ITER", "FOR_ITER", "UNPACK_SEQUENCE", "UNPACK_EX", "MATCH_SEQUENCE", "MATCH_MAPPING", "MATCH_KEYS"),
        *("LOAD_CONST", "LOAD_NAME", "STORE_NAME", "DELETE_NAME", "LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"),
        *("LOAD_FAST", "STORE_FAST", "DELETE_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR", "LOAD_FAST_LOAD_FAST"),
        *("STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST", "MAKE_CELL", "COPY_FREE_VARS", "LOAD_CLOSURE"),
        *("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF", "LOAD_ATTR", "LOAD_METHOD", "IMPORT_NAME", "IMPORT_FROM"),
        *("IMPORT_STAR", "CALL_INTRINSIC_1", "SETUP_ANNOTATIONS", "LOAD_ASSERTION_ERROR", "RAISE_VARARGS", "RERAISE"),
        *("PUSH_EXC_INFO", "POP_EXCEPT", "CHECK_EXC_MATCH"),
        *(name for name in dis.opmap if "JUMP" in name),
    }
)
"""Instructions that admitted code may have. Left out: stores to attributes, classes, `with`, coroutines."""

_ADMITTED = frozenset(code for name, code in dis.opmap.items() if name in _OPERATIONS)
_EXTENDED = dis.opmap["EXTENDED_ARG"]
_LOAD_ATTRIBUTE = frozenset(dis.opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in dis.opmap)
_IMPORT_NAME, _IMPORT_FROM = dis.opmap["IMPORT_NAME"], dis.opmap["IMPORT_FROM"]
_LOAD_NAME, _LOAD_GLOBAL = dis.opmap["LOAD_NAME"], dis.opmap["LOAD_GLOBAL"]
_STORE_NAMES = frozenset({dis.opmap["STORE_NAME"], dis.opmap["STORE_GLOBAL"]})
_IMPORT_STAR = dis.opmap.get("IMPORT_STAR", -1)  # until 3.11
_INTRINSIC, _INTRINSIC_IMPORT_STAR = dis.opmap.get("CALL_INTRINSIC_1", -1), 2  # since 3.12
_LOAD_GLOBALS = frozenset({_LOAD_NAME, _LOAD_GLOBAL})
_LOOKED_AT = _LOAD_ATTRIBUTE | {_EXTENDED, _IMPORT_NAME, _IMPORT_FROM}
_ATTRIBUTE_SHIFT = 1 if sys.version_info >= (3, 12) else 0
_GLOBAL_SHIFT = 1  # since 3.11

# ---------------------------------------------------------------- builtins

SAFE_BUILTINS = frozenset(
    {
        *("abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr", "complex", "dict"),
        *("divmod", "enumerate", "filter", "float", "format", "frozenset", "hash", "hex", "int", "isinstance", "iter"),
        *("issubclass", "len", "list", "map", "max", "min", "next", "oct", "ord", "pow", "print", "range", "repr"),
        *("object", "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "zip"),
        *("Ellipsis", "False", "None", "NotImplemented", "True", "__debug__"),
        *(n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, BaseException)),
    }
)
_UNSAFE_BUILTINS = frozenset(vars(builtins)) - SAFE_BUILTINS
_DUNDERS = frozenset({"__name__", "__doc__", "__annotations__", "__show__"})

# ---------------------------------------------------------------- modules and attributes

_NUMPY = frozenset(
    {
        *("abs", "absolute", "add", "all", "allclose", "amax", "amin", "angle", "any", "append", "arange", "arccos"),
        *("arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "argwhere"),
        *("around", "array", "array_equal", "asarray", "atleast_1d", "atleast_2d", "average", "bincount", "cbrt"),
        *("ceil", "clip", "column_stack", "concatenate", "conj", "convolve", "copy", "corrcoef", "cos", "cosh"),
        *("count_nonzero", "cov", "cross", "cumprod", "cumsum", "deg2rad", "degrees", "delete", "det", "diag"),
        *("diagonal", "diff", "digitize", "divide", "divmod", "dot", "e", "eig", "eigvals", "einsum", "empty"),
        *(
            "equal",
            "euler_gamma",
            "exp",
            "exp2",
            "expand_dims",
            "expm1",
            "extract",
            "eye",
            "fabs",
            "flatnonzero",
            "flip",
            "fliplr",
        ),
        *("flipud", "float64", "float32", "floor", "floor_divide", "fmod", "full", "gcd", "geomspace", "gradient"),
        *("greater", "greater_equal", "histogram", "hstack", "hypot", "identity", "imag", "in1d", "indices", "inf"),
        *("inner", "insert", "int32", "int64", "interp", "intersect1d", "inv", "isclose", "isfinite", "isin", "isinf"),
        *("isnan", "isreal", "kron", "lcm", "less", "less_equal", "lexsort", "linspace", "log", "log10", "log1p"),
        *("log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logspace", "lstsq", "mat", "matmul"),
        *("matrix_power", "matrix_rank", "max", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod"),
        *("multiply", "nan", "nan_to_num", "nanmax", "nanmean", "nanmin", "ndarray", "ndim", "negative", "nonzero"),
        *("norm", "not_equal", "ones", "ones_like", "outer", "pad", "percentile", "permutation", "pi", "pinv"),
        *("polyfit", "polyval", "positive", "power", "prod", "ptp", "quantile", "rad2deg", "radians", "rand"),
        *("randint", "randn", "random", "ravel", "real", "reciprocal", "remainder", "repeat", "reshape", "roll"),
        *("roots", "rot90", "round", "searchsorted", "select", "setdiff1d", "shape", "sign", "sin", "sinc", "sinh"),
        *("size", "solve", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "svd"),
        *("swapaxes", "take", "tan", "tanh", "tensordot", "tile", "trace", "transpose", "trapezoid", "trapz", "tri"),
        *("tril", "triu", "true_divide", "trunc", "union1d", "unique", "unwrap", "vander", "var", "vdot"),
        *("vectorize", "vstack", "where", "zeros", "zeros_like", "bool_", "complex128"),
        *("choice", "shuffle", "seed", "uniform", "normal", "sample", "linalg"),
    }
)
_ARRAY_METHODS = frozenset(
    {
        *("T", "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "conj", "copy", "cumprod", "cumsum"),
        *("diagonal", "dot", "dtype", "fill", "flatten", "imag", "item", "max", "mean", "min", "ndim", "nonzero"),
        *("prod", "ravel", "real", "repeat", "reshape", "round", "shape", "size", "sort", "squeeze", "std", "sum"),
        *("swapaxes", "take", "tolist", "trace", "transpose", "var"),
    }
)
_NOT_SYMPY = frozenset(
    {
        # text as code, code as text, plots, files, sessions
        *("lambdify", "nsolve", "plot", "plot_backends", "plot_implicit", "plot_parametric", "plotting", "preview"),
        *("plot3d", "plot3d_parametric_line", "plot3d_parametric_surface", "PlotGrid", "textplot", "source", "test"),
        *("doctest", "init_printing", "init_session", "pager_print", "interactive_traversal", "python", "var"),
        *("print_python", "print_tree", "print_fcode", "use", "rust_code", "dotprint", "printtree"),
        # state that outlives a program
        *("sieve", "Sieve", "evaluate", "assuming", "global_assumptions", "AssumptionsContext", "register_handler"),
        *("remove_handler", "pprint_use_unicode", "pprint_try_use_unicode", "cacheit", "memoize_property", "public"),
        *("threaded", "xthreaded", "deprecated", "timed", "apply_finite_diff", "Predicate", "Q", "ask", "refine"),
        *(
            "Permutation",
            "Cycle",
            "conserve_mpmath_dps",
            "poly_from_expr",
            "parallel_poly_from_expr",
            "default_sort_key",
        ),
        # keep objects they are given, or hand out ones that change
        *("Wild", "WildFunction", "bottom_up", "Options", "Id", "singledispatch", "postfixes"),
    }
)
_SYMPY_MODULES = (
    *("sympy", "sympy.abc", "sympy.core", "sympy.core.numbers", "sympy.core.symbol", "sympy.solvers", "sympy.matrices"),
    *("sympy.ntheory", "sympy.functions", "sympy.functions.elementary.miscellaneous", "sympy.geometry", "sympy.sets"),
    *("sympy.functions.combinatorial.factorials", "sympy.functions.combinatorial.numbers", "sympy.solvers.solveset"),
    *("sympy.functions.elementary.trigonometric", "sympy.functions.elementary.exponential", "sympy.core.relational"),
    *("sympy.functions.elementary.complexes", "sympy.functions.elementary.integers", "sympy.simplify", "sympy.polys"),
    *("sympy.simplify.simplify", "sympy.solvers.solvers", "sympy.solvers.inequalities", "sympy.ntheory.factor_"),
    *("sympy.ntheory.modular", "sympy.ntheory.residue_ntheory", "sympy.ntheory.generate", "sympy.calculus.util"),
    *("sympy.calculus", "sympy.series", "sympy.concrete", "sympy.concrete.summations", "sympy.integrals"),
    *("sympy.solvers.diophantine", "sympy.polys.polytools", "sympy.matrices.dense", "sympy.utilities.iterables"),
)
_SYMPY_MORE = frozenset(
    {
        *("crt", "mod_inverse", "primitive_root", "n_order", "is_primitive_root", "quadratic_residues", "discrete_log"),
        *("primefactors", "divisor_count", "divisor_sigma", "totient", "prime", "primepi", "nextprime", "prevprime"),
        *(
            "npartitions",
            "legendre_symbol",
            "jacobi_symbol",
            "sqrt_mod",
            "nthroot_mod",
            "multiplicity",
            "perfect_power",
        ),
        *("continuous_domain", "function_range", "periodicity", "minimum", "maximum", "is_increasing", "is_decreasing"),
        *(
            "stationary_points",
            "solve_univariate_inequality",
            "reduce_inequalities",
            "diophantine",
            "multiset_permutations",
        ),
        *("partitions", "subsets", "variations", "nT", "nC", "nP", "digits", "core", "Naturals", "Naturals0"),
        *("solve_poly_inequality", "solve_rational_inequalities", "linear_eq_to_matrix", "nonlinsolve", "linsolve"),
    }
)
_NOT_METHODS = frozenset(
    {
        # of containers and numbers
        *("format_map", "register", "cache_clear", "mro", "fromhex", "from_bytes", "maketrans"),
        # of sympy's objects: shared caches, code, printing to files
        *("default_assumptions", "compare", "class_key", "sort_key", "rcall", "matches", "lambdify", "func_code"),
        *("is_commutative_", "kind", "eval", "ring", "field", "gens_", "plot_interval", "random", "random_point"),
        *("todok", "todod", "rep", "domain_", "dom", "applyfunc_", "from_dok", "print_nonzero", "table", "irregular"),
        *("assumptions0_", "fdiff_", "cls", "slope_", "bspline", "options", "implementation", "encloses_point_"),
    }
)

Names = frozenset[str]


def _words(text: str) -> Names:
    return frozenset(text.split())


class Lists:
    """What an admitted program may use, as far as it is loaded here."""

    def __init__(self) -> None:
        self.modules: dict[str, Names] = {}
        """Importable modules, and what may be taken from them."""
        attributes: set[str] = set()
        standard: dict[str, Names | None] = {
            "math": None,
            "cmath": None,
            "itertools": None,
            "statistics": _words(
                "mean fmean median median_low median_high mode multimode stdev pstdev variance pvariance quantiles "
                "geometric_mean harmonic_mean"
            ),
            "fractions": frozenset({"Fraction"}),
            "decimal": frozenset({"Decimal", "ROUND_HALF_UP", "ROUND_HALF_EVEN", "ROUND_DOWN", "ROUND_UP"}),
            "functools": frozenset({"reduce", "lru_cache", "cache", "partial", "cmp_to_key"}),
            "collections": frozenset({"Counter", "defaultdict", "deque", "OrderedDict"}),
            "random": _words("random randint uniform choice choices sample shuffle randrange gauss normalvariate seed"),
            "string": _words("ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation whitespace"),
            "re": _words("match search findall finditer fullmatch sub split compile escape IGNORECASE I MULTILINE M"),
            "datetime": frozenset({"date", "datetime", "timedelta", "time"}),
            "heapq": None,
            "bisect": None,
            "copy": frozenset({"copy", "deepcopy"}),
            "operator": _words("add sub mul truediv floordiv mod pow neg eq ne lt le gt ge itemgetter"),
            "typing": _words("List Dict Tuple Set Optional Union Any Callable Iterable Sequence"),
            "calendar": frozenset({"isleap", "leapdays", "monthrange", "weekday"}),
            "numpy": _NUMPY,
            "numpy.linalg": _NUMPY,
            "numpy.random": _NUMPY,
        }
        for name, names in standard.items():
            module = sys.modules.get(name)
            if module is None:
                continue
            present = frozenset(vars(module))
            if names is None:
                names = frozenset(n for n in present if not n.startswith("_"))
            self.modules[name] = names & present
            attributes |= self.modules[name]
        self._add_mpmath(attributes)
        self._add_sympy(attributes)
        for kind in (
            *(str, bytes, list, dict, set, frozenset, tuple, int, float, complex, range, slice),
            *(fractions.Fraction, decimal.Decimal, collections.Counter, collections.deque, collections.OrderedDict),
            *(collections.defaultdict, datetime.date, datetime.datetime, datetime.timedelta, re.Pattern, re.Match),
        ):
            attributes.update(dir(kind))
        if "numpy" in sys.modules:
            attributes |= _ARRAY_METHODS
        self.attributes: Names = frozenset(n for n in attributes if not n.startswith("_")) - _NOT_METHODS
        self.names = frozenset().union(*(self.modules.get(m, frozenset()) for m in ("sympy", "sympy.core.numbers")))
        """What text given to sympy may name."""
        self.facades: dict[str, types.ModuleType] = {}
        """What `from MODULE import *` takes its names from."""
        self.stray: dict[str, Names] = {}
        """By module: names that `from MODULE import *` binds outside a warm worker, but not in it."""
        for name, names in self.modules.items():
            module = sys.modules[name]
            exported = frozenset(getattr(module, "__all__", None) or [n for n in vars(module) if n[:1] != "_"])
            self.stray[name] = exported - names - SAFE_BUILTINS
            facade = types.ModuleType(name)
            taken = [n for n in sorted(exported & names) if hasattr(module, n)]
            for n in taken:
                facade.__dict__[n] = getattr(module, n)
            facade.__dict__["__all__"] = taken
            self.facades[name] = facade

    def _add_mpmath(self, attributes: set[str]) -> None:
        module = sys.modules.get("mpmath")
        if module is None:
            return
        names = {n for n, v in vars(module).items() if isinstance(v, types.MethodType) and not n.startswith("_")}
        names |= {"mpf", "mpc", "pi", "e", "euler", "phi", "inf", "nan"}
        names -= {"plot", "cplot", "splot", "timing", "memoize", "workdps", "workprec", "extradps", "extraprec"}
        names -= {"maxcalls", "monitor", "autoprec", "runtests", "doctests", "invertlaplace", "rand"}
        self.modules["mpmath"] = frozenset(names)
        attributes |= names

    def _add_sympy(self, attributes: set[str]) -> None:
        sympy = sys.modules.get("sympy")
        if sympy is None:
            return
        exported = (frozenset(sympy.__all__) | _SYMPY_MORE) - _NOT_SYMPY
        # modules are no names of theirs: each would open the way to everything in it
        exported -= {n for n in exported if isinstance(getattr(sympy, n, None), types.ModuleType)}
        letters = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        greek = _words("alpha beta gamma delta epsilon zeta eta theta iota kappa mu nu xi rho sigma tau phi")
        for name in _SYMPY_MODULES:
            try:
                module = importlib.import_module(name)
            except ImportError:  # another version of sympy: what it does not have cannot be admitted
                continue
            names = letters | greek if name == "sympy.abc" else exported
            self.modules[name] = frozenset(
                n for n in names if hasattr(module, n) and not isinstance(getattr(module, n), types.ModuleType)
            )
        attributes |= exported
        for kind in _sympy_kinds(sympy):
            attributes.update(dir(kind))


def _sympy_kinds(sympy: Any) -> list[type]:
    """Classes whose methods programs use."""
    names = (
        *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Eq", "Lt", "And", "Or", "Not", "Function"),
        *("Derivative", "Integral", "Sum", "Product", "Limit", "Poly", "Matrix", "ImmutableMatrix", "Interval"),
        *("FiniteSet", "Union", "ConditionSet", "ImageSet", "Piecewise", "Tuple", "Point", "Line", "Segment", "Circle"),
        *("Triangle", "Polygon", "Ellipse", "Ray", "RegularPolygon", "Lambda", "Abs", "log", "exp", "sin", "Max"),
    )
    return [getattr(sympy, name) for name in names if isinstance(getattr(sympy, name, None), type)]


# ---------------------------------------------------------------- the check


def refusal(code: types.CodeType, lists: Lists, expression: frozenset[str] | None = None) -> str | None:
    """Why `code` is not admitted, or None if it is.

    Args:
      code: compiled, not run.
      lists: what it may use.
      expression: for text that a library evaluates: the names it may use; all others are then refused.
    """
    for constant in code.co_consts:
        kind = type(constant)
        if kind is str:
            # str.format reaches attributes by text
            if "__" in constant and constant not in _DUNDERS and constant != "__main__":
                return "text with a double underscore"
        elif kind is types.CodeType:
            reason = refusal(constant, lists, expression)
            if reason is not None:
                return reason
    bytecode = code.co_code
    operations = frozenset(bytecode[::2])
    if not operations <= _ADMITTED:
        return f"instruction {dis.opname[min(operations - _ADMITTED)]}"
    names = code.co_names
    for name in (*names, *code.co_varnames, *code.co_cellvars):
        if name[:2] == "__" and name not in _DUNDERS:
            return f"name {name}"
    if not (operations & _LOOKED_AT or expression is not None or not _UNSAFE_BUILTINS.isdisjoint(names)):
        return None
    looked_at = _LOOKED_AT if expression is None and _UNSAFE_BUILTINS.isdisjoint(names) else _LOOKED_AT | _LOAD_GLOBALS
    extended = 0
    module = ""
    attributes = lists.attributes
    arguments = iter(bytecode)
    for operation, argument in zip(arguments, arguments, strict=True):
        if operation not in looked_at:
            extended = 0
            continue
        argument |= extended
        extended = 0
        if operation in _LOAD_ATTRIBUTE:
            name = names[argument >> _ATTRIBUTE_SHIFT]
            if name not in attributes:
                return f"attribute {name}"
        elif operation == _EXTENDED:
            extended = argument << 8
        elif operation in _LOAD_GLOBALS:
            name = names[argument >> _GLOBAL_SHIFT if operation == _LOAD_GLOBAL else argument]
            if name in _UNSAFE_BUILTINS and name not in _DUNDERS:
                return f"builtin {name}"
            if expression is not None and name not in expression:
                return f"name {name} in text"
        elif operation == _IMPORT_NAME:
            module = names[argument]
            if module not in lists.modules:
                return f"module {module}"
        elif operation == _IMPORT_FROM:
            name = names[argument]
            if name not in lists.modules.get(module, ()) and name not in module.split(".")[1:]:
                return f"{name} of {module}"
    return None


class Uses:
    """What a step's code imports with `*`, and which names it uses and stores, nested functions included."""

    __slots__ = ("names", "stars", "stored")

    def __init__(self, code: types.CodeType) -> None:
        self.names: set[str] = set()
        self.stored: set[str] = set()
        self.stars: set[str] = set()
        self._add(code)

    def _add(self, code: types.CodeType) -> None:
        self.names.update(code.co_names)
        self.stored.update(code.co_varnames, code.co_cellvars)
        bytecode = code.co_code
        extended = 0
        module = ""
        for position in range(0, len(bytecode), 2):
            operation, argument = bytecode[position], bytecode[position + 1] | extended
            extended = argument << 8 if operation == _EXTENDED else 0
            if operation in _STORE_NAMES:
                self.stored.add(code.co_names[argument])
            elif operation == _IMPORT_NAME:
                module = code.co_names[argument]
            elif operation == _IMPORT_STAR or (operation == _INTRINSIC and argument == _INTRINSIC_IMPORT_STAR):
                self.stars.add(module)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._add(constant)


def stray_name(steps: list[types.CodeType], lists: Lists) -> str | None:
    """A name that a program of these steps would find otherwise outside a warm worker; None where there is none."""
    uses = [Uses(code) for code in steps]
    stars = set().union(*(step.stars for step in uses))
    if not stars:
        return None
    names = set().union(*(step.names for step in uses)) & set().union(*(lists.stray[module] for module in stars))
    names -= set().union(*(step.stored for step in uses))
    return min(names, default=None)
