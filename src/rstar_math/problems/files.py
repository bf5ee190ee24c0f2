"""Problems in files of any known schema: rows become problems, and what is wrong with a row is said or counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.errors import DataError
from rstar_math.problems.references import MAX_SENTENCE_WORDS, WHOLE_SOLUTION, Reference
from rstar_math.problems.schemas import known_columns, lower_case, schema_of
from rstar_math.store.row_files import read_rows
from rstar_math.types import Problem

PROSE = f"have a sentence of more than {MAX_SENTENCE_WORDS} words as reference"


@dataclass(frozen=True, slots=True)
class ReadProblem:
    """A problem as it was read.

    Attributes:
      problem: without a reference where its row has no usable one.
      reason: why it has none; None where it has one, or where nobody looked.
      notes: what else is to be counted about it, in words that follow a number.
    """

    problem: Problem
    reason: str | None = None
    notes: tuple[str, ...] = ()


def read_file(path: Path) -> list[ReadProblem]:
    """Reads JSON Lines, a JSON list or Parquet, in any of the schemas of `rstar_math.problems.schemas`.

    A row without a usable reference (empty, a proof, a whole solution without a final answer) is a problem without one:
    it is searched and reported, and not graded. Rows without an id get "<file name>-<line number>". Problems are known
    by id: two rows may ask the same question.

    Raises:
      DataError: a row has no question or an answer that is no text (names the line), an id stands twice, or more than
        half of the references are whole solutions or sentences: then the wrong column was read.
    """
    found: list[ReadProblem] = []
    line_of: dict[str, int] = {}
    for number, row in read_rows(path):
        where = f"{path}, line {number}"
        read = read_problem(row, where, f"{path.stem}-{number}", path.stem)
        if read.problem.id in line_of:
            raise DataError(f"{where}: id {read.problem.id!r} stands already on line {line_of[read.problem.id]}")
        line_of[read.problem.id] = number
        found.append(read)
    if not found:
        raise DataError(f"{path} has no problems")
    require_answers(str(path), found)
    return found


def require_answers(where: str, found: Iterable[ReadProblem]) -> None:
    """Refuses a set most of whose references are whole solutions or sentences.

    Raises:
      DataError: more than half are; says how to give final answers.
    """
    found = list(found)
    wordy = [one.problem.id for one in found if one.reason == WHOLE_SOLUTION or PROSE in one.notes]
    if 2 * len(wordy) > len(found):
        raise DataError(
            f"{where}: the references of {len(wordy)} of {len(found)} rows, the first {wordy[0]!r}, are whole "
            "solutions or sentences, which no answer equals. Put the final answer alone into `answer`, or end each "
            "solution with `#### ANSWER`, `\\boxed{ANSWER}` or `The answer is: ANSWER`"
        )


def read_problem(row: Mapping[str, Any], where: str, default_id: str, default_source: str) -> ReadProblem:
    """The problem of a row of any known schema.

    Args:
      row: as it was read, columns in any case.
      where: what messages call it.
      default_id: where the row has none.
      default_source: where the row names none.

    Raises:
      DataError: no known schema, no question, or an answer that is neither text nor a number.
    """
    columns = lower_case(row)
    schema = schema_of(columns)
    if schema is None:
        keys = sorted(map(str, row))
        raise DataError(f"{where}: needs a text `problem` (or `question`), has keys {keys}. Read is {known_columns()}")
    question = schema.question(columns)
    if not isinstance(question, str) or not question.strip():
        raise DataError(
            f"{where}: needs a text `problem` (or `question`); read as {schema.name}, it has {str(question)[:80]!r}"
        )
    if schema.plain and not _is_answer(value := columns.get("answer")):
        raise DataError(f"{where}: `answer` must be text or a number, got {str(value)[:80]}")
    refused = schema.refused(columns)
    reference = schema.reference(columns) if refused is None else Reference(None, refused)
    for name, text in (("question", question), ("answer", reference.text)):
        if text is not None and not _is_encodable(text):
            raise DataError(f"{where}: the {name} has half of a surrogate pair, which is no character")
    own_id, tier, source, part = schema.id(columns), schema.tier(columns), schema.source(columns), columns.get("part")
    problem = Problem(
        id=default_id if own_id in (None, "") else str(own_id),
        question=question,
        answer=reference.text,
        tier=None if tier is None else str(tier),
        source=source if isinstance(source, str) and source else default_source,
        part=part if isinstance(part, str) else None,
    )
    for name in ("id", "tier", "source", "part"):
        if isinstance(text := getattr(problem, name), str) and not _is_encodable(text):
            raise DataError(f"{where}: the {name} has half of a surrogate pair, which is no character")
    notes = (*schema.notes(columns), *((PROSE,) if reference.is_prose else ()))
    return ReadProblem(problem, reference.reason, notes)


def _is_answer(value: object) -> bool:
    return not isinstance(value, bool | Mapping) and (isinstance(value, str) or not isinstance(value, Sequence))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
