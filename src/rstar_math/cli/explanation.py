"""A recipe key by key, as `rstar explain` prints it: what differs from the paper and from the released code first."""

from __future__ import annotations

import json as json_format
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.padding import Padding
from rich.table import Table

from rstar_math.config.explain import ExplainedKey, Explanation, Reference
from rstar_math.config.reading import RECIPES
from rstar_math.terminal.console import Console, Text

_PIPED_WIDTH = 160
_MIN_TABLE_WIDTH = 120
"""Columns from which on the tables break no name and no value."""
_DIFFERS = "bold yellow"


def for_output() -> Console:
    """Standard output, wide where it goes into a pipe."""
    console = Console()
    has_width = console.is_terminal or "COLUMNS" in os.environ
    return console if has_width else Console(width=_PIPED_WIDTH)


def to_json(explanation: Explanation) -> dict[str, object]:
    """An explanation as JSON has it (docs/formats.md)."""
    return {
        "format": 1,
        "recipe": explanation.name,
        "files": [str(path) for path in explanation.files],
        "keys": [
            {
                "key": key.key,
                "value": key.value,
                "source": str(key.source) if key.source else "default",
                "description": key.description,
                "paper": _reference_json(key.paper),
                "released": _reference_json(key.released),
            }
            for key in explanation.keys
        ],
    }


def _reference_json(reference: Reference) -> dict[str, object]:
    if reference.agreement == "silent":
        return {"agreement": "silent"}
    return {"agreement": reference.agreement, "value": reference.value, "where": reference.where}


def print_explanation(console: Console, explanation: Explanation) -> None:
    """Prints two tables: the keys that differ from what was published, and all others. Equal rounds share a row."""
    rows = merge_rounds(explanation.keys)
    differing = [row for row in rows if row.first.differs]
    counts = {
        name: sum(getattr(key, attribute).agreement == "differs" for key in explanation.keys)
        for name, attribute in (("the paper", "paper"), ("the released code", "released"))
    }
    files = ", ".join(label(path) for path in explanation.files)
    console.print(f"Recipe {explanation.name}: {files}", soft_wrap=True)
    told = "; ".join(f"{count or 'none'} differ from {name}" for name, count in counts.items())
    console.print(f"{len(explanation.keys)} keys; {told}\n")
    others = [row for row in rows if not row.first.differs]
    if console.width < _MIN_TABLE_WIDTH:
        _print_below_one_another(console, _DIFFERENCES, differing)
        _print_below_one_another(console, _OTHERS, others)
        return
    if differing:
        console.print(_differences(differing))
        console.print()
    console.print(_others(others))


@dataclass(frozen=True, slots=True)
class Row:
    """A key, or the same key of several rounds that have all in common.

    Attributes:
      group: what stands before the last dot; `rounds[*].search` for any rounds.
      name: what stands behind it.
      rounds: which rounds, `rounds[0-2]`; empty for all rounds, and for a key that belongs to none.
      first: the key of the first of them.
    """

    group: str
    name: str
    rounds: str
    first: ExplainedKey


_DIFFERENCES = "Differs from the paper or from the released code"
_OTHERS = "All other keys"

_ROUND = re.compile(r"rounds\[(\d+)\]")


def merge_rounds(keys: Iterable[ExplainedKey]) -> list[Row]:
    """Rows of a table: neighbouring rounds with the same value, source and references share one."""
    runs: dict[str, list[list[ExplainedKey]]] = {}
    num_rounds = 1
    for key in keys:
        match = _ROUND.match(key.key)
        num_rounds = max(num_rounds, int(match[1]) + 1) if match else num_rounds
        found = runs.setdefault(_ROUND.sub("rounds[*]", key.key), [])
        if match and found and _alike(found[-1][0], key):
            found[-1].append(key)
        else:
            found.append([key])
    rows = []
    for key_of_any, found in runs.items():
        group, _, name = key_of_any.rpartition(".")
        for run in found:
            match = _ROUND.match(run[0].key)
            first = int(match[1]) if match else 0
            which = f"rounds[{first}]" if len(run) == 1 else f"rounds[{first}-{first + len(run) - 1}]"
            rows.append(Row(group, name, which if match and len(run) < num_rounds else "", run[0]))
    return rows


