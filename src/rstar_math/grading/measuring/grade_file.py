"""Grading a file of pairs, and writing down what came out."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rstar_math.errors import ConfigError, DataError
from rstar_math.grading.measuring.accuracy import Accuracy, Pair, accuracy
from rstar_math.grading.measuring.graded_file import GradedFile, ledger_rows, print_summary, summary_json, verdict_rows
from rstar_math.grading.policy import POLICIES, Policy
from rstar_math.grading.pool import Backend, GradingPool
from rstar_math.store.files import json_line, read_jsonl, replacing, write_json

BACKENDS: tuple[Backend, ...] = ("math-verify",)
"""What `against` may name."""


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


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8") as stream:
            yield stream
