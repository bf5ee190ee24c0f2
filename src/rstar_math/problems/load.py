"""Sets of problems: the splits of the pocket world, benchmarks, functions of your own, and JSONL files with `problem`
(or `question`) and `answer`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rstar_math.config import ProblemSource
from rstar_math.errors import DataError
from rstar_math.plugins import is_own, load_own
from rstar_math.problems import benchmarks
from rstar_math.problems.files import ReadProblem, read_file
from rstar_math.types import Problem

MADE = ("pocket/", "composed/")
"""How the names of problems begin that are made when they are needed."""

POCKET_SPLITS: tuple[Literal["train", "validation", "test", "base"], ...] = ("train", "validation", "test", "base")
COMPOSED_SPLITS = POCKET_SPLITS
_DEFAULT_POCKET_SIZE = 300


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """Problems with a name, and the hash of what was read, which every table names beside its numbers.

    Attributes:
      without: why problems have no reference, as (reason, how many); where rows were read from a file or the hub.
      notes: what else is to be known about some of them, likewise.
    """

    name: str
    problems: tuple[Problem, ...]
    sha256: str
    without: tuple[tuple[str, int], ...] = ()
    notes: tuple[tuple[str, int], ...] = ()


def load_problems(source: ProblemSource) -> ProblemSet:
    """Loads a set of problems.

    Raises:
      DataError: no such split or file, a malformed row (its line is named), a repeated id, or too few problems.
      ConfigError: the user's own function cannot be loaded.
    """
    if source.source.startswith("pocket/"):
        return _pocket(source)
    if source.source.startswith("composed/"):
        return _composed(source)
    path = Path(source.source)
    name = path.stem
    if is_own(source.source):
        name = path.name.partition(".py:")[0]
        read = [ReadProblem(problem) for problem in _own(source.source)]
    elif path.exists():
        read = read_file(path)
    elif (benchmark := benchmarks.find_benchmark(path.name)) is not None:
        name = benchmark.name
        if path.parent != Path("."):
            read = read_file(benchmarks.file_of(benchmark, path.parent))
        else:
            read = benchmarks.from_hub(benchmark)
    else:
        raise DataError(
            f"no problems at {source.source!r}: it is neither a file nor one of "
            + ", ".join([*(f"{world}{s}" for world in MADE for s in POCKET_SPLITS), *benchmarks.BENCHMARKS])
            + ", nor a function of yours (my_file.py:function)"
        )
    end = source.skip + (source.num_problems or 1)
    if end > len(read):
        asking = "num_problems" if not source.skip else f"num_problems after skip: {source.skip}"
        raise DataError(f"{path} has {len(read)} problems; {asking} asks for {end}")
    return _named(name, read[source.skip : None if source.num_problems is None else end])


def described(problems: ProblemSet) -> str:
    """One line to print before numbers: how many problems, how many without a reference, the hash of what was read."""
    without = sum(p.answer is None for p in problems.problems)
    benchmark = benchmarks.find_benchmark(problems.name)
    notes = [f"{len(problems.problems)} problems", f"sha256 {problems.sha256}"]
    if without:
        notes.append(f"{without} without a reference, not graded{_reasons(problems)}")
    notes += [f"{n} {note}" for note, n in problems.notes]
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
    return _named(source.source, [ReadProblem(problem) for problem in problems[source.skip :]])


def _composed(source: ProblemSource) -> ProblemSet:
    from rstar_math.pocket.composed import composed_problems
    from rstar_math.pocket.composed.splits import TIERS

    _, split, *tiers = source.source.split("/")
    if split not in COMPOSED_SPLITS:
        raise DataError(f"no composed split {split!r}; choose from {', '.join(COMPOSED_SPLITS)}")
    num_problems = source.num_problems or _DEFAULT_POCKET_SIZE
    problems = composed_problems(split, source.skip + num_problems, source.seed, tiers or tuple(TIERS))
    return _named(source.source, [ReadProblem(problem) for problem in problems[source.skip :]])


def union(sets: Sequence[ProblemSet]) -> ProblemSet:
    """All problems of some sets, each once, in their order.

    Raises:
      DataError: two different problems have the same id.
    """
    found: dict[str, Problem] = {}
    for problem in (problem for each in sets for problem in each.problems):
        if found.setdefault(problem.id, problem).question != problem.question:
            raise DataError(f"two training problems have the id {problem.id!r}; rename one of them")
    names = dict.fromkeys(each.name for each in sets)
    merged = _named(" + ".join(names), [ReadProblem(problem) for problem in found.values()])
    without = tuple(item for each in sets for item in each.without)
    return replace(merged, without=without, notes=tuple(item for each in sets for item in each.notes))


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
    """The problems of a file, without a reference where a row has no usable one; see `problem_files.read_file`."""
    return [read.problem for read in read_file(path)]


def with_references(problems: ProblemSet) -> ProblemSet:
    """The problems that have a reference: on others nothing can be verified. `without` goes on counting those.

    Raises:
      DataError: none has one.
    """
    kept = tuple(p for p in problems.problems if p.answer is not None)
    if not kept:
        raise DataError(
            f"{problems.name}: none of {len(problems.problems)} problems has a reference{_reasons(problems)}"
        )
    return replace(problems, problems=kept)


def left_out(problems: ProblemSet) -> str:
    """What `with_references` left out, in words; "" where it was nothing."""
    num_left_out = sum(n for _, n in problems.without)
    return f"{problems.name}: {num_left_out} problems left out{_reasons(problems)}" if num_left_out else ""


def _reasons(problems: ProblemSet) -> str:
    return f" ({', '.join(f'{reason}: {n}' for reason, n in problems.without)})" if problems.without else ""


def _named(name: str, read: Sequence[ReadProblem]) -> ProblemSet:
    digest = hashlib.sha256()
    for p in (one.problem for one in read):
        digest.update(f"{p.id}\0{p.question}\0{p.answer}\n".encode())
    return ProblemSet(
        name,
        tuple(one.problem for one in read),
        digest.hexdigest()[:16],
        tuple(Counter(one.reason for one in read if one.reason is not None).most_common()),
        tuple(Counter(note for one in read for note in one.notes).most_common()),
    )
