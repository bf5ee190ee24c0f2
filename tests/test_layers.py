"""Imports point down the layers of the design, and heavy libraries are loaded only where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import rstar_math
from tests.layers import LAYERS, README, readme_with_table

GRADING = (
    ("base", "bounds", "policy", "shortcut"),
    ("reading",),
    ("comparing",),
    ("worker", "pool", "fake"),
    ("measuring",),
)
"""The rooms of grading, the lowest first; none imports one above it."""

HEAVY = {
    *("torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "tensorboard", "datasets"),
    *("vllm", "ray", "fastapi", "uvicorn", "httpx", "sympy", "math_verify", "pyarrow", "duckdb", "matplotlib", "scipy"),
}

HEAVY_AT_THE_TOP = ("engines", "training", "execution", "grading", "pocket", "cluster", "serve", "view", "checkpoints")
"""Where a module may load them when it is imported itself; everywhere else they are loaded inside functions."""

ROOT = Path(rstar_math.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(ROOT.rglob("*.py"))
}


def layer(module: str) -> int | None:
    """The layer of a module of this package, named without `rstar_math.`."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for found in LAYERS:
            if name in found.names:
                return found.number
    return None


def imports(nodes: list[ast.stmt], inside_functions: bool) -> Iterator[str]:
    """Full names of what is imported; without functions, what only the type checker sees is left out too."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if inside_functions:
                yield from imports(node.body, inside_functions)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not inside_functions:
            yield from imports(node.orelse, inside_functions)
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from imports(getattr(node, field, []), inside_functions)
            for handler in getattr(node, "handlers", []):
                yield from imports(handler.body, inside_functions)
            for case in getattr(node, "cases", []):
                yield from imports(case.body, inside_functions)


def ours(name: str) -> str | None:
    """The module of this package that an import names, without `rstar_math.`; None for other packages."""
    if name.split(".")[0] != "rstar_math":
        return None
    inner = name.removeprefix("rstar_math").lstrip(".")
    while inner and inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner


@cache
def parsed(module: str) -> list[ast.stmt]:
    return ast.parse(MODULES[module].read_text(encoding="utf-8")).body


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_every_module_has_a_layer(module: str) -> None:
    assert layer(module) is not None, f"put {module} into tests/layers.py"


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_imports_point_down(module: str) -> None:
    here = layer(module)
    assert here is not None
    for name in imports(parsed(module), inside_functions=True):
        target = ours(name)
        if not target:
            continue
        there = layer(target)
        assert there is not None
        # a package's own parts may lie lower (engines.base): its __init__ belongs to the adapters
        assert there <= here, f"{module} (layer {here}) imports {target} (layer {there})"
        assert not (here == 4 and there == 3), f"{module} is an adapter and imports {target}, a part of the search"


def test_the_rooms_of_grading_import_downwards() -> None:
    floors = {f"grading.{name}": number for number, names in enumerate(GRADING) for name in names}

    def floor(module: str) -> int:
        return floors[".".join(module.split(".")[:2])]

    for module in [m for m in MODULES if m.startswith("grading.")]:
        targets = [ours(name) for name in imports(parsed(module), inside_functions=True)]
        above = [t for t in targets if t and t.startswith("grading.") and floor(t) > floor(module)]
        assert not above, f"{module} imports {above}"


def test_no_module_imports_itself_through_others() -> None:
    """Neither when it is loaded nor inside functions; but for the package, which loads what it names when asked."""
    below = {
        module: {ours(name) for name in imports(parsed(module), inside_functions=True)} & MODULES.keys() - {"", module}
        for module in MODULES
        if module
    }
    while leaves := {module for module, targets in below.items() if not targets & below.keys()}:
        below = {module: targets for module, targets in below.items() if module not in leaves}
    assert not below, f"circles among {sorted(below)}"


def test_the_table_of_the_readme_is_that_of_the_layers() -> None:
    text = README.read_text(encoding="utf-8")
    assert readme_with_table(text) == text, "run `python -m tests.layers --write`"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_are_loaded_where_they_are_used(module: str) -> None:
    at_the_top = {name.split(".")[0] for name in imports(parsed(module), inside_functions=False)} & HEAVY
    anywhere = {name.split(".")[0] for name in imports(parsed(module), inside_functions=True)} & HEAVY
    here = layer(module) if module else 0
    assert here is not None
    if here <= 3:
        assert not anywhere, f"{module} is in layer {here} and imports {anywhere}"
    if not any(module == name or module.startswith(f"{name}.") for name in HEAVY_AT_THE_TOP):
        assert not at_the_top, f"{module} imports {at_the_top} when it is imported; move that into a function"


def test_the_pure_layers_know_pydantic_and_a_distance_of_texts() -> None:
    found = set()
    for module in MODULES:
        number = layer(module)
        if module and number is not None and number <= 3:
            found |= {name.split(".")[0] for name in imports(parsed(module), inside_functions=True)}
    assert found - sys.stdlib_module_names - {"rstar_math"} == {"pydantic", "rapidfuzz"}


def test_the_pure_layers_do_no_io_and_await_nothing() -> None:
    forbidden = {"asyncio", "os", "pathlib", "subprocess", "socket", "threading", "multiprocessing", "io", "tempfile"}
    for module in MODULES:
        number = layer(module)
        if not module or number is None or number > 1:
            continue
        tree = ast.Module(parsed(module), [])
        assert not {n.split(".")[0] for n in imports(tree.body, inside_functions=True)} & forbidden, module
        for node in ast.walk(tree):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), module
            assert not (isinstance(node, ast.Name) and node.id == "open"), module


INSIDE = "execution.inside"
UNPACKED = [*(m for m in MODULES if m.startswith(INSIDE)), "execution.unconfined.worker"]
"""Files that are loaded by their paths into an interpreter that has no package."""


@pytest.mark.parametrize("module", UNPACKED)
def test_what_runs_in_the_sandbox_knows_the_standard_library_alone(module: str) -> None:
    for name in imports(parsed(module), inside_functions=True):
        known = name.split(".")[0] in sys.stdlib_module_names or f"{name}.".startswith(f"rstar_math.{INSIDE}.")
        assert known, f"{module} imports {name}"


def test_the_supervisor_shares_one_file_with_what_runs_in_the_sandbox() -> None:
    shared = {ours(name) for m in MODULES if m not in UNPACKED for name in imports(parsed(m), inside_functions=True)}
    assert {name for name in shared if name and name.startswith(INSIDE)} == {f"{INSIDE}.protocol"}


def loaded_by(*modules: str) -> set[str]:
    """Top-level names of everything that a fresh interpreter has loaded after importing modules."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_itself_loads_nothing() -> None:
    loaded = loaded_by("rstar_math")
    assert not loaded & (HEAVY | {"numpy", "pydantic", "rich", "typer", "asyncio", "yaml"})


