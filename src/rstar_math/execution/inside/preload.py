"""What is loaded before programs come: what they may import, used once so that first uses cost nothing later."""

from __future__ import annotations

import importlib
import sys
from typing import Any

# Extension modules cannot be loaded once the filter is in place, so what programs may want of the standard library is
# loaded first; the rest of it, pure Python, can still be imported.
STANDARD = [
    *("math", "cmath", "fractions", "decimal", "statistics", "random", "itertools", "functools", "collections", "re"),
    *("string", "datetime", "operator", "heapq", "bisect", "copy", "typing", "numbers", "time", "calendar", "array"),
    *("enum", "dataclasses", "textwrap", "json", "abc", "contextlib", "types", "ast", "unicodedata", "pprint", "csv"),
    *("hashlib", "secrets", "queue", "traceback", "linecache", "warnings", "locale", "inspect", "zoneinfo", "pickle"),
    *("timeit", "uuid", "base64", "zlib", "threading", "tracemalloc", "encodings.idna", "_posixsubprocess", "_asyncio"),
    *("_queue", "_bz2", "_lzma", "_elementtree", "pyexpat", "_multiprocessing", "grp", "_contextvars", "_lsprof"),
]
NUMPY = [
    *("numpy", "numpy.linalg", "numpy.random", "numpy.polynomial", "numpy.fft", "numpy.ma", "numpy.lib"),
    *("numpy.matlib", "mpmath"),
]
SYMPY = [
    *("sympy", "sympy.ntheory", "sympy.combinatorics", "sympy.geometry", "sympy.stats", "sympy.abc", "sympy.physics"),
    *("sympy.parsing.sympy_parser", "sympy.solvers.inequalities", "sympy.solvers.diophantine", "sympy.calculus.util"),
    *("sympy.plotting", "sympy.functions.combinatorial.numbers", "sympy.utilities.lambdify", "sympy.vector"),
    *("sympy.solvers.solveset", "sympy.printing.pretty", "sympy.printing.latex", "sympy.core.random"),
    *("sympy.physics.units", "sympy.logic.boolalg", "sympy.sets", "sympy.polys.numberfields", "sympy.tensor"),
]
SCIPY = [
    *("scipy", "scipy.optimize", "scipy.special", "scipy.integrate", "scipy.stats", "scipy.linalg", "scipy.fft"),
    *("scipy.interpolate", "scipy.spatial", "scipy.sparse", "scipy.signal", "scipy.constants"),
]
PROFILES = {
    "light": STANDARD,
    "numpy": STANDARD + NUMPY,
    "sympy": STANDARD + NUMPY + SYMPY,
    "all": STANDARD + NUMPY + SYMPY + SCIPY,
}
"""Modules to import, by what a program needs."""

# Much of these libraries is imported, built and cached at first use: here, once, instead of in every child.
NUMPY_WARM_UP = """
import numpy
numpy.linalg.det(numpy.eye(2)); numpy.linalg.eig(numpy.eye(2)); str(numpy.linspace(0, 1, 3)); numpy.roots([1, 0, -1])
numpy.linalg.solve(numpy.eye(2), numpy.ones(2)); numpy.random.default_rng(0).random(); numpy.polyfit([1, 2], [1, 2], 1)
repr(numpy.arange(3)); numpy.linalg.inv(numpy.eye(2)); numpy.percentile([1, 2, 3], 50); numpy.unique([1, 1])
"""
SYMPY_WARM_UP = """
import sympy
x, y = sympy.symbols("x y")
n = sympy.symbols("n", integer=True, positive=True)
sympy.solve(x**2 - 3*x + 1, x); sympy.solve([x + y - 3, x - y - 1], [x, y]); sympy.solve(x**3 - 2*x + 1, x)
sympy.simplify(sympy.sin(x)**2 + sympy.cos(x)**2); sympy.integrate(x**2*sympy.exp(-x), x)
sympy.integrate(sympy.sin(x), (x, 0, 1)); sympy.diff(sympy.sin(x)/x, x); sympy.factor(x**6 - 1)
sympy.limit(sympy.sin(x)/x, x, 0); sympy.Matrix([[1, 2], [3, 4]]).inv(); sympy.Matrix([[1, 2], [3, 4]]).eigenvals()
sympy.series(sympy.exp(x), x, 0, 4); sympy.summation(x, (x, 1, y)); sympy.summation(n**2, (n, 1, 10))
sympy.solveset(x**2 - 1, x, sympy.S.Reals); sympy.N(sympy.pi, 30); sympy.latex(x/2); sympy.factorint(360)
sympy.nsolve(sympy.cos(x) - x, x, 1); sympy.parse_expr("x + 1"); str(sympy.Rational(1, 3)); sympy.pretty(x/2)
sympy.expand((x + y)**3); sympy.solve(x**2 > 1, x); sympy.trigsimp(sympy.tan(x)*sympy.cos(x))
sympy.lambdify(x, x**2)(2); sympy.Eq(x, y).subs(x, 1); sympy.sqrt(8).evalf(); sympy.binomial(10, 3)
sympy.Poly(x**2 - 1, x).all_coeffs(); sympy.apart(1/(x**2 - 1)); sympy.isprime(97); sympy.divisors(12)
sympy.solve(sympy.sqrt(x) - 2, x); sympy.solve(sympy.Abs(n) - 1, n); sympy.nsimplify(0.5)
sympy.solve(2**x - 8, x); sympy.solve(sympy.sin(x) - 1, x); sympy.logcombine(sympy.log(2)); sympy.together(1/x + 1/y)
"""


def load(modules: list[str], required: list[str]) -> dict[str, str]:
    """Imports and warms what programs use; returns the modules that could not be imported, with the reason."""
    missing: dict[str, str] = {}
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing[name] = str(error)
            if name in required:
                raise
    import site

    site.setquit()  # programs may call exit(), which the interpreter has only with its site module
    site.sethelper()
    for module, warm_up in (("numpy", NUMPY_WARM_UP), ("sympy", SYMPY_WARM_UP)):
        if module in sys.modules:
            namespace: dict[str, Any] = {"__name__": "warm_up"}
            for line in warm_up.strip().splitlines():
                try:
                    exec(line, namespace)
                except Exception as error:  # another version of the library: it is only less warm
                    missing[line] = repr(error)
    return missing
