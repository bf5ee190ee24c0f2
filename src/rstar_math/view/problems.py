"""The problems of a set of trees: one row each, filtered, searched and sorted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

MAX_ROWS = 500
"""Most rows of one page."""

SORTS = (
    *("order", "problem", "tier", "num_trees", "num_solved", "num_rollouts", "num_nodes", "share_correct"),
    *("disagreement", "tokens"),
)
"""What problems can be sorted by."""

Solved = Literal["", "yes", "no"]


@dataclass(frozen=True, slots=True)
class Query:
    """Which problems, in which order.

    Attributes:
      text: words that must all stand in the question, the id, the reference or a found answer, without regard to case.
      tier: of this tier alone; "": of any.
      solved: "yes", "no", or "" for both.
      suspect: only those whose reference is suspected to be wrong.
      sort: one of `SORTS`; "order": as they were searched.
      descending: from the largest to the smallest.
      offset, limit: which rows of the outcome.
    """

    text: str = ""
    tier: str = ""
    solved: Solved = ""
    suspect: bool = False
    sort: str = "order"
    descending: bool = False
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What a query gives.

    Attributes:
      num_all: problems of the set.
      num_found: that the query fits.
      rows: those asked for, as JSON-able mappings.
      tiers: of the whole set.
    """

    num_all: int
    num_found: int
    rows: list[dict[str, Any]]
    tiers: list[str]


class Problems:
    """The problems of an index, grouped from its trees."""

    def __init__(self, trees: pa.Table, suspects: Iterable[str] = ()) -> None:
        """Groups trees by problem.

        Args:
          trees: rows of `rstar_math.view.index.SCHEMA`.
          suspects: ids of problems whose reference is suspected to be wrong.
        """
        self._table = _grouped(trees, list(suspects))

    @property
    def table(self) -> pa.Table:
        """One row a problem."""
        return self._table

    def query(self, query: Query) -> Found:
        """The problems that a query asks for."""
        table = self._table
        tiers = sorted(t for t in pc.unique(table["tier"]).to_pylist() if t is not None)
        mask = _mask(table, query)
        found = table if mask is None else table.filter(mask)
        order = "descending" if query.descending else "ascending"
        if query.sort in SORTS and (query.sort != "order" or query.descending):
            keys = [(query.sort, order)] if query.sort == "order" else [(query.sort, order), ("order", "ascending")]
            found = found.take(pc.select_k_unstable(found, query.offset + min(query.limit, MAX_ROWS), keys))
            num_found = table.num_rows if mask is None else pc.sum(mask).as_py() or 0
        else:
            num_found = found.num_rows
        rows = found.slice(query.offset, min(query.limit, MAX_ROWS)).drop_columns(["haystack"]).to_pylist()
        return Found(table.num_rows, num_found, rows, tiers)


def _mask(table: pa.Table, query: Query) -> Any:
    wanted = [pc.match_substring(table["haystack"], word) for word in query.text.lower().split()[:8]]
    if query.tier:
        wanted.append(pc.fill_null(pc.equal(table["tier"], query.tier), False))
    if query.solved:
        solved = pc.greater(table["num_solved"], 0)
        wanted.append(solved if query.solved == "yes" else pc.invert(solved))
    if query.suspect:
        wanted.append(table["suspect"])
    mask = None
    for condition in wanted:
        mask = condition if mask is None else pc.and_(mask, condition)
    return mask


def _grouped(trees: pa.Table, suspects: list[str]) -> pa.Table:
    trees = trees.append_column("solved", pc.cast(pc.greater(trees["num_correct"], 0), pa.int64()))
    firsts = ("question", "reference", "tier", "part", "source")
    sums = ("num_rollouts", "num_nodes", "num_correct", "tokens", "solved")
    grouped = trees.group_by("problem", use_threads=False).aggregate(
        [*((name, "first") for name in firsts), *((name, "sum") for name in sums), ("tree", "count")]
    )
    renamed = {f"{name}_first": name for name in firsts} | {f"{name}_sum": name for name in sums}
    renamed |= {"tree_count": "num_trees", "solved_sum": "num_solved"}
    grouped = grouped.rename_columns([renamed.get(name, name) for name in grouped.column_names])
    n = grouped.num_rows
    rollouts = pc.cast(grouped["num_rollouts"], pa.float64())
    share = pc.if_else(pc.greater(rollouts, 0), pc.divide(grouped["num_correct"], rollouts), None)
    grouped = grouped.append_column("share_correct", share)
    grouped = grouped.append_column("order", pa.array(range(n), pa.int64()))
    grouped = grouped.append_column("suspect", pc.is_in(grouped["problem"], value_set=pa.array(suspects, pa.string())))
    answers = _answers_by_problem(trees)
    places = pc.index_in(grouped["problem"], value_set=answers["problem"].combine_chunks())
    grouped = grouped.append_column("disagreement", answers["disagreement"].take(places))
    haystack = pc.binary_join_element_wise(
        *(pc.fill_null(grouped[name], "") for name in ("problem", "question", "reference")),
        pc.fill_null(answers["said"].take(places), ""),
        "\n",
    )
    return grouped.append_column("haystack", pc.utf8_lower(haystack)).combine_chunks()


def _answers_by_problem(trees: pa.Table) -> pa.Table:
    """Of each problem with an answer: `disagreement`, the share of answers that are not the most frequent one."""
    parents = pc.list_parent_indices(trees["answers"].combine_chunks())
    flat = pa.table(
        {
            "problem": trees["problem"].combine_chunks().take(parents),
            "answer": pc.list_flatten(trees["answers"].combine_chunks()),
            "count": pc.list_flatten(trees["counts"].combine_chunks()),
        }
    )
    by_answer = flat.group_by(["problem", "answer"], use_threads=False).aggregate([("count", "sum")])
    said = by_answer.group_by("problem", use_threads=False).aggregate(
        [("count_sum", "max"), ("count_sum", "sum"), ("answer", "list")]
    )
    most = pc.divide(pc.cast(said["count_sum_max"], pa.float64()), said["count_sum_sum"])
    return pa.table(
        {
            "problem": said["problem"],
            "disagreement": pc.subtract(1.0, most),
            "said": pc.binary_join(said["answer_list"], "\n"),
        }
    )
