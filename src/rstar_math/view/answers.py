"""What the pages ask for, by name: from the words of an address to a JSON-able answer. Files are read, nothing is sent.

`rstar view` answers these over HTTP (`rstar_math.view.app`); an exported page holds the answers themselves
(`rstar_math.view.export`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from rstar_math.errors import DataError, UserError
from rstar_math.store.files import read_json
from rstar_math.store.journal import read_journal
from rstar_math.store.result_rows import read_results
from rstar_math.store.round import EVENTS_FILE
from rstar_math.view.compare import compare, sides
from rstar_math.view.library import Library, NotFoundError
from rstar_math.view.one_tree import children_of, columns, steps_to
from rstar_math.view.pairs import list_pairs, one_pair
from rstar_math.view.problems import SORTS, Query

Words = Mapping[str, str]
"""The words of an address behind its question mark."""

_MAX_OFFSET = 10_000_000
_MAX_EVENTS = 200
_MAX_ROWS = 200
_OF_ROWS = (
    *("problem", "model", "method", "strategy", "tier", "reference", "answer", "correct", "any_correct"),
    *("confidence", "solution", "tokens_generated", "num_rollouts", "seconds"),
)


class Answers:
    """Answers about what a library holds."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.known: dict[str, Callable[[Words], dict[str, Any]]] = {
            "places": self.places,
            "run": self.run,
            "problems": self.problems,
            "trees": self.trees,
            "tree": self.tree,
            "node": self.node,
            "pairs": self.pairs,
            "pair": self.pair,
            "sides": self.sides,
            "compare": self.compare,
            "rows": self.rows,
        }

    def places(self, words: Words) -> dict[str, Any]:
        """What there is: places, and the names of their sets."""
        return {
            "places": [
                {
                    "name": p.name,
                    "kind": p.kind,
                    "trees": [f"{p.name}/{name}" for name in p.trees],
                    "pairs": [f"{p.name}/{name}" for name in p.pairs],
                    "rows": [f"{p.name}/{name}" for name in p.rows],
                }
                for p in self.library.places()
            ]
        }

    def run(self, words: Words) -> dict[str, Any]:
        """A run: its report as far as there is one, its last events, its sets with their counts.

        Raises:
          NotFoundError: there is no such place.
        """
        name = _word(words, "place")
        place = next((p for p in self.library.places() if p.name == name), None)
        if place is None:
            raise NotFoundError(f"there is no place {name[:200]}")
        report: Any = None
        if (place.path / "report.json").is_file():
            try:
                report = read_json(place.path / "report.json")
            except DataError:
                report = None  # being written, or damaged: `rstar report` says more
        events = read_journal(place.path / EVENTS_FILE).rows if place.kind == "run" else ()
        counts = []
        for within in place.trees:
            table = self.library.trees(f"{name}/{within}").problems().table
            counts.append(
                {
                    "name": f"{name}/{within}",
                    "num_problems": table.num_rows,
                    "num_solved": sum(n > 0 for n in table["num_solved"].to_pylist()),
                    "num_trees": sum(table["num_trees"].to_pylist()),
                    "tokens": sum(table["tokens"].to_pylist()),
                }
            )
        return {
            "name": name,
            "kind": place.kind,
            "report": report,
            "events": list(events[-_MAX_EVENTS:]),
            "sets": counts,
            "pairs": [f"{name}/{within}" for within in place.pairs],
            "rows": [f"{name}/{within}" for within in place.rows],
        }

    def problems(self, words: Words) -> dict[str, Any]:
        """The problems of a set of trees that a query asks for.

        Raises:
          UserError: it asks for another order than there is.
        """
        sort, solved = words.get("sort", "order"), words.get("solved", "")
        if sort not in SORTS or solved not in ("", "yes", "no"):
            raise UserError(f"problems are sorted by {', '.join(SORTS)}; solved is yes, no or empty")
        query = Query(
            text=words.get("text", "")[:400],
            tier=words.get("tier", ""),
            solved=solved,  # type: ignore[arg-type]
            suspect=words.get("suspect") == "1",
            sort=sort,
            descending=words.get("descending") == "1",
            offset=_number(words, "offset"),
            limit=_number(words, "limit", 100),
        )
        return asdict(self.library.trees(_word(words, "set")).problems().query(query))

    def trees(self, words: Words) -> dict[str, Any]:
        """The trees of a problem in a set, and the other sets that have it."""
        name, problem = _word(words, "set"), _word(words, "problem")
        rows = self.library.trees(name).trees_of(problem)
        for row in rows:
            del row["file"], row["row"]
        elsewhere = {}
        for other in self.library.tree_sets():
            if other != name and (found := self.library.trees(other).trees_of(problem)):
                elsewhere[other] = [row["tree"] for row in found]
        return {"trees": rows, "elsewhere": elsewhere}

    def tree(self, words: Words) -> dict[str, Any]:
        """A tree by columns."""
        return columns(self.library.trees(_word(words, "set")).held(_word(words, "tree")))

    def node(self, words: Words) -> dict[str, Any]:
        """A node, and the program that leads to it."""
        held = self.library.trees(_word(words, "set")).held(_word(words, "tree"))
        index = _number(words, "node")
        return {"steps": steps_to(held, index), "children": children_of(held, index)}

    def pairs(self, words: Words) -> dict[str, Any]:
        """Preference pairs of a set of trees."""
        path = self.library.pairs(_word(words, "set"))
        return list_pairs(path, words.get("problem", ""), _number(words, "offset"), _number(words, "limit", 100))

    def pair(self, words: Words) -> dict[str, Any]:
        """A preference pair, and its two nodes."""
        name = _word(words, "set")
        return one_pair(self.library.pairs(name), _number(words, "number"), self.library.trees(name))

    def sides(self, words: Words) -> dict[str, Any]:
        """What can be compared."""
        return {"sides": sides(self.library)}

    def compare(self, words: Words) -> dict[str, Any]:
        """Who solves what of two."""
        a, b, kind = _word(words, "a"), _word(words, "b"), words.get("kind", "")
        return compare(self.library, a, b, kind, _number(words, "offset"), _number(words, "limit", 100))

    def rows(self, words: Words) -> dict[str, Any]:
        """Result rows of an evaluation: the last ones first."""
        wanted = words.get("text", "").lower()
        correct = {"yes": True, "no": False}.get(words.get("solved", ""))
        rows = [
            row
            for row in reversed(read_results(self.library.rows(_word(words, "rows"))).rows)
            if (correct is None or row["correct"] is correct)
            and (not wanted or wanted in f"{row['problem']} {row['answer']} {row['reference']}".lower())
        ]
        offset, limit = _number(words, "offset"), min(_number(words, "limit", 100), _MAX_ROWS)
        return {
            "num_found": len(rows),
            "rows": [{name: row.get(name) for name in _OF_ROWS} for row in rows[offset : offset + limit]],
        }


def finite(value: Any) -> Any:
    """The value without numbers that JSON does not have."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value] if not (value and isinstance(value[0], str)) else value
    return value


def _word(words: Words, name: str) -> str:
    if not (value := words.get(name, "")):
        raise UserError(f"the address lacks {name}=")
    return value


def _number(words: Words, name: str, default: int = 0) -> int:
    text = words.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= _MAX_OFFSET):
        raise UserError(f"{name} must be a number from 0 to {_MAX_OFFSET}")
    return int(text[:9])
