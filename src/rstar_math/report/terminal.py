"""Tables on a terminal of any width: a wide one is shown in blocks of columns below one another, and nothing is cut."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rstar_math.report.table import Column, TextTable
from rstar_math.terminal.visible import visible

if TYPE_CHECKING:
    import rich.table

    from rstar_math.terminal.console import Console

_PIPED_WIDTH = 100
_MIN_NAME_WIDTH = 10
_ANY_WIDTH = 10_000


def standard_output() -> Console:
    """Standard output. A file or a pipe is as wide as the variable COLUMNS says, or else 100 columns."""
    from rstar_math.terminal.console import Console

    is_piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_PIPED_WIDTH if is_piped else None)


def print_table(console: Console, table: TextTable) -> None:
    """Prints a table with its title above and its note below.

    Where the console is too narrow for all columns, they follow in blocks, each with the names of the rows; columns of
    one group stay together where they can. Long names fold. Where not even one column fits beside the names, every
    value has a line of its own.
    """
    from rich.padding import Padding

    from rstar_math.terminal.console import Text

    table = _visible(table)
    console.print(Text(table.title, style="bold", overflow="fold"))
    blocks = _blocks(console, table)
    if blocks is None:
        for line, is_name in _one_by_one(table):
            text = Text(line, style="bold" if is_name else "", overflow="fold")
            console.print(text if is_name else Padding(text, (0, 0, 0, 2), expand=False))
    else:
        for i, block in enumerate(blocks):
            if i:
                console.print()
            console.print(block)
    if table.note:
        console.print(Text(table.note, style="dim", overflow="fold"))


def _visible(table: TextTable) -> TextTable:
    """The table as it is shown, so that its widths are those of what is shown."""
    return replace(
        table,
        title=visible(table.title),
        columns=tuple(replace(c, name=visible(c.name), group=visible(c.group)) for c in table.columns),
        rows=tuple(tuple(map(visible, row)) for row in table.rows),
        note=visible(table.note),
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """How much room names get, and whether headings may fold."""

    name_widths: Sequence[int]
    folds_headings: bool


def _blocks(console: Console, table: TextTable) -> list[rich.table.Table] | None:
    """The table in as many blocks as the width needs; None where one column does not fit beside the names."""
    num_names = _num_names(table)
    values = range(num_names, len(table.columns))
    natural = [_width(table, i) for i in range(num_names)]
    whole = _grid(table, values, _Layout(natural, folds_headings=False))
    if _needed(console, whole) <= console.width:
        return [whole]
    layout = _Layout(_shrunk(natural, max(console.width // 2, _MIN_NAME_WIDTH)), folds_headings=True)

    def fits(columns: Sequence[int]) -> bool:
        return _needed(console, _grid(table, columns, layout)) <= console.width

    if not all(fits([i]) for i in values):
        return None
    blocks: list[list[int]] = [[]]
    for group in _groups(table, values):
        if fits([*blocks[-1], *group]):
            blocks[-1] += group
        elif fits(group):
            blocks.append(list(group))
        else:
            for i in group:
                if fits([*blocks[-1], i]):
                    blocks[-1].append(i)
                else:
                    blocks.append([i])
    return [_grid(table, columns, layout) for columns in blocks if columns]


def _num_names(table: TextTable) -> int:
    """How many columns at the left say what a row is about."""
    return next((i for i, column in enumerate(table.columns) if not column.is_text), len(table.columns))


def _width(table: TextTable, i: int) -> int:
    return max([len(table.columns[i].name), *(len(row[i]) for row in table.rows)])


def _shrunk(widths: Sequence[int], most: int) -> list[int]:
    """The widths, the widest made narrower until their sum is at most `most`, or all are at the least."""
    shrunk = list(widths)
    while sum(shrunk) > most and max(shrunk) > _MIN_NAME_WIDTH:
        shrunk[shrunk.index(max(shrunk))] -= 1
    return shrunk


def _groups(table: TextTable, columns: Sequence[int]) -> list[list[int]]:
    """Neighbouring columns of the same group; a column without a group stands alone."""
    groups: list[list[int]] = []
    for i in columns:
        group = table.columns[i].group
        if group and groups and table.columns[groups[-1][-1]].group == group:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _grid(table: TextTable, values: Sequence[int], layout: _Layout) -> rich.table.Table:
    """The names of the rows and some of the other columns, without title and note."""
    from rich import box
    from rich.table import Table

    from rstar_math.terminal.console import Text

    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    names = range(len(layout.name_widths))
    headings = _headings(table, [*names, *values], layout.folds_headings)
    for i, width in enumerate(layout.name_widths):
        shown.add_column(Text(headings[i]), overflow="fold", width=width)
    for i, heading in zip(values, headings[len(names) :], strict=True):
        column = table.columns[i]
        width = max([*(len(line) for line in heading.splitlines()), *(len(row[i]) for row in table.rows)])
        justify: Literal["left", "right"] = "left" if column.is_text else "right"
        # an interval holds spaces, at which rich would think that it may be broken
        shown.add_column(Text(heading), justify=justify, no_wrap=True, min_width=width)
    for number, row in enumerate(table.rows):
        cells = (Text(row[i]) for i in (*names, *values))
        shown.add_row(*cells, end_section=number in table.sections)
    return shown


def _headings(table: TextTable, columns: Sequence[int], folds: bool) -> list[str]:
    """The heading of each column: its group above the first of the group, its name on the last lines."""
    above: list[list[str]] = []
    names: list[list[str]] = []
    previous = ""
    for i in columns:
        column = table.columns[i]
        group = "" if column.group == previous else column.group
        previous = column.group
        width = max(_longest_word(column, group), *(len(row[i]) for row in table.rows), 1) if folds else _ANY_WIDTH
        above.append(textwrap.wrap(group, width))
        names.append(textwrap.wrap(column.name, width))
    heights = max(map(len, above)), max(map(len, names))
    return ["\n".join([*_filled(a, heights[0]), *_filled(n, heights[1])]) for a, n in zip(above, names, strict=True)]


def _longest_word(column: Column, group: str) -> int:
    return max(map(len, (*column.name.split(), *group.split())), default=0)


def _filled(lines: Sequence[str], height: int) -> list[str]:
    """Lines at the bottom of so many."""
    return [""] * (height - len(lines)) + list(lines)


def _needed(console: Console, table: rich.table.Table) -> int:
    return console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).minimum


def _one_by_one(table: TextTable) -> Iterator[tuple[str, bool]]:
    """Each row as lines, with whether a line is the row's name; a name that is left blank is that of the row above."""
    num_names = _num_names(table)
    above = [""] * num_names
    for row in table.rows:
        first = next((i for i, cell in enumerate(row[:num_names]) if cell), num_names)
        above = [*above[:first], *row[first:num_names]]
        yield ", ".join(name for name in above if name) or "-", True
        for column, cell in zip(table.columns[num_names:], row[num_names:], strict=True):
            name = f"{column.group} {column.name}".strip()
            yield f"{name}: {cell}" if name else cell, False
