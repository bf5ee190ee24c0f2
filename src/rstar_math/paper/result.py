"""What one table or figure comes to, and its files: NAME.md, NAME.json, NAME.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar_math.metrics import Interval
from rstar_math.paper.claims import Claim, Evidence
from rstar_math.report.table import NONE, Column, TextTable, percent, points, to_markdown
from rstar_math.store.files import replacing, write_json, write_text

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """One table or figure.

    Attributes:
      name: as `rstar reproduce` calls it.
      title: one line.
      tables: ours, with the paper's figures beside them.
      claims: what the paper says, decided.
      text: what stands below the tables, Markdown; "" for nothing.
      png: a picture, where the paper has one.
    """

    name: str
    title: str
    tables: tuple[TextTable, ...]
    claims: tuple[Claim, ...] = ()
    text: str = ""
    png: bytes | None = field(default=None, repr=False)

    def markdown(self) -> str:
        """The whole as Markdown, with the picture beside the file."""
        parts = [f"## {self.title}\n"]
        if self.png is not None:
            parts.append(f"![{self.title}]({self.name}.png)\n")
        parts += [to_markdown(table) for table in self.tables]
        if self.text:
            parts.append(self.text.rstrip() + "\n")
        if self.claims:
            parts.append(claims_markdown(self.claims))
        return "\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "format": FORMAT_VERSION,
            "name": self.name,
            "title": self.title,
            "tables": [
                {
                    "title": table.title,
                    "columns": [" ".join((c.group, c.name)).strip() for c in table.columns],
                    "rows": [list(row) for row in table.rows],
                    "note": table.note,
                }
                for table in self.tables
            ],
            "claims": [
                {
                    "claim": claim.text,
                    "verdict": claim.verdict,
                    "note": claim.note,
                    "evidence": [
                        {
                            "label": e.label,
                            "verdict": e.verdict,
                            "difference": e.difference.value,
                            "low": e.difference.low,
                            "high": e.difference.high,
                            "by_seed": {str(seed): value for seed, value in e.by_seed.items()},
                        }
                        for e in claim.evidence
                    ],
                }
                for claim in self.claims
            ],
        }

    def write(self, folder: Path) -> None:
        """Writes the files, each whole or not at all."""
        write_json(folder / f"{self.name}.json", self.as_json())
        if self.png is not None:
            with replacing(folder / f"{self.name}.png") as temporary:
                temporary.write_bytes(self.png)
        write_text(folder / f"{self.name}.md", self.markdown())


def claims_markdown(claims: Sequence[Claim]) -> str:
    """One line for each claim, the evidence below it."""
    lines = []
    for claim in claims:
        lines.append(f"- **{claim.verdict}**: {claim.text}." + (f" {claim.note}" if claim.note else ""))
        lines += [f"  - {_evidence(e)}" for e in claim.evidence]
    return "\n".join(lines) + "\n"


def _evidence(evidence: Evidence) -> str:
    seeds = ", ".join(points(value) for value in evidence.by_seed.values())
    return f"{evidence.label}: {difference(evidence.difference)}" + (f"; by seed {seeds}" if seeds else "")


def difference(value: Interval | None) -> str:
    """A difference of shares in points, with its interval."""
    return NONE if value is None else f"{points(value.value)} [{points(value.low)}, {points(value.high)}]"


def accuracy(value: Interval | None) -> str:
    """A share in percent, with its interval."""
    return NONE if value is None else f"{percent(value.value)} [{percent(value.low)}, {percent(value.high)}]"


def table(
    title: str,
    names: str,
    lines: Mapping[str, Mapping[str, str]],
    note: str = "",
    sections: Sequence[int] = (),
) -> TextTable:
    """A table from lines of cells by column; what a line lacks is a dash.

    Args:
      title: one line.
      names: heading of the column of the lines' names.
      lines: name of the line -> heading -> cell. "group|heading" puts a heading below a group.
      note: stands below.
      sections: lines after which a rule is drawn.
    """
    headings = list(dict.fromkeys(heading for cells in lines.values() for heading in cells))
    columns = [Column(names, is_text=True)]
    for heading in headings:
        group, _, name = heading.rpartition("|")
        columns.append(Column(name, group))
    rows = tuple((name, *(cells.get(h, NONE) for h in headings)) for name, cells in lines.items())
    return TextTable(title, tuple(columns), rows, note, tuple(sections))
