"""Which functions of the libraries a warm worker must be careful with: found by reading the libraries, not by thinking.

    python -m tests.execution.library_walk [--write]

reads the source of every module of sympy, mpmath and numpy that a worker has loaded, and of the standard library's
modules from which programs may import, and lists the functions that

    text        run text as code, or import what a text names
    dictionary  call a function that they were given, with a dictionary or an object of their own among its arguments
    cache       look values up in something that stays: a decorator, a default argument, a table called cache or memo
    memory      make arrays whose memory nobody has written to yet

and the `functools.lru_cache`s that do not tell 1 from 1.0. The result stands in `library_walk.txt` with the versions of
the libraries. A test fails where it is not what the walk finds: then somebody must look at what is new, and decide
whether `execution/inside/allowlist.py` and `execution/inside/libraries.py` still hold; `--write` notes the result.

`poisoned` is the other half for memory: it runs every admitted function of numpy in a process whose allocator fills
memory with a pattern, and reports those whose results show the pattern.
"""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import inspect
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

from rstar_math.execution.inside import allowlist, preload
from rstar_math.execution.inside.facades import Facades

RESULT = Path(__file__).with_suffix(".txt")
PACKAGES = ("sympy", "mpmath", "numpy")
KINDS = ("text", "dictionary", "cache", "memory", "untyped lru_cache")

_TEXT = frozenset({"eval", "exec", "compile", "__import__", "import_module", "FunctionType", "CodeType"})
_MEMORY = frozenset({"empty", "empty_like", "ndarray", "recarray", "as_strided", "new_empty"})
_CACHES = frozenset(
    {"cacheit", "lru_cache", "cache", "memoize", "cached_property", "_tp_cache", "_cacheit", "recurrence_memo"}
    | {"assoc_recurrence_memo", "memoize_property", "constant_memo", "set_module_cache"}
)
_OWN = ("dict", "globals", "locals", "namespace", "ns", "ctx", "self", "cls", "cache", "memo")


