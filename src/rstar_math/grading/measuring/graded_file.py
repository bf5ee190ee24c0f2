"""What came out for a file of pairs: verdicts, a ledger of disagreements, a summary for programs and one for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rstar_math.grading.measuring.accuracy import (
    Accuracy,
    Milliseconds,
    Pair,
    accuracy,
    accuracy_where,
    categories,
    milliseconds,
    rule_counts,
)
from rstar_math.types import Verdict

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class GradedFile:
    """Pairs with their verdicts.

    Attributes:
      pairs: the pairs of the file, in its order.
      verdicts: one for each.
      policy: name of the policy.
      by_policy: accuracy under each known policy, by its name.
      against: the verdicts of math-verify alone; None where not asked for.
    """

    pairs: tuple[Pair, ...]
    verdicts: tuple[Verdict, ...]
    policy: str
    by_policy: dict[str, Accuracy]
    against: tuple[Verdict, ...] | None = None

    @property
    def disagreements(self) -> list[int]:
        """Indices of the pairs on which math-verify alone decides otherwise, or does not decide."""
        if self.against is None:
            return []
        both = zip(self.verdicts, self.against, strict=True)
        return [i for i, (a, b) in enumerate(both) if (a.equal, a.timed_out) != (b.equal, b.timed_out)]


def verdict_rows(graded: GradedFile) -> Iterator[dict[str, Any]]:
    """One row per pair: the pair, its verdict, and what math-verify alone says where it was asked."""
    for i, (pair, verdict) in enumerate(zip(graded.pairs, graded.verdicts, strict=True)):
        row: dict[str, Any] = {
            "id": pair.id,
            "gold": pair.gold,
            "prediction": pair.prediction,
            "equal": verdict.equal,
            "rule": verdict.rule,
            "contested": verdict.contested,
            "timed_out": verdict.timed_out,
            "seconds": round(verdict.seconds, 6),
        }
        if pair.equivalent is not None:
            row |= {"equivalent": pair.equivalent, "right": verdict.equal == pair.equivalent and not verdict.timed_out}
        if pair.category:
            row["category"] = pair.category
        if graded.against is not None:
            row["math_verify"] = None if graded.against[i].timed_out else graded.against[i].equal
        yield row


def ledger_rows(graded: GradedFile) -> Iterator[dict[str, Any]]:
    """The pairs on which math-verify alone decides otherwise, with both decisions."""
    assert graded.against is not None
    for i in graded.disagreements:
        pair, verdict, other = graded.pairs[i], graded.verdicts[i], graded.against[i]
        yield {
            "id": pair.id,
            "gold": pair.gold,
            "prediction": pair.prediction,
            "equivalent": pair.equivalent,
            "category": pair.category or None,
            "contested": pair.contested,
            "rstar": None if verdict.timed_out else verdict.equal,
            "rule": verdict.rule,
            "math_verify": None if other.timed_out else other.equal,
        }


def summary_json(graded: GradedFile) -> dict[str, Any]:
    """The summary file (docs/grading.md)."""
    pairs, verdicts = graded.pairs, graded.verdicts
    result: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "policy": graded.policy,
        **_blocks(pairs, verdicts),
        "categories": {name: block.as_json() for name, block in _by_category(pairs, verdicts).items()},
        "milliseconds": milliseconds(verdicts).as_json(),
        "policies": {name: block.as_json() for name, block in graded.by_policy.items()},
        "rules": rule_counts(verdicts),
    }
    if graded.against is not None:
        result["math_verify"] = {
            **_blocks(pairs, graded.against),
            "milliseconds": milliseconds(graded.against).as_json(),
            "num_disagreements": len(graded.disagreements),
        }
    return result


def print_summary(graded: GradedFile, stream: TextIO) -> None:
    """The summary as tables for people."""
    from rich.table import Table

    from rstar_math.terminal.console import Console

    console = Console(stream, width=None if stream.isatty() else 110)
    pairs, verdicts = graded.pairs, graded.verdicts
    labelled = any(pair.equivalent is not None for pair in pairs)
    table = Table(title=f"Grading under the policy {graded.policy!r}", title_justify="left")
    for column in ("", "pairs", "right %", "false accepts", "false rejects", "time-outs"):
        table.add_column(column, justify="left" if not column else "right")
    for name, block in {"all": accuracy(pairs, verdicts), **_apart(pairs, verdicts)}.items():
        table.add_row(name, *_cells(block))
    for name, block in graded.by_policy.items():
        if labelled and name != graded.policy:
            table.add_row(f"all, policy {name!r}", *_cells(block))
    if graded.against is not None:
        table.add_section()
        for name, block in {
            "math-verify alone": accuracy(pairs, graded.against),
            **{f"math-verify alone, {name}": block for name, block in _apart(pairs, graded.against).items()},
        }.items():
            table.add_row(name, *_cells(block))
    by_category = _by_category(pairs, verdicts)
    if by_category:
        table.add_section()
        for name, block in by_category.items():
            table.add_row(name, *_cells(block))
    console.print(table)
    console.print(_times("CPU milliseconds per pair", milliseconds(verdicts)))
    if graded.against is not None:
        console.print(_times("math-verify alone", milliseconds(graded.against)))
        console.print(f"The two disagree on {len(graded.disagreements)} of {len(pairs)} pairs.")


def _apart(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> dict[str, Accuracy]:
    """Contested pairs apart; nothing where there are none."""
    if not any(pair.contested for pair in pairs):
        return {}
    return {
        "not contested": accuracy_where(pairs, verdicts, [not pair.contested for pair in pairs]),
        "contested": accuracy_where(pairs, verdicts, [pair.contested for pair in pairs]),
    }


def _blocks(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "all": accuracy(pairs, verdicts).as_json(),
        "non_contested": accuracy_where(pairs, verdicts, [not pair.contested for pair in pairs]).as_json(),
        "contested": accuracy_where(pairs, verdicts, [pair.contested for pair in pairs]).as_json(),
    }


def _by_category(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> dict[str, Accuracy]:
    """Each category's pairs, the contested ones apart."""
    result: dict[str, Accuracy] = {}
    for name in categories(pairs):
        for contested in (False, True):
            kept = [pair.category == name and pair.contested == contested for pair in pairs]
            if any(kept):
                result[f"{name} (contested)" if contested else name] = accuracy_where(pairs, verdicts, kept)
    return result


def _cells(block: Accuracy) -> list[str]:
    share = block.accuracy
    unknown = share is None
    return [
        str(block.num_pairs),
        "-" if share is None else f"{100 * share:.1f}",
        "-" if unknown else str(block.false_accepts),
        "-" if unknown else str(block.false_rejects),
        str(block.timeouts),
    ]


def _times(title: str, times: Milliseconds) -> str:
    return f"{title}: median {times.median:.2f}, 99th percentile {times.p99:.1f}, maximum {times.maximum:.0f}"
