"""Grading a file of pairs: verdicts, a summary, and a ledger of disagreements with math-verify alone."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rstar_math.errors import ConfigError, DataError
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
from rstar_math.grading.policy import POLICIES, Policy
from rstar_math.grading.pool import Backend, GradingPool
from rstar_math.store.files import json_line, read_jsonl, replacing, write_json
from rstar_math.types import Verdict

FORMAT_VERSION = 1
BACKENDS: tuple[Backend, ...] = ("math-verify",)
"""What `against` may name."""


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


def grade_file(
    pairs: Path,
    *,
    out: Path | None = None,
    policy: str = "default",
    against: str | None = None,
    ledger: Path | None = None,
    summary: Path | None = None,
    num_workers: int | None = None,
    timeout_s: float = 5.0,
) -> GradedFile:
    """Grades a JSONL file of pairs, writes what is asked for, and prints a table to standard error.

    Args:
      pairs: rows with `gold`, `prediction` (or `pred`), and optionally `id`, `equivalent`, `category`, `contested`.
      out: JSONL of verdicts; None writes them to standard output.
      policy: name of one of `policy.POLICIES`.
      against: "math-verify" to grade the same pairs by it alone.
      ledger: JSONL of the pairs on which the two disagree; needs `against`.
      summary: JSON with accuracy and times.
      num_workers: worker processes; None: one per CPU core, at most 8.
      timeout_s: CPU seconds for one pair.

    Raises:
      DataError: the file cannot be read, or a row lacks a key; the message names the line.
      ConfigError: an unknown policy or backend, or a ledger without `against`.
      GradingError: workers cannot be started.
    """
    chosen = _policy(policy)
    if against is not None and against not in BACKENDS:
        raise ConfigError(f"cannot grade against {against!r}; choose from {', '.join(BACKENDS)}")
    if ledger is not None and against is None:
        raise ConfigError("a ledger holds disagreements with another grader: give --against math-verify as well")
    read = read_pairs(pairs)
    graded = asyncio.run(_graded(read, chosen, against is not None, num_workers, timeout_s))
    with _output(out) as stream:
        for row in verdict_rows(graded):
            stream.write(json_line(row).decode())
    if ledger is not None:
        with _output(ledger) as stream:
            for row in ledger_rows(graded):
                stream.write(json_line(row).decode())
    if summary is not None:
        write_json(summary, summary_json(graded))
    print_summary(graded, sys.stderr)
    return graded


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a JSONL file.

    Raises:
      DataError: see `grade_file`.
    """
    found: list[Pair] = []
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        if "gold" not in row or not ("prediction" in row or "pred" in row):
            raise DataError(f"{where}: needs `gold` and `prediction` (or `pred`), has keys {sorted(row)}")
        gold, prediction = row["gold"], row["prediction"] if "prediction" in row else row["pred"]
        if not isinstance(gold, str | int | float) or isinstance(gold, bool):
            raise DataError(f"{where}: `gold` must be text or a number, got {gold!r}")
        if isinstance(prediction, bool | list | dict):
            raise DataError(f"{where}: `prediction` must be text, a number or null, got {prediction!r}")
        label, contested = row.get("equivalent"), row.get("contested", False)
        if not isinstance(label, bool | None) or not isinstance(contested, bool):
            raise DataError(f"{where}: `equivalent` and `contested` must be true or false")
        found.append(
            Pair(
                id=str(row.get("id", number)),
                gold=str(gold),
                prediction=None if prediction is None else str(prediction),
                equivalent=label,
                category=str(row.get("category") or ""),
                contested=contested,
            )
        )
    if not found:
        raise DataError(f"{path} holds no pairs")
    return found


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

    from rstar_math.console import Console

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


async def _graded(
    pairs: Sequence[Pair], policy: Policy, against: bool, num_workers: int | None, timeout_s: float
) -> GradedFile:
    workers = num_workers or min(os.cpu_count() or 1, 8)
    async with GradingPool(workers, timeout_s=timeout_s, policy=policy) as pool:
        verdicts = await asyncio.gather(*(pool.grade(pair.gold, pair.prediction) for pair in pairs))
        by_policy: dict[str, Accuracy] = {}
        for name, other in POLICIES.items():
            # a verdict that no policy had a say in is the same under each
            again = [
                pool.grade(pair.gold, pair.prediction, other)
                for pair, verdict in zip(pairs, verdicts, strict=True)
                if verdict.contested
            ]
            changed = iter(await asyncio.gather(*again))
            under = [next(changed) if verdict.contested else verdict for verdict in verdicts]
            by_policy[name] = accuracy(pairs, under)
    alone = None
    if against:
        async with GradingPool(workers, timeout_s=timeout_s, backend="math-verify") as pool:
            alone = tuple(await asyncio.gather(*(pool.grade(pair.gold, pair.prediction) for pair in pairs)))
    return GradedFile(tuple(pairs), tuple(verdicts), policy.name, by_policy, alone)


def _policy(name: str) -> Policy:
    if name not in POLICIES:
        raise ConfigError(f"no grading policy {name!r}; choose from {', '.join(POLICIES)}")
    return POLICIES[name]


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


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8") as stream:
            yield stream
