"""Arrow schemas of the Parquet files, read off the dataclasses: a column of nulls alone has its type too."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from rstar_math.selection.scored_texts import ScoredText
from rstar_math.tree import Node
from rstar_math.types import Cost, Execution, PreferencePair, Problem, Trajectory

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_type(hint: Any) -> pa.DataType:
    """The Arrow type of a type hint: plain values, `X | None`, tuples of one type, literals of text, dataclasses."""
    import pyarrow as pa

    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in plain:
        return plain[hint]
    if is_dataclass(hint):
        return pa.struct(arrow_fields(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType or (origin is not None and type(None) in arguments):
        return arrow_type(next(a for a in arguments if a is not type(None)))
    if origin in (tuple, list):
        return pa.list_(arrow_type(arguments[0]))
    if origin is Literal:
        return pa.string()
    raise TypeError(f"no Arrow type for {hint}")


def arrow_fields(kind: Any, without: tuple[str, ...] = ()) -> list[pa.Field]:
    """A field for each of a dataclass's."""
    import pyarrow as pa

    hints = get_type_hints(kind)
    return [pa.field(f.name, arrow_type(hints[f.name])) for f in fields(kind) if f.name not in without]


def tree_schema() -> pa.Schema:
    """One row per tree (docs/formats.md)."""
    import pyarrow as pa

    node = [
        *arrow_fields(Node, without=("index", "depth", "step", "children")),
        *(pa.field(name, pa.string()) for name in ("text", "code", "observation", "answer")),
        pa.field("execution", arrow_type(Execution)),
    ]
    return pa.schema(
        [
            pa.field("format", pa.int64()),
            pa.field("problem", arrow_type(Problem)),
            pa.field("strategy", pa.string()),
            pa.field("seed", pa.int64()),
            pa.field("stopped", pa.string()),
            pa.field("rollouts", pa.list_(pa.int64())),
            pa.field("cost", arrow_type(Cost)),
            pa.field("nodes", pa.list_(pa.struct(node))),
        ]
    )


def pair_schema() -> pa.Schema:
    """One row per preference pair."""
    import pyarrow as pa

    return pa.schema(arrow_fields(PreferencePair))


def scored_text_schema() -> pa.Schema:
    """One row per text with a target."""
    import pyarrow as pa

    return pa.schema(arrow_fields(ScoredText))


def trajectory_schema() -> pa.Schema:
    """One row per trajectory, with its question, tier and tree."""
    import pyarrow as pa

    extra = [pa.field(name, pa.string()) for name in ("question", "tier", "tree")]
    return pa.schema([*arrow_fields(Trajectory), *extra])
