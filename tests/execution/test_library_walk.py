"""The walk through the libraries: what it finds is what is checked in, and what workers admit is none of it."""

from __future__ import annotations

import pytest

from tests.execution import library_walk
from tests.execution.library_walk import RESULT, as_text, from_text, run_in_child

ADMITTED_ALL_THE_SAME = {
    # text that the function itself has written, and that no program can add to; the guard knows it by name
    "numpy.vectorize": "it keeps a program's function in an object of the program's",
    # these take solvers and rules, which `libraries.refuse` has them take by name alone
    "mpmath.findroot": "solvers by name alone",
    "mpmath.quad": "rules by name alone",
}
"""Admitted names that the walk finds, and why that is no harm."""


@pytest.fixture(scope="module")
def checked_in() -> tuple[str, dict[str, list[str]]]:
    return from_text(RESULT.read_text("utf-8"))


def test_the_walk_finds_what_is_checked_in(checked_in: tuple[str, dict[str, list[str]]]) -> None:
    again = run_in_child("walk")
    assert again["versions"] == checked_in[0], (
        "the libraries have other versions than those that were looked at. Run `python -m tests.execution.library_walk "
        "--write`, read the difference of library_walk.txt, and see whether execution/inside/allowlist.py and "
        "execution/inside/libraries.py still hold (docs/execution.md, When a library changes)"
    )
    assert as_text(again["found"], again["versions"]) == RESULT.read_text("utf-8")


def test_the_walk_finds_what_attackers_found(checked_in: tuple[str, dict[str, list[str]]]) -> None:
    found = checked_in[1]
    for kind, names in {
        "text": ["sympy.parsing.sympy_parser:eval_expr", "mpmath.identification:identify", "collections:namedtuple"],
        "dictionary": ["mpmath.calculus.optimization:findroot", "mpmath.calculus.quadrature:QuadratureMethods.quad"],
        "cache": ["mpmath.calculus.quadrature:QuadratureRule.get_nodes", "sympy.series.order:Order.__new__"],
        "memory": ["numpy.lib._arraypad_impl:_pad_simple"],
        "untyped lru_cache": ["sympy.core.intfunc:igcd"],
    }.items():
        assert set(names) <= set(found[kind]), kind


def test_no_admitted_function_runs_text_or_gives_its_own_away(checked_in: tuple[str, dict[str, list[str]]]) -> None:
    bad = {*checked_in[1]["text"], *checked_in[1]["dictionary"]}
    admitted = run_in_child("admitted")
    assert len(admitted) > 300
    found = {name for function, name in admitted.items() if function in bad}
    assert found - ADMITTED_ALL_THE_SAME.keys() == set()


def test_no_admitted_function_shows_memory_of_others() -> None:
    """With an allocator that fills memory with a pattern; `empty` and `pad` show that it would be seen."""
    names = run_in_child("numpy")
    assert len(names) > 150
    found = run_in_child("memory", "empty", "empty_like", "pad", *names, perturb=True)
    assert found == ["empty", "empty_like", "pad"]


def test_the_file_survives_being_read() -> None:
    of, found = from_text(RESULT.read_text("utf-8"))
    assert as_text(found, of) == RESULT.read_text("utf-8")
    assert set(found) == set(library_walk.KINDS)