def _alike(a: ExplainedKey, b: ExplainedKey) -> bool:
    return (a.value, a.source, a.paper, a.released) == (b.value, b.source, b.paper, b.released)


def _differences(rows: Sequence[Row]) -> Table:
    table = _table(
        _DIFFERENCES,
        (("key", 5), ("here", 2), ("paper", 3), ("released code", 3), ("from", 2)),
    )
    for row, name in _grouped(table, rows):
        key = row.first
        table.add_row(name, shown(key.value), _cell(key.paper), _cell(key.released), source(key))
    return table


def _others(rows: Sequence[Row]) -> Table:
    table = _table(_OTHERS, (("key", 8), ("value", 3), ("as", 2), ("from", 2)))
    for row, name in _grouped(table, rows):
        key = row.first
        same = [who for who, r in (("paper", key.paper), ("released", key.released)) if r.agreement == "same"]
        table.add_row(name, shown(key.value), Text(", ".join(same), style="dim"), source(key))
    return table


def _table(title: str, columns: Sequence[tuple[str, int]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, expand=True)
    for name, share in columns:
        table.add_column(name, overflow="fold", ratio=share)
    return table


def _grouped(table: Table, rows: Sequence[Row]) -> Iterator[tuple[Row, Text]]:
    """Each row with what its first column shows, the name and below it what it means; groups get a row of their own."""
    group = ""
    before: Row | None = None
    for row in _by_group(rows):
        if row.group != group:
            group = row.group
            table.add_row(Text(group, style="bold"))
        name = f"{row.name}, {row.rounds}" if row.rounds else row.name
        told_before = before is not None and (before.group, before.name) == (row.group, row.name)
        meaning = "" if told_before else f"\n{row.first.description}"
        yield row, Text.assemble(f"· {name}" if group else name, (meaning, "dim"))
        before = row


def _print_below_one_another(console: Console, title: str, rows: Sequence[Row]) -> None:
    """What the tables say, for a narrow terminal: each key with its value, what it means and the others' values."""
    if not rows:
        return
    console.print(Text(title, style="bold"))
    group = ""
    before: Row | None = None
    for row in _by_group(rows):
        if row.group != group:
            group = row.group
            console.print(Text(group, style="bold"))
        key = row.first
        name = f"{row.name}, {row.rounds}" if row.rounds else row.name
        line = Text.assemble(f"{name}: ", (shown(key.value), "bold"), (f"  ({source(key)})", "dim"))
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
        told = [] if before and (before.group, before.name) == (row.group, row.name) else [Text(key.description)]
        for who, reference in (("paper", key.paper), ("released code", key.released)):
            if reference.agreement != "silent":
                is_same = reference.agreement == "same"
                value = ("same", "") if is_same else (shown(reference.value), _DIFFERS)
                told.append(Text.assemble(f"{who}: ", value, f", {reference.where}"))
        for text in told:
            console.print(Padding(text, (0, 0, 0, 4), expand=False), style="dim")
        before = row
    console.print()


def _cell(reference: Reference) -> Text:
    if reference.agreement == "silent":
        return Text("silent", style="dim")
    value = ("same", "dim") if reference.agreement == "same" else (shown(reference.value), _DIFFERS)
    return Text.assemble(value, (f"\n{reference.where}", "dim"))


def _by_group(rows: Sequence[Row]) -> list[Row]:
    """Rows of the same group behind one another, groups in the order in which they come up."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return [row for found in groups.values() for row in found]


def shown(value: object) -> str:
    """A value as a recipe would have it, on one line."""
    return value if isinstance(value, str) else json_format.dumps(value, ensure_ascii=False)


def source(key: ExplainedKey) -> str:
    """Where a value comes from, for a person."""
    return label(key.source) if key.source else "default"


def label(path: Path) -> str:
    """A file for a person: the name of a recipe of the package, or the path."""
    return path.stem if path.parent == RECIPES else str(path)
