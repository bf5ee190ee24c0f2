"""Problem sets to evolve on: NuminaMath-CoT, MetaMathQA or your own; tiers, duplicates, overlap with benchmarks.

A set is read from JSON Lines files or from the hub, brought into the rows that every command reads ({id, problem,
answer, tier, source}), and held against every benchmark that will be reported (rStar-Math, section 3.4).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rstar_math import steps as step_format
from rstar_math.benchmarks.problems import ProblemSet, read_problems
from rstar_math.errors import DataError
from rstar_math.store.files import read_jsonl
from rstar_math.types import Problem

Row = Mapping[str, Any]
Tier = Literal["gsm", "math", "olympiad"]

NUMINA_TIERS: dict[str, Tier] = {
    "gsm8k": "gsm",
    "orca_math": "gsm",
    "math": "math",
    "synthetic_math": "math",
    "cn_k12": "math",
    "synthetic_amc": "olympiad",
    "amc_aime": "olympiad",
    "aops_forum": "olympiad",
    "olympiads": "olympiad",
}
"""Tier of each value of `source` in NuminaMath-CoT; the paper keeps the competition-level ones first of all."""

NGRAM_WORDS = 13
"""Words that two questions must share in a row to count as overlapping."""

MIN_WORDS = 6
"""A benchmark question shorter than `NGRAM_WORDS` overlaps where it stands whole in another; below this, only where it
is the whole of the other."""

_WORD = re.compile(r"\\?[^\W_]+|[^\s\w]")
_NOT_WORDS = frozenset("$,.;:!?\"'`()[]{}\\&~")
_ANSWER_IS = re.compile(r"The answer is:?\s*(.+?)\s*$", re.DOTALL)


@dataclass
class Prepared:
    """A set of problems and what was left out of it, and why.

    Attributes:
      problems: what is kept, in the order in which it was read.
      left_out: how many rows were left out, by reason.
    """

    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_set(source: str, split: str = "train") -> Prepared:
    """Reads a set: a JSON Lines file, or the name of a data set at the hub.

    Rows may have the schema of NuminaMath-CoT ({source, problem, solution}), of MetaMathQA ({query, response, type}) or
    this package's own. Rows without an answer that can be found are left out.

    Raises:
      DataError: no such file, the hub cannot be reached, or rows of another schema.
    """
    path = Path(source)
    rows: Iterator[Row]
    if path.exists():
        first = next((row for _, row in read_jsonl(path)), {})
        if _schema(first) == "own":
            return Prepared(list(read_problems(path)))
        rows, name = (row for _, row in read_jsonl(path)), path.stem
    else:
        from rstar_math.benchmarks.hub import read_hub

        rows, name = read_hub(source, split), source.rpartition("/")[2]
    made = Prepared()
    for number, row in enumerate(rows, start=1):
        problem = problem_of(row, f"{name}-{number}")
        if isinstance(problem, Problem):
            made.problems.append(problem)
        else:
            made.left_out[problem] += 1
    return made


def problem_of(row: Row, problem_id: str) -> Problem | str:
    """The problem of a row of NuminaMath-CoT or MetaMathQA; or why there is none.

    Raises:
      DataError: the row has neither schema.
    """
    schema = _schema(row)
    if schema == "numina":
        question, source = str(row["problem"]), str(row["source"])
        answer = step_format.last_boxed(str(row["solution"]))
        tier: str | None = NUMINA_TIERS.get(source)
    elif schema == "metamath":
        question, source = str(row["query"]), str(row.get("type", "metamath"))
        found = _ANSWER_IS.search(str(row["response"]))
        answer = found.group(1) if found else None
        tier = "gsm" if source.upper().startswith("GSM") else "math"
    else:
        raise DataError(
            f"row {problem_id} has the keys {', '.join(sorted(row))}; known are {{source, problem, solution}} "
            "(NuminaMath-CoT), {query, response, type} (MetaMathQA) and {problem, answer}"
        )
    if not question.strip():
        return "no question"
    if answer is None or not answer.strip():
        return "no answer in the solution"
    return Problem(problem_id, question.strip(), answer.strip(), tier, source)


def _schema(row: Row) -> str | None:
    if {"source", "problem", "solution"} <= set(row) and "answer" not in row:
        return "numina"
    if {"query", "response"} <= set(row):
        return "metamath"
    return "own" if "answer" in row and ("problem" in row or "question" in row) else None


def without_duplicates(problems: Iterable[Problem]) -> Prepared:
    """Keeps the first of questions that are the same but for case, space and punctuation.

    Questions that come with different answers (as text) are counted apart: their references are doubtful.
    """
    made, seen = Prepared(), dict[tuple[str, ...], Problem]()
    for problem in problems:
        key = words(problem.question)
        earlier = seen.setdefault(key, problem)
        if earlier is problem:
            made.problems.append(problem)
        elif earlier.answer == problem.answer:
            made.left_out["duplicate"] += 1
        else:
            made.left_out["duplicate with another answer"] += 1
    return made


def with_tiers(problems: Iterable[Problem], tiers: Sequence[str] | None) -> Prepared:
    """Keeps the problems of some tiers; None keeps all."""
    made = Prepared()
    for problem in problems:
        if tiers is None or problem.tier in tiers:
            made.problems.append(problem)
        else:
            made.left_out[f"tier {problem.tier or 'unknown'}"] += 1
    return made


@dataclass(frozen=True, slots=True)
class Overlap:
    """A problem that shares a run of words with a problem of a benchmark."""

    problem: str
    benchmark: str
    benchmark_problem: str
    shared: str


def overlaps(
    problems: Iterable[Problem], benchmarks: Iterable[ProblemSet], num_words: int = NGRAM_WORDS
) -> list[Overlap]:
    """Problems whose question shares `num_words` words in a row with a benchmark's, or is the same; first matches."""
    grams: dict[tuple[str, ...], tuple[str, str]] = {}
    whole: dict[tuple[str, ...], tuple[str, str]] = {}
    for benchmark in benchmarks:
        for other in benchmark.problems:
            text = words(other.question)
            whole.setdefault(text, (benchmark.name, other.id))
            size = min(num_words, len(text))
            if size >= min(MIN_WORDS, num_words):
                for i in range(len(text) - size + 1):
                    grams.setdefault(text[i : i + size], (benchmark.name, other.id))
    sizes = sorted({len(gram) for gram in grams}, reverse=True)
    found = []
    for problem in problems:
        text = words(problem.question)
        windows = (text[i : i + size] for size in sizes for i in range(len(text) - size + 1))
        match = next((w for w in windows if w in grams), None)
        if match is not None:
            found.append(Overlap(problem.id, *grams[match], shared=" ".join(match)))
        elif text and text in whole:
            found.append(Overlap(problem.id, *whole[text], shared=" ".join(text)))
    return found


