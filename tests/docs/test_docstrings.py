"""Everything public says what it is, and which errors of this package it raises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rstar_math import errors
from rstar_math.cli.app import app
from tests.test_layers import MODULES, parsed

Function = ast.FunctionDef | ast.AsyncFunctionDef

COMMANDS = {
    f"{command.callback.__module__.removeprefix('rstar_math.')}: {command.callback.__name__}"
    for commands in (app, *(group.typer_instance for group in app.registered_groups))
    if commands is not None
    for command in commands.registered_commands
    if command.callback is not None
}
"""What they say is the help of `rstar`; their errors are shown by `rstar_math.cli.boundary`."""

ERRORS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
"""The errors of the package by name."""


STILL_SILENT = {
    "metrics: Interval.excludes_zero",
    "search.environment: Environment.has_reward_model",
    "search.ab_mcts: ab_mcts raises ConfigError",
    "search.environment: Environment.score raises ConfigError",
    "search.forest: forest raises ConfigError",
    "training.packing: TrieRow.num_tokens",
}
"""Names without a word so far. This list only becomes shorter."""


@dataclass(frozen=True)
class Place:
    """A public function or class of a module, and the class that a method belongs to."""

    module: str
    node: Function | ast.ClassDef
    owner: ast.ClassDef | None = None

    @property
    def name(self) -> str:
        return f"{self.module}: {f'{self.owner.name}.' if self.owner else ''}{self.node.name}"

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def inherited(self) -> str:
        return inherited_doc(self.module, self.owner, self.node.name)


def is_setter(node: Function) -> bool:
    """Whether a method sets a property, which says itself what it is."""
    return any(ast.unparse(decorator).endswith(".setter") for decorator in node.decorator_list)


def public(module: str) -> Iterator[Place]:
    """The public names of a module, those of its public classes too; what a class inherits is not among them."""
    for node in parsed(module):
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield Place(module, node)
            if isinstance(node, ast.ClassDef):
                members = [n for n in node.body if isinstance(n, Function) and not is_setter(n)]
                yield from (Place(module, n, node) for n in members if n.name == "__init__" or n.name[0] != "_")


CLASSES = [(module, node) for module in MODULES for node in parsed(module) if isinstance(node, ast.ClassDef)]


def inherited_doc(module: str, owner: ast.ClassDef | None, name: str) -> str:
    """What a base class of this package says of a method; of classes with the same name, the one of this module."""
    for base in owner.bases if owner else ():
        named = [(at, c) for at, c in CLASSES if c.name == ast.unparse(base).partition("[")[0]]
        for at, found in sorted(named, key=lambda pair: pair[0] != module)[:1]:
            own = [ast.get_docstring(n) for n in found.body if isinstance(n, Function) and n.name == name]
            if text := next(filter(None, own), "") or inherited_doc(at, found, name):
                return text
    return ""


def raised(node: Function) -> set[str]:
    """Errors of this package that a function raises itself, not in functions inside it."""
    found = set()
    nodes: list[ast.AST] = list(node.body)
    while nodes:
        inner = nodes.pop()
        if isinstance(inner, ast.Raise) and inner.exc is not None:
            kind = inner.exc.func if isinstance(inner.exc, ast.Call) else inner.exc
            if isinstance(kind, ast.Name) and kind.id in ERRORS:
                found.add(kind.id)
        if not isinstance(inner, Function | ast.Lambda | ast.ClassDef):
            nodes += ast.iter_child_nodes(inner)
    return found


def names_error(text: str, name: str) -> bool:
    """Whether a text names an error, or one that it is a kind of."""
    return any(issubclass(ERRORS[name], kind) and other in text for other, kind in ERRORS.items())


PARTS = sorted({module.split(".")[0] for module in MODULES if module})


def places(part: str) -> list[Place]:
    return [p for module in MODULES if module.split(".")[0] == part for p in public(module)]


@pytest.mark.parametrize("part", PARTS)
def test_everything_public_says_what_it_is(part: str) -> None:
    silent = [p.name for p in places(part) if p.node.name != "__init__" and not p.doc and not p.inherited]
    assert [name for name in silent if name not in STILL_SILENT] == []


@pytest.mark.parametrize("part", PARTS)
def test_errors_that_are_raised_are_named(part: str) -> None:
    silent = []
    for place in places(part):
        if isinstance(place.node, ast.ClassDef) or place.name in COMMANDS:
            continue
        of_class = ast.get_docstring(place.owner) or "" if place.owner else ""
        text = place.doc + place.inherited + of_class * (place.node.name == "__init__")
        silent += [f"{place.name} raises {name}" for name in sorted(raised(place.node)) if not names_error(text, name)]
    assert [line for line in silent if line not in STILL_SILENT] == []


@pytest.mark.parametrize("part", PARTS)
def test_every_module_says_what_it_holds(part: str) -> None:
    modules = {m: parsed(m) for m in MODULES if m.split(".")[0] == part}
    assert [m for m, body in modules.items() if body and not ast.get_docstring(ast.Module(body, []))] == []


def test_the_checks_themselves() -> None:
    node = ast.parse("def f():\n    def g():\n        raise DataError('x')\n    raise ConfigError('y')").body[0]
    assert isinstance(node, ast.FunctionDef)
    assert raised(node) == {"ConfigError"}
    assert names_error("Raises:\n  UserError: no", "ConfigError")
    assert not names_error("Raises:\n  ModelError: no", "ConfigError")
