"""Sets of problems: the splits of the pocket world, benchmarks, functions of your own, and JSONL files with `problem`
(or `question`) and `answer`."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rstar_math.benchmarks import registry
from rstar_math.config import ProblemSource
from rstar_math.errors import DataError
from rstar_math.own_code import is_own, load_own
from rstar_math.store.files import read_jsonl
from rstar_math.types import Problem

POCKET_SPLITS: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
_DEFAULT_POCKET_SIZE = 300


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """Problems with a name, and the hash of what was read, which every table names beside its numbers."""

    name: str
    problems: tuple[Problem, ...]
    sha256: str


def load_problems(source: ProblemSource) -> ProblemSet:
    """Loads a set of problems.

    Raises:
      DataError: no such split or file, a malformed row (its line is named), a repeated id, or too few problems.
      ConfigError: the user's own function cannot be loaded.
    """
    if source.source.startswith("pocket/"):
        return _pocket(source)
    path = Path(source.source)
    name = path.stem
    if is_own(source.source):
        name = path.name.partition(".py:")[0]
        problems = _own(source.source)
    elif path.exists():
        problems = read_problems(path)
    elif (benchmark := registry.find_benchmark(path.name)) is not None:
        name = benchmark.name
        if path.parent != Path("."):
            problems = read_problems(registry.file_of(benchmark, path.parent))
        else:
            problems = registry.from_hub(benchmark)
    else:
        raise DataError(
            f"no problems at {source.source!r}: it is neither a file nor one of "
            + ", ".join([*(f"pocket/{s}" for s in POCKET_SPLITS), *registry.BENCHMARKS])
            + ", nor a function of yours (my_file.py:function)"
        )
    end = source.skip + (source.num_problems or 1)
    if end > len(problems):
        asking = "num_problems" if not source.skip else f"num_problems after skip: {source.skip}"
        raise DataError(f"{path} has {len(problems)} problems; {asking} asks for {end}")
    return _named(name, problems[source.skip : None if source.num_problems is None else end])


def described(problems: ProblemSet) -> str:
    """One line to print before numbers: how many problems, how many without a reference, the hash of what was read."""
    without = sum(p.answer is None for p in problems.problems)
    benchmark = registry.find_benchmark(problems.name)
    notes = [f"{len(problems.problems)} problems", f"sha256 {problems.sha256}"]
    if without:
        notes.append(f"{without} without a reference, not graded")
    if benchmark is not None and len(problems.problems) != benchmark.num_problems:
        notes.append(f"{benchmark.title} has {benchmark.num_problems}")
    if benchmark is not None and benchmark.note:
        notes.append(benchmark.note)
    return f"{problems.name}: " + "; ".join(notes)


def _pocket(source: ProblemSource) -> ProblemSet:
    from rstar_math.pocket.splits import pocket_problems

    name = source.source.removeprefix("pocket/")
    split = next((s for s in POCKET_SPLITS if s == name), None)
    if split is None:
        raise DataError(f"no pocket split {name!r}; choose from {', '.join(POCKET_SPLITS)}")
    num_problems = source.num_problems or _DEFAULT_POCKET_SIZE
    problems = pocket_problems(split, source.skip + num_problems, seed=source.seed)
    return _named(source.source, problems[source.skip :])


def _own(spec: str) -> list[Problem]:
    problems = list(load_own(spec, "a list of problems")())
    if not problems or not all(isinstance(p, Problem) for p in problems):
        shown = f"a {type(problems[0]).__name__}" if problems else "nothing"
        raise DataError(f"{spec} must give rstar_math.Problem objects, and gives {shown}")
    repeated = [name for name, count in Counter(p.id for p in problems).items() if count > 1]
    if repeated:
        raise DataError(f"{spec} gives {len(repeated)} ids more than once, for example {repeated[0]!r}")
    return problems


def read_problems(path: Path) -> list[Problem]:
    """Reads a JSONL file: `problem` or `question`, `answer`; optionally `id`, `tier` (or `level`), `source`.

    An empty answer is no reference: such a problem is searched and reported, and not graded. Rows without an id get
    "<file name>-<line number>". Problems are known by id: two rows may ask the same question.
    """
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, row in read_jsonl(path):
        question = row.get("problem", row.get("question"))
        if not isinstance(question, str) or not question.strip():
            raise DataError(f"{path}, line {number}: needs a text `problem` (or `question`), has keys {sorted(row)}")
        if not question.isascii() and not _is_encodable(question):
            raise DataError(f"{path}, line {number}: the question has half of a surrogate pair, which is no character")
        answer = row.get("answer")
        if answer is not None and (isinstance(answer, bool) or not isinstance(answer, str | int | float)):
            raise DataError(f"{path}, line {number}: `answer` must be text or a number, got {answer!r}")
        problem_id = f"{path.stem}-{number}" if row.get("id") in (None, "") else str(row["id"])
        if problem_id in seen:
            raise DataError(f"{path}, line {number}: id {problem_id!r} stands already on line {seen[problem_id]}")
        seen[problem_id] = number
        tier = row.get("tier", row.get("level"))
        problems.append(
            Problem(
                id=problem_id,
                question=question,
                answer=None if answer is None or not str(answer).strip() else str(answer),
                tier=None if tier is None else str(tier),
                source=row.get("source") if isinstance(row.get("source"), str) else path.stem,
                part=row.get("part") if isinstance(row.get("part"), str) else None,
            )
        )
    if not problems:
        raise DataError(f"{path} has no problems")
    return problems


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(name: str, problems: list[Problem]) -> ProblemSet:
    digest = hashlib.sha256()
    for p in problems:
        digest.update(f"{p.id}\0{p.question}\0{p.answer}\n".encode())
    return ProblemSet(name, tuple(problems), digest.hexdigest()[:16])
