"""The benchmarks of the paper by name: where they lie at the hub, how their rows are read, what the paper reports.

No row of any benchmark is part of the package. A benchmark is read from the hub by its data set's own name and split,
or from a file or folder of this machine; every table names the number of problems and the hash of what was read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError
from rstar_math.problems import references
from rstar_math.problems.files import PROSE, ReadProblem
from rstar_math.problems.references import Reference
from rstar_math.store.row_files import ROW_FILES
from rstar_math.types import Problem

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HubSource:
    """A data set at the hub.

    Attributes:
      repository: its name.
      configs: its configurations, read one after another; (None,) for the default one.
      split: which split.
      question, answer: column names.
      reference_of: takes the reference from what stands in the column `answer`.
      tier: column of the tier, or None.
      id: column of the id, or None: the row number.
    """

    repository: str
    split: str
    question: str
    answer: str
    configs: tuple[str | None, ...] = (None,)
    reference_of: Callable[[object], Reference] = references.from_answer
    tier: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class PaperFigures:
    """What the paper reports of Qwen2.5-Math-7B after four rounds, in percent; None where no source was at hand.

    Attributes:
      base: the base model, greedy (tables 3 and 5).
      policy: the policy of round 4 alone, greedy (table 5).
      system: policy and PPM, MCTS (table 5).
      system_64: with 64 trajectories (tables 1 and 5).
      tokens_per_trajectory: tokens that MCTS generates for one trajectory (table 9).
    """

    base: float | None = None
    policy: float | None = None
    system: float | None = None
    system_64: float | None = None
    tokens_per_trajectory: int | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark.

    Attributes:
      name: as commands call it.
      title: as tables call it.
      num_problems: how many it has; another number is noted beside the results.
      hub: where it lies at the hub.
      aliases: other names, and names of files (without .jsonl).
      paper: figures to put beside ours.
      note: what is known to be wrong with it, or "".
    """

    name: str
    title: str
    num_problems: int
    hub: HubSource
    aliases: tuple[str, ...] = ()
    paper: PaperFigures = field(default_factory=PaperFigures)
    note: str = ""


_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)

_PAPER_MATH = PaperFigures(base=58.8, policy=78.4, system=89.4, system_64=90.0)
"""The paper calls it MATH in its tables, and names MATH-500 in section 4.1 as what it measures on."""

BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        Benchmark(
            "math500",
            "MATH-500",
            500,
            HubSource("HuggingFaceH4/MATH-500", "test", "problem", "answer", tier="level", id="unique_id"),
            paper=_PAPER_MATH,
        ),
        Benchmark(
            "math",
            "MATH",
            5000,
            HubSource(
                "EleutherAI/hendrycks_math",
                "test",
                "problem",
                "solution",
                configs=_MATH_SUBJECTS,
                reference_of=references.from_solution,
                tier="level",
            ),
            aliases=("math_test", "hendrycks_math"),
            paper=_PAPER_MATH,
            note="contains MATH-500, on which the paper measures what it reports for MATH",
        ),
        Benchmark(
            "aime2024",
            "AIME 2024",
            30,
            HubSource("HuggingFaceH4/aime_2024", "train", "problem", "answer", id="id"),
            aliases=("aime24", "aime"),
            paper=PaperFigures(policy=26.7, system=50.0, system_64=53.3, tokens_per_trajectory=15693),
        ),
        Benchmark(
            "amc2023",
            "AMC 2023",
            40,
            HubSource("math-ai/amc23", "test", "question", "answer", id="id"),
            aliases=("amc23", "amc"),
            paper=PaperFigures(policy=47.5, system=87.5),
        ),
        Benchmark(
            "olympiadbench",
            "OlympiadBench",
            675,
            HubSource("math-ai/olympiadbench", "test", "question", "final_answer", id="id"),
            aliases=("olympiad", "olympiad_bench"),
            paper=PaperFigures(policy=47.1, system=65.3, system_64=65.6),
        ),
        Benchmark(
            "collegemath",
            "College Math",
            2818,
            HubSource("di-zhang-fdu/College_Math_Test", "test", "question", "answer"),
            aliases=("college_math", "college"),
            paper=PaperFigures(policy=52.5, system=59.0),
            note="36 rows repeat an earlier question, some 190 references are prose",
        ),
        Benchmark(
            "gsm8k",
            "GSM8K",
            1319,
            HubSource("openai/gsm8k", "test", "question", "answer", configs=("main",)),
            aliases=("gsm8k_test", "gsm"),
            paper=PaperFigures(tokens_per_trajectory=3299),
            note="at least one reference is wrong (row 454: 240 is right)",
        ),
        Benchmark(
            "gaokao2023en",
            "Gaokao En 2023",
            385,
            HubSource("MARIO-Math-Reasoning/Gaokao2023-Math-En", "train", "question", "answer"),
            aliases=("gaokao", "gaokao2023", "gaokao_en_2023"),
            note="2 references are empty",
        ),
        Benchmark(
            "omnimath",
            "Omni-MATH",
            4428,
            HubSource("KbsdJames/Omni-MATH", "test", "problem", "answer", tier="difficulty"),
            aliases=("omni", "omni_math"),
            note="9 references are empty, about 280 are prose",
        ),
    )
}


def find_benchmark(name: str) -> Benchmark | None:
    """The benchmark that a name, an alias or the name of a file means; None where it is none of them."""
    plain = _plain(name)
    for benchmark in BENCHMARKS.values():
        if plain in {_plain(n) for n in (benchmark.name, benchmark.title, *benchmark.aliases)}:
            return benchmark
    return None


def file_of(benchmark: Benchmark, folder: Path) -> Path:
    """The file of a benchmark in a folder of this machine.

    Raises:
      DataError: there is none under any of its names.
    """
    there = [path for ending in ROW_FILES for path in sorted(folder.glob(f"*{ending}"))]
    for path in there:
        if find_benchmark(path.stem) is benchmark:
            return path
    found = ", ".join(path.name for path in there) or "nothing"
    raise DataError(f"no file of {benchmark.name} in {folder} ({', '.join(f'*{e}' for e in ROW_FILES)} there: {found})")


def from_hub(benchmark: Benchmark) -> list[ReadProblem]:
    """Reads a benchmark from the hub, or from the hub's cache.

    Raises:
      DataError: it cannot be read; says what to do without the hub.
    """
    from rstar_math.problems.hub import read_hub

    source = benchmark.hub
    problems = []
    for config in source.configs:
        for number, row in enumerate(read_hub(source.repository, source.split, config)):
            problems.append(to_problem(benchmark, row, number, config))
    return problems


def to_problem(benchmark: Benchmark, row: Row, number: int, config: str | None = None) -> ReadProblem:
    """A row of the hub as a problem.

    Raises:
      DataError: a column is missing.
    """
    source = benchmark.hub
    missing = [c for c in (source.question, source.answer) if c not in row]
    if missing:
        raise DataError(
            f"{source.repository} has no column {missing[0]!r} (it has {', '.join(sorted(row))}); it may have changed: "
            "give a file of your own instead"
        )
    reference = source.reference_of(row[source.answer])
    own_id = row.get(source.id) if source.id else None
    tier = row.get(source.tier) if source.tier else None
    problem = Problem(
        id=str(own_id) if own_id is not None else "-".join(filter(None, (benchmark.name, config, str(number)))),
        question=str(row[source.question]),
        answer=reference.text,
        tier=None if tier is None else str(tier),
        source=source.repository,
    )
    return ReadProblem(problem, reference.reason, (PROSE,) if reference.is_prose else ())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
