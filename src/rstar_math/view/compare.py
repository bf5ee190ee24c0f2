"""Two searches, runs or strategies on the same problems: who solves what, and how sure the difference is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rstar_math.intervals import difference, estimate
from rstar_math.store.paths import shown
from rstar_math.store.result_rows import read_results
from rstar_math.view.library import Library, NotFoundError

MAX_ROWS = 500


@dataclass(frozen=True, slots=True)
class Side:
    """One of two that are compared.

    Attributes:
      name: in addresses: the name of a set of trees, or of rows with model, method and budget behind it.
      kind: "trees" or "rows".
      outcomes: problem -> share of its trees, or rows, that solve it, in [0, 1].
      questions: problem -> its text, as far as it is known.
    """

    name: str
    kind: str
    outcomes: dict[str, float]
    questions: dict[str, str]


def sides(library: Library) -> list[dict[str, str]]:
    """All that can be compared: `name`, `kind`."""
    found = [{"name": name, "kind": "trees"} for name in library.tree_sets()]
    for place in library.places():
        for within in place.rows:
            groups = _groups(library, f"{place.name}/{within}")
            found += [{"name": name, "kind": "rows"} for name in groups]
    return found


def side(library: Library, name: str) -> Side:
    """One of two to compare, by its name.

    Raises:
      NotFoundError: there is none.
      DataError: its files cannot be read.
    """
    if name in library.tree_sets():
        table = library.trees(name).problems().table
        shares = zip(table["num_solved"].to_pylist(), table["num_trees"].to_pylist(), strict=True)
        problems = table["problem"].to_pylist()
        outcomes = {p: float(solved > 0) for p, (solved, _) in zip(problems, shares, strict=True)}
        questions = dict(zip(problems, table["question"].to_pylist(), strict=True))
        return Side(name, "trees", outcomes, questions)
    groups = _groups(library, name.partition("|")[0])
    if name not in groups:
        raise NotFoundError(f"there is nothing called {shown(name)} to compare")
    by_problem: dict[str, list[float]] = {}
    for row in groups[name]:
        if row["correct"] is not None:
            by_problem.setdefault(row["problem"], []).append(float(row["correct"]))
    return Side(name, "rows", {p: sum(v) / len(v) for p, v in by_problem.items()}, {})


def compare(library: Library, a: str, b: str, kind: str, offset: int, limit: int) -> dict[str, Any]:
    """Two sides on the problems that both have.

    Args:
      library: where they are.
      a, b: names of sides.
      kind: "a", "b", "both", "neither" for the problems that only A, only B, both or neither solves; "": all.
      offset, limit: which problems.

    Returns:
      `counts` of the four kinds; `a`, `b`: share solved; `difference` with `low` and `high` of its paired 95 % interval
      over problems, None where no problem is in both; `rows`: `problem`, `question`, `a`, `b`, `kind`.
    """
    left, right = side(library, a), side(library, b)
    common = [p for p in left.outcomes if p in right.outcomes]
    rows = [
        {
            "problem": p,
            "question": left.questions.get(p) or right.questions.get(p),
            "a": left.outcomes[p],
            "b": right.outcomes[p],
            "kind": _kind(left.outcomes[p], right.outcomes[p]),
        }
        for p in common
    ]
    counts = {name: sum(row["kind"] == name for row in rows) for name in ("a", "b", "both", "neither")}
    wanted = [row for row in rows if not kind or row["kind"] == kind]
    cells = {(0, p): (left.outcomes[p], right.outcomes[p]) for p in common}
    interval = estimate(cells, difference).interval if cells else None
    return {
        "num_common": len(common),
        "num_a": len(left.outcomes),
        "num_b": len(right.outcomes),
        "kinds": {"a": left.kind, "b": right.kind},
        "counts": counts,
        "a": sum(left.outcomes[p] for p in common) / len(common) if common else None,
        "b": sum(right.outcomes[p] for p in common) / len(common) if common else None,
        "difference": interval and {"value": interval.value, "low": interval.low, "high": interval.high},
        "num_found": len(wanted),
        "rows": wanted[offset : offset + min(limit, MAX_ROWS)],
    }


def _kind(a: float, b: float) -> str:
    solved_a, solved_b = a > 0.5, b > 0.5
    return {(True, False): "a", (False, True): "b", (True, True): "both", (False, False): "neither"}[solved_a, solved_b]


def _groups(library: Library, rows: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a file by model, method and budget; a file of one such group is called by its own name."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, row in _named(library, rows):
        groups.setdefault(name, []).append(row)
    return {rows: next(iter(groups.values()))} if len(groups) == 1 else groups


def _named(library: Library, rows: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in read_results(library.rows(rows)):
        budget = " ".join(f"{k}={v:g}" for k, v in (row.get("budget") or {}).items())
        parts = (rows, row["model"], row.get("method") or row["strategy"], budget)
        yield "|".join(part for part in parts if part), row
