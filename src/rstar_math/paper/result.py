"""What one table or figure comes to, and its files: NAME.md, NAME.json, NAME.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar_math.metrics import Interval
from rstar_math.paper.claims import Claim, Decision, Evidence, decided
from rstar_math.report.table import NONE, Column, TextTable, percent, points, to_markdown
from rstar_math.store.files import replacing, write_json, write_text

FORMAT_VERSION = 2


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
            "claims": [_decision_json(decision) for decision in decided(self.claims)],
        }

    def write(self, folder: Path) -> None:
        """Writes the files, each whole or not at all."""
        write_json(folder / f"{self.name}.json", self.as_json())
        if self.png is not None:
            with replacing(folder / f"{self.name}.png") as temporary:
                temporary.write_bytes(self.png)
        write_text(folder / f"{self.name}.md", self.markdown())


def claims_markdown(claims: Sequence[Claim]) -> str:
    """One line for each claim, decided beside the others, with method and corrected p; the evidence below it.

    Primary claims come first, below a line that says so.
    """
    lines: list[str] = []
    decisions = sorted(decided(claims), key=lambda decision: not decision.claim.primary)
    has_primary = any(claim.primary for claim in claims)
    for i, decision in enumerate(decisions):
        claim = decision.claim
        if has_primary and (i == 0 or claim.primary != decisions[i - 1].claim.primary):
            heading = "Primary claims, stated before the run" if claim.primary else "Further claims"
            lines += ["", f"{heading}:", ""] if lines else [f"{heading}:", ""]
        lines.append(
            f"- **{decision.verdict}**{_how(decision)}: {claim.text}." + (f" {claim.note}" if claim.note else "")
        )
        lines += [f"  - {_evidence(e)}" for e in claim.evidence]
    return "\n".join(lines) + "\n"


def _how(decision: Decision) -> str:
    if not decision.claim.evidence:
        return ""
    kind = "primary claims" if decision.claim.primary else "claims"
    corrected = f", {decision.p:.2g} after Holm over {decision.num_claims} {kind}" if decision.num_claims > 1 else ""
    return f" ({p_text(decision.claim.p)}{corrected}; {decision.claim.method})"


def p_text(p: float) -> str:
    """A p value as it is read: two digits that count."""
    return f"p = {p:.2g}"


def _evidence(evidence: Evidence) -> str:
    seeds = ", ".join(points(value) for value in evidence.by_seed.values())
    return f"{evidence.label}: {difference(evidence.difference)}" + (f"; by seed {seeds}" if seeds else "")


def _decision_json(decision: Decision) -> dict[str, Any]:
    claim = decision.claim
    return {
        "claim": claim.text,
        "primary": claim.primary,
        "verdict": decision.verdict,
        "method": claim.method,
        "p": claim.p,
        "p_corrected": decision.p,
        "correction": "Holm",
        "num_claims": decision.num_claims,
        "margin": claim.margin,
        "may_be_level": claim.may_be_level,
        "note": claim.note,
        "evidence": [
            {
                "label": e.label,
                "difference": e.difference.value,
                "low": e.difference.low,
                "high": e.difference.high,
                "p": e.estimate.p_value(),
                "standard_error": e.estimate.error,
                "degrees_of_freedom": e.estimate.freedom,
                "standard_error_over_problems": e.estimate.problem_error,
                "num_seeds": e.estimate.num_seeds,
                "num_problems": e.estimate.num_problems,
                "by_seed": {str(seed): value for seed, value in e.by_seed.items()},
            }
            for e in claim.evidence
        ],
    }


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
