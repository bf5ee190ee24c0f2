"""Problem sets to evolve on: NuminaMath, MetaMathQA, ... or your own; tiers, duplicates, overlap with benchmarks.

A set is read from files or from the hub, brought into the rows that every command reads ({id, problem,
answer, tier, source}), and held against every benchmark that will be reported (rStar-Math, section 3.4).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rstar_math.errors import DataError
from rstar_math.problems.files import read_file, read_problem, require_answers
from rstar_math.problems.load import ProblemSet
from rstar_math.problems.references import NO_REFERENCE
from rstar_math.problems.schemas import SYNTHETIC
from rstar_math.types import Problem

NGRAM_WORDS = 13
"""Words that two questions must share in a row to count as overlapping."""

MIN_WORDS = 6
"""A benchmark question shorter than `NGRAM_WORDS` overlaps where it stands whole in another; below this, only where it
is the whole of the other."""

_WORD = re.compile(r"\\?[^\W_]+|[^\s\w]")
_NOT_WORDS = frozenset("$,.;:!?\"'`()[]{}\\&~")


@dataclass
class Prepared:
    """A set of problems and what was left out of it, and why.

    Attributes:
      problems: what is kept, in the order in which it was read.
      left_out: how many rows were left out, by reason.
    """

    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_set(source: str, split: str = "train", synthetic: bool = True) -> Prepared:
    """Reads a set to train on: a file, or the name of a data set at the hub, in any schema of `benchmarks.schemas`.

    Rows without a usable reference (empty, a proof, a solution without a final answer) are left out, and counted.

    Args:
      source: the file or the name.
      split: of the data set at the hub.
      synthetic: whether problems are kept of which their rows say that a model wrote them.

    Raises:
      DataError: no such file, the hub cannot be reached, rows of an unknown schema, or references that are solutions.
    """
    path = Path(source)
    if path.exists():
        read = read_file(path)
    else:
        from rstar_math.problems.hub import read_hub

        name = source.rpartition("/")[2]
        rows = enumerate(read_hub(source, split), start=1)
        read = [read_problem(row, f"{source}, row {number}", f"{name}-{number}", name) for number, row in rows]
        require_answers(source, read)
    made = Prepared()
    for one in read:
        if one.problem.answer is None:
            made.left_out[one.reason or NO_REFERENCE] += 1
        elif not synthetic and SYNTHETIC in one.notes:
            made.left_out["synthetic"] += 1
        else:
            made.problems.append(one.problem)
    return made


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
