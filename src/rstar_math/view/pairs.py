"""Preference pairs, and the nodes that their two sides are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rstar_math.errors import DataError
from rstar_math.store.paths import shown
from rstar_math.view.index import read_part
from rstar_math.view.library import Held, NotFoundError, TreeSet
from rstar_math.view.one_tree import children_of, steps_to, texts_of

MAX_ROWS = 200
_LISTED = ("problem", "kind", "tree", "node", "chosen", "rejected", "chosen_q", "rejected_q", "weight")
_LISTED_CHARS = 200


def list_pairs(path: Path, problem: str, offset: int, limit: int) -> dict[str, Any]:
    """Preference pairs of a file, their texts cut.

    Args:
      path: the file.
      problem: of this problem alone; "": of all.
      offset, limit: which of them.

    Raises:
      DataError: it cannot be read.
    """
    table = read_part(path)
    _require(table.column_names, path)
    numbers = [i for i, p in enumerate(table["problem"].to_pylist()) if not problem or p == problem]
    chosen = numbers[offset : offset + min(limit, MAX_ROWS)]
    rows = table.select(_LISTED).take(pa.array(chosen, pa.int64())).to_pylist()
    for number, row in zip(chosen, rows, strict=True):
        row["number"] = number
        for side in ("chosen", "rejected"):
            row[side] = row[side][:_LISTED_CHARS]
    return {"num_found": len(numbers), "rows": rows}


def one_pair(path: Path, number: int, trees: TreeSet) -> dict[str, Any]:
    """A pair, and where its two sides stand.

    Returns:
      The columns of the pair; `sides`: for `chosen` and `rejected` the tree and the node, the node None where the
      tree does not have it any more.

    Raises:
      DataError: the pairs cannot be read.
      NotFoundError: there is no such pair, or its tree is gone.
    """
    table = read_part(path)
    _require(table.column_names, path)
    if not 0 <= number < table.num_rows:
        raise NotFoundError(f"there is no pair {number}; there are {table.num_rows}, numbered from 0")
    pair: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
    sides = {}
    for side in ("chosen", "rejected"):
        tree = (pair.get("rejected_tree") if side == "rejected" else None) or pair["tree"]
        held = trees.held(tree)
        node = _step(held, pair["node"], pair[side]) if pair["kind"] == "step" else _answer(held, pair[side])
        sides[side] = {"tree": tree, "node": node}
    return {**pair, "number": number, "num_pairs": table.num_rows, "sides": sides}


def _step(held: Held, node: int, text: str) -> int | None:
    """The candidate of a node with this text."""
    children = children_of(held, node)
    for i, (own, observation) in zip(children, texts_of(held, children), strict=True):
        if text in (own + observation, own):
            return i
    return None


def _answer(held: Held, text: str) -> int | None:
    """The end of the whole solution with this text."""
    for i in dict.fromkeys(held.table["rollouts"][held.row].as_py()):
        if "".join(s["text"] + s["observation"] for s in steps_to(held, i)) == text:
            return int(i)
    return None


def _require(columns: Sequence[str], path: Path) -> None:
    if missing := [name for name in _LISTED if name not in columns]:
        raise DataError(f"{shown(path)} holds no preference pairs (missing: {', '.join(missing)})")