def test_the_pure_layers_and_the_search_load_no_heavy_library() -> None:
    names = (
        "types",
        "selection.select",
        "search.choice",
        "metrics",
        "search.answer",
        "store.records",
        "config.reading",
    )
    loaded = loaded_by(*(f"rstar_math.{name}" for name in names))
    assert not loaded & (HEAVY | {"numpy"})


@pytest.mark.skipif(find_spec("rstar_math.cli") is None, reason="there is no command line yet")
def test_the_command_line_loads_no_heavy_library() -> None:
    assert not loaded_by("rstar_math.cli") & (HEAVY | {"numpy"})


def test_the_checks_themselves() -> None:
    assert layer("engines.base") == 2
    assert layer("engines.fake") == 4
    assert layer("search.mcts") == 3
    assert layer("nowhere") is None
    body = ast.parse(
        "import a.b\nif TYPE_CHECKING:\n    import t\n"
        "try:\n    from c import d\nexcept E:\n    import e\ndef f():\n    import g\n"
    ).body
    assert list(imports(body, inside_functions=False)) == ["a.b", "c.d", "e"]
    assert list(imports(body, inside_functions=True)) == ["a.b", "t", "c.d", "e", "g"]
    assert ours("rstar_math.types.Problem") == "types"
    assert ours("rstar_math.steps") == "steps"
    assert ours("torch.nn") is None
