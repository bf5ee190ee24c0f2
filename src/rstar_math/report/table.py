"""One table as text, shown in a page or in Markdown (on a terminal: `terminal.py`). No numbers are computed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

NONE = "-"
"""What stands where a value was not computed."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
      name: heading.
      group: heading above the names of neighbouring columns of the same group; "" for none.
      is_text: left-aligned text; numbers are right-aligned.
    """

    name: str
    group: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose cells are ready to be shown.

    Attributes:
      title: one line.
      columns: the columns.
      rows: `[num_rows][num_columns]` cells, plain text.
      note: a sentence below, or "".
      sections: rows after which a line is drawn.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    sections: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r} has {len(self.columns)} columns, but a row of {len(row)}: {row}"
                )


def to_html(table: TextTable) -> str:
    """The table as an HTML fragment; every text escaped."""
    heads = []
    if any(c.group for c in table.columns):
        cells = [
            f'<th colspan="{span}"{" scope=colgroup" if group else ""}>{escape(group)}</th>'
            for group, span in _groups(table.columns)
        ]
        heads.append(f"<tr>{''.join(cells)}</tr>")
    names = "".join(f'<th scope="col"{_class(c)}>{escape(c.name)}</th>' for c in table.columns)
    heads.append(f"<tr>{names}</tr>")
    body = []
    for i, row in enumerate(table.rows):
        cells = [f"<td{_class(c)}>{escape(cell)}</td>" for c, cell in zip(table.columns, row, strict=True)]
        body.append(f"<tr{' class=end' if i in table.sections else ''}>{''.join(cells)}</tr>")
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    return (
        f"<div class=table><table><caption>{escape(table.title)}</caption>"
        f"<thead>{''.join(heads)}</thead><tbody>{''.join(body)}</tbody></table></div>{note}\n"
    )


def to_markdown(table: TextTable) -> str:
    """The table as GitHub Markdown, its title in bold above."""
    names = [f"{c.group} {c.name}".strip() for c in table.columns]
    lines = [
        f"**{_escape_markdown(table.title)}**",
        "",
        _markdown_row(names),
        "|" + "|".join("---" if c.is_text else "---:" for c in table.columns) + "|",
        *(_markdown_row(row) for row in table.rows),
    ]
    if table.note:
        lines += ["", _escape_markdown(table.note)]
    return "\n".join(lines) + "\n"


def percent(share: float | None) -> str:
    """A share in [0, 1] as percent with one decimal."""
    return NONE if share is None else f"{100 * share:.1f}"


def points(difference: float) -> str:
    """A difference of shares as signed percentage points."""
    return f"{100 * difference:+.1f}"


def count(number: float | None) -> str:
    """A count with separators between thousands."""
    return NONE if number is None else f"{number:,.0f}"


def compact(number: float | None) -> str:
    """A count with at most three leading digits: 950, 12.3k, 4.56M."""
    if number is None:
        return NONE
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:#.3g}".rstrip(".") + sign
    return f"{number:.0f}"


def seconds(value: float | None) -> str:
    """Seconds, with decimals where there are few."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return groups


def _class(column: Column) -> str:
    return " class=text" if column.is_text else ""


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape_markdown(cell) for cell in cells) + " |"


def _escape_markdown(text: str) -> str:
    for sign in "\\|*_`<[":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