class _Walk(ast.NodeVisitor):
    """Finds what the functions of one module do."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.found: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._names: list[str] = []
        self._given: list[set[str]] = []

    def _note(self, kind: str) -> None:
        self.found[kind].add(f"{self.module}:{'.'.join(self._names) or '(module)'}")

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._names.append(node.name)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        names = {a.arg for a in every if a.arg not in ("self", "cls", "ctx")}
        names |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}
        self._given.append(names)
        if any(_called(d) in _CACHES for d in node.decorator_list):
            self._note("cache")
        if any("cache" in a.arg or "memo" in a.arg for a in every if a.arg[:1] == "_"):
            self._note("cache")
        self.generic_visit(node)
        self._given.pop()
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # their fields are the same

    def visit_For(self, node: ast.For) -> None:
        self._given_by(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._given_by(node.target, node.iter)
        self.generic_visit(node)

    def _given_by(self, target: ast.expr, source: ast.expr) -> None:
        """What runs over something that was given was given too."""
        if self._given and isinstance(target, ast.Name) and _roots(source) & self._given[-1]:
            self._given[-1].add(target.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript) and _looks_kept(target.value):
                self._note("cache")
            self._given_by(target, node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node)
        is_builtin = isinstance(node.func, ast.Name) or name not in ("eval", "exec", "compile")  # not a method's name
        if name in _TEXT and is_builtin:
            self._note("text")
        if name in _MEMORY:
            self._note("memory")
        if self._given and isinstance(node.func, ast.Name) and node.func.id in self._given[-1]:
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(_is_own(argument, self._given[-1]) for argument in arguments):
                self._note("dictionary")
        self.generic_visit(node)


def _called(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _roots(node: ast.expr) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _looks_kept(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return "cache" in name.lower() or "memo" in name.lower()


def _is_own(node: ast.expr, given: set[str]) -> bool:
    if isinstance(node, ast.Dict) or _called(node) in ("dict", "globals", "locals", "vars"):
        return True
    return isinstance(node, ast.Name) and node.id not in given and node.id.endswith(_OWN)


def load() -> None:
    """Loads what a worker loads."""
    preload.load(preload.PROFILES["sympy"], [])


def walk() -> dict[str, list[str]]:
    """By kind, the functions found; run it in an interpreter of its own, started as zygotes are."""
    load()
    standard = set(allowlist.STANDARD)
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not (name in standard or name.partition(".")[0] in PACKAGES) or not str(file).endswith(".py"):
            continue
        one = _Walk(name)
        one.visit(ast.parse(Path(str(file)).read_text("utf-8")))
        for kind in KINDS:
            found[kind] |= one.found[kind]
    for cache in gc.get_objects():
        if type(cache) is not functools._lru_cache_wrapper or cache.cache_parameters()["typed"]:
            continue
        if cache.__module__ in standard or cache.__module__.partition(".")[0] in PACKAGES:
            found["untyped lru_cache"].add(f"{cache.__module__}:{cache.__qualname__}")
    return {kind: sorted(names) for kind, names in found.items()}


def versions() -> str:
    """What the walk depends on, in one line."""
    parts = [f"{name} {importlib.import_module(name).__version__}" for name in PACKAGES]
    return f"Python {sys.version_info[0]}.{sys.version_info[1]}, {', '.join(parts)}"


def admitted() -> dict[str, str]:
    """module:qualname of every function that a program may take from a module, and the name that it has there."""
    load()
    found: dict[str, str] = {}
    for name, facade in Facades().modules.items():
        for key, value in vars(facade).items():
            original = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
            function = getattr(original, "__func__", original)
            if isinstance(function, types.FunctionType):
                found[f"{function.__module__}:{function.__qualname__}"] = f"{name}.{key}"
    return found


# ---------------------------------------------------------------- memory that nobody has written to

_MARK = "RESULT "
_PERTURB = 0x5A
_PATTERNS = [bytes([value]) * 8 for value in (_PERTURB, _PERTURB ^ 0xFF)]


def poisoned(names: list[str]) -> list[str]:
    """Those of numpy's functions `names` whose results show memory that was not written to.

    Arrays of less than 1 kB are left out, because numpy keeps their memory without asking the allocator. Each function
    is tried with arrays and numbers in all its places, and with every text that its source holds in each place whose
    default is a text. Only in a process with the allocator's pattern (`run_in_child`).
    """
    numpy = importlib.import_module("numpy")
    return [name for name in names if _shows_memory(_find(numpy, name))]


def _find(numpy: Any, name: str) -> Any:
    for place in (numpy, numpy.linalg, numpy.random):
        if hasattr(place, name):
            return getattr(place, name)
    return None


def _shows_memory(function: Any) -> bool:
    numpy = importlib.import_module("numpy")
    if not callable(function):
        return False
    square, vector, number = numpy.ones((16, 16)) * 2.0, numpy.arange(1.0, 257.0), 160
    whole = numpy.arange(256)
    tries: list[tuple[Any, ...]] = [(a,) for a in (square, vector, number, whole, (16, 16))]
    tries += [(a, b) for a in (square, vector, whole, number) for b in (square, vector, whole, number, (9, 9))]
    tries += [(a, b, c) for a in (square, vector) for b in (number, vector, 9) for c in (vector, number, 3)]
    words: dict[str, set[str]] = {}
    try:
        parameters = inspect.signature(function).parameters
        source = inspect.getsource(inspect.unwrap(function))
        texts = {
            n.value
            for n in ast.walk(ast.parse(source.lstrip()))
            if isinstance(n, ast.Constant) and type(n.value) is str
        }
        words = {n: {t for t in texts if len(t) < 20} for n, p in parameters.items() if type(p.default) is str}
    except (TypeError, ValueError, OSError, SyntaxError):
        pass  # of C: it has no source
    keywords: list[dict[str, Any]] = [{}, *({n: t} for n, ts in words.items() for t in sorted(ts))]
    for arguments in tries:
        for keyword in keywords:
            try:
                result = function(*arguments, **keyword)
            except Exception:
                continue
            parts = result if isinstance(result, tuple | list) else (result,)
            for part in parts[:8]:
                if isinstance(part, numpy.ndarray) and not part.dtype.hasobject and part.nbytes < 1 << 22:
                    data = part.tobytes()
                    if any(pattern * 4 in data for pattern in _PATTERNS):
                        return True
    return False


def run_in_child(*arguments: str, perturb: bool = False) -> Any:
    """Runs this file in an interpreter of its own, and returns the JSON that it prints."""
    environment = {"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    if perturb:
        environment["GLIBC_TUNABLES"] = f"glibc.malloc.perturb={_PERTURB}"
    command = [sys.executable, "-W", "ignore", "-m", "tests.execution.library_walk", *arguments]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True)
    marked = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]  # numpy's LAPACK prints too
    return json.loads(marked[-1].removeprefix(_MARK))


def as_text(found: dict[str, list[str]], of: str) -> str:
    """The file that is checked in."""
    lines = ["# made by library_walk.py --write", of]
    for kind in KINDS:
        lines += ["", f"[{kind}]", *found[kind]]
    return "\n".join(lines) + "\n"


def from_text(text: str) -> tuple[str, dict[str, list[str]]]:
    """(versions, functions by kind) of the file that is checked in."""
    found: dict[str, list[str]] = {}
    kind = ""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines[1:]:
        if line.startswith("["):
            kind = line.strip("[]")
            found[kind] = []
        else:
            found[kind].append(line)
    return lines[0], found


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        again = run_in_child("walk")
        RESULT.write_text(as_text(again["found"], again["versions"]), encoding="utf-8")
    elif sys.argv[1:] in ([], ["walk"]):
        print(_MARK + json.dumps({"found": walk(), "versions": versions()}))
    elif sys.argv[1:] == ["admitted"]:
        print(_MARK + json.dumps(admitted()))
    elif sys.argv[1:] == ["numpy"]:
        print(_MARK + json.dumps(sorted(allowlist.NUMPY)))
    else:
        print(_MARK + json.dumps(poisoned(sys.argv[2:])))