def require_no_overlap(problems: Sequence[Problem], benchmarks: Sequence[ProblemSet]) -> None:
    """Refuses problems that overlap with what will be reported.

    Raises:
      DataError: says how many overlap with which benchmark, and shows one.
    """
    found = overlaps(problems, benchmarks)
    if not found:
        return
    counts = Counter(o.benchmark for o in found)
    per_benchmark = ", ".join(f"{name}: {n}" for name, n in counts.most_common())
    raise DataError(
        f"{len(found)} of {len(problems)} training problems overlap with benchmarks that will be reported "
        f"({per_benchmark}); for example {found[0].problem} with {found[0].benchmark_problem}: {found[0].shared!r}. "
        "Leave them out (`rstar problems prepare --overlap drop`), or allow it knowingly (--overlap allow; "
        "evaluation.overlap: allow)"
    )


def without_overlaps(problems: Sequence[Problem], benchmarks: Sequence[ProblemSet]) -> Prepared:
    """Leaves out what overlaps with a benchmark."""
    found = {o.problem: o for o in overlaps(problems, benchmarks)}
    made = Prepared([p for p in problems if p.id not in found])
    made.left_out.update(f"overlaps with {o.benchmark}" for o in found.values())
    return made


def words(text: str) -> tuple[str, ...]:
    """The words, commands, numbers and operators of a question in lower case; punctuation left out."""
    return tuple(w for w in _WORD.findall(text.lower()) if w not in _NOT_WORDS)


def problem_row(problem: Problem) -> dict[str, str]:
    """The row of a problem as every command reads it."""
    values = {
        "id": problem.id,
        "problem": problem.question,
        "answer": problem.answer,
        "tier": problem.tier,
        "source": problem.source,
        "part": problem.part,
    }
    return {name: value for name, value in values.items() if value is not None}
