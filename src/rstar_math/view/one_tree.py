"""One tree as the page draws it: a column of numbers for each field of its nodes, and the texts of single nodes.

Columns are little-endian arrays in base64. A tree of 50,000 nodes is 2 MB so, and neither side walks over its nodes
one by one.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rstar_math.errors import DataError
from rstar_math.view.labels import label
from rstar_math.view.library import Held, NotFoundError

TERMINALS = ("answer", "dead_end", "depth_limit")
STATUSES = ("ok", "error", "cpu_limit", "wall_limit", "memory_limit", "output_limit", "killed")
_LABELLED_CHARS = 400


def columns(held: Held) -> dict[str, Any]:
    """A tree for the page: what it is of, and its nodes by columns.

    Returns:
      `id`, `problem`, `strategy`, `seed`, `stopped`, `cost`, `rollouts`; `num_nodes`; `columns`: name -> base64 of
      `[num_nodes]` numbers (`parent`, `visits`, `proposed`, `tokens`: int32; `value_sum`, `score`, `logprob`: float32,
      not a number where there is none; `flags`, `status`: uint8; `label`: int32); `labels`: what `label` counts.
      Bits of `flags`: 0-1 terminal (0 none, else 1 + place in `TERMINALS`), 2 graded, 3 correct, 4 rejected, 5 closed,
      6 expanded. `status` is 0 without an execution, else 1 + place in `STATUSES`.

    Raises:
      DataError: the tree cannot be read.
    """
    try:
        return _columns(held)
    except (pa.ArrowException, KeyError, ValueError, IndexError) as error:
        raise DataError(f"a tree cannot be read: {str(error)[:200]}") from error


def _columns(held: Held) -> dict[str, Any]:
    row = held.table.slice(held.row, 1)
    nodes = _nodes(held)

    def of(name: str) -> pa.Array:
        return nodes.field(name)

    n = len(nodes)
    correct = of("correct")
    flags = np.zeros(n, np.uint8)
    flags |= _code(of("terminal"), TERMINALS)
    for bit, values in (
        (2, pc.is_valid(correct)),
        (3, pc.fill_null(correct, False)),
        (4, pc.is_valid(of("rejected"))),
        (5, pc.fill_null(of("closed"), False)),
        (6, pc.fill_null(of("expanded"), False)),
    ):
        flags |= values.to_numpy(zero_copy_only=False).astype(np.uint8) << bit
    labels = _labels(of("text"), of("answer")).dictionary_encode()
    return {
        "id": f"{row['problem'][0].as_py()['id']}@{row['seed'][0].as_py()}",
        "problem": row["problem"][0].as_py(),
        **{name: row[name][0].as_py() for name in ("strategy", "seed", "stopped", "cost", "rollouts")},
        "num_nodes": n,
        "columns": {
            "parent": _packed(of("parent"), "<i4"),
            "visits": _packed(of("visit_count"), "<i4"),
            "proposed": _packed(of("num_proposed"), "<i4"),
            "tokens": _packed(of("num_tokens"), "<i4"),
            "value_sum": _packed(of("value_sum"), "<f4"),
            "score": _packed(of("ppm_score"), "<f4"),
            "logprob": _packed(of("logprob"), "<f4"),
            "flags": _base64(flags),
            "status": _base64(_code(_status(of("execution")), STATUSES)),
            "label": _packed(labels.indices, "<i4"),
        },
        "labels": labels.dictionary.to_pylist(),
    }


def steps_to(held: Held, node: int) -> list[dict[str, Any]]:
    """A node and those above it, from the first step on: all that is known of each, texts included.

    Raises:
      NotFoundError: there is no such node.
    """
    nodes = _nodes(held)
    parents = nodes.field("parent").to_numpy(zero_copy_only=False)
    if not 0 <= node < len(nodes):
        raise NotFoundError(f"the tree has no node {node}; it has {len(nodes)}, numbered from 0")
    path: list[int] = []
    at = node
    while at > 0 and len(path) < len(nodes):
        path.append(at)
        at = int(parents[at])
    return [{"index": i, **nodes[i].as_py()} for i in reversed(path)]


def all_nodes(held: Held) -> list[dict[str, Any]]:
    """All nodes with what `steps_to` says of each; the root first."""
    return [{"index": i, **node} for i, node in enumerate(_nodes(held).to_pylist())]


def children_of(held: Held, node: int) -> list[int]:
    """The candidates of a node, in the order in which they were proposed."""
    found: list[int] = np.flatnonzero(_nodes(held).field("parent").to_numpy(zero_copy_only=False) == node).tolist()
    return found


def texts_of(held: Held, indices: list[int]) -> list[tuple[str, str]]:
    """The text of each node, and its observation."""
    nodes = _nodes(held)
    return [(nodes[i].as_py()["text"], nodes[i].as_py()["observation"]) for i in indices]


def _nodes(held: Held) -> pa.StructArray:
    column = held.table["nodes"].slice(held.row, 1)
    return column.chunk(0).flatten()


def _labels(texts: pa.Array, answers: pa.Array) -> pa.Array:
    """The label of each node. Long texts are cut first, equal ones labelled once."""
    has_answer = pc.is_valid(answers)
    cut = pc.if_else(has_answer, "", pc.utf8_slice_codeunits(texts, 0, _LABELLED_CHARS)).dictionary_encode()
    of_text = pa.array([label(text) for text in cut.dictionary.to_pylist()], pa.string())
    labels = of_text.take(cut.indices)
    of_answers = pa.array([label("", a) if a is not None else None for a in answers.to_pylist()], pa.string())
    return pc.if_else(has_answer, of_answers, labels)


def _status(executions: pa.StructArray) -> pa.Array:
    return pc.if_else(pc.is_valid(executions), executions.field("status"), None)


def _code(values: pa.Array, names: tuple[str, ...]) -> Any:
    """`[n]` uint8: 1 + the place of each name, 0 for null and for others."""
    places = pc.index_in(values, value_set=pa.array(names))
    return (pc.fill_null(places, -1).to_numpy(zero_copy_only=False) + 1).astype(np.uint8)


def _packed(values: pa.Array, dtype: str) -> str:
    return _base64(np.asarray(values.to_numpy(zero_copy_only=False), dtype=dtype))


def _base64(array: Any) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
