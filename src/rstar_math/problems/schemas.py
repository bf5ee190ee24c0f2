"""Which data set a row comes from, by its columns: one table, from which a row's problem is read.

Columns are compared without regard to case (`Problem`, `question`, `sQuestion`). The first schema of `SCHEMAS` whose
columns a row has is the row's; the last ones are what most data sets have in common: a question, and an answer or a
worked solution. A new data set is one more entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from rstar_math.problems import references
from rstar_math.problems.references import Reference

SYNTHETIC = "are synthetic"

Row = Mapping[str, Any]
"""A row with its columns in lower case (`lower_case`)."""

Reader = Callable[[Row], object]
Tier = Literal["gsm", "math", "olympiad"]

TIER_OF_SOURCE: dict[str, Tier] = {
    "gsm8k": "gsm",
    "orca_math": "gsm",
    "math": "math",
    "metamath": "math",
    "synthetic_math": "math",
    "cn_k12": "math",
    "synthetic_amc": "olympiad",
    "amc_aime": "olympiad",
    "aops_forum": "olympiad",
    "olympiads": "olympiad",
    "olympiads_ref": "olympiad",
    "number_theory": "olympiad",
    "inequalities": "olympiad",
    "cn_contest": "olympiad",
    "harp": "olympiad",
    "omnimath": "olympiad",
}
"""Tier of each value of `source` in NuminaMath-CoT, NuminaMath-1.5 and Big-Math; the paper keeps the competition-level
ones first of all."""


@dataclass(frozen=True, slots=True)
class Schema:
    """How rows of a data set are read.

    Attributes:
      name: what messages and docs/formats.md call it.
      columns: all of them are there, in lower case.
      question: gives the question.
      reference: gives the reference.
      lacks: none of these columns is there.
      one_of: at least one of these is there, where any is named.
      tier, source, id: give these, or None.
      refused: why a row that says so itself has no usable reference, or None.
      notes: what else is to be counted about a row, in words that follow a number.
      plain: `answer` is one text or number, as in rows of one's own; a list there is a mistake.
    """

    name: str
    columns: tuple[str, ...]
    question: Reader
    reference: Callable[[Row], Reference]
    lacks: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    tier: Reader = lambda row: None
    source: Reader = lambda row: row.get("source")
    id: Reader = lambda row: None
    refused: Callable[[Row], str | None] = lambda row: None
    notes: Callable[[Row], Sequence[str]] = lambda row: ()
    plain: bool = False

    def fits(self, columns: Container[str]) -> bool:
        """Whether a row with these columns is of the schema."""
        return (
            all(column in columns for column in self.columns)
            and not any(column in columns for column in self.lacks)
            and (not self.one_of or any(column in columns for column in self.one_of))
        )


def lower_case(row: Mapping[str, Any]) -> Row:
    """A row with its columns in lower case; of two that differ in case alone, the one in lower case counts."""
    return {k.lower(): v for k, v in row.items()} | {k: v for k, v in row.items() if k == k.lower()}


def schema_of(row: Row) -> Schema | None:
    """The schema of a row in lower case; None where it has no known column for a question."""
    return _with_columns(frozenset(row))


@lru_cache(256)  # the rows of a file have the same columns
def _with_columns(columns: frozenset[str]) -> Schema | None:
    return next((schema for schema in SCHEMAS if schema.fits(columns)), None)


# ---------------------------------------------------------------- readers


def first_of(*columns: str) -> Reader:
    """The first of several columns that is there and not null."""
    return lambda row: next((row[c] for c in columns if row.get(c) is not None), None)


def inside(value: object, *keys: str) -> object:
    """What stands under keys of nested mappings; None where one is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def user_turn(messages: object) -> object:
    """The text of the last user turn of a conversation; a text is itself."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return messages
    said = [m for m in messages if isinstance(m, Mapping) and (m.get("role") or m.get("from")) in ("user", "human")]
    return text_of(said[-1].get("content", said[-1].get("value"))) if said else None


def text_of(content: object) -> object:
    """The text of a message: a text, or a list of parts of which those of text are joined."""
    if not isinstance(content, Sequence) or isinstance(content, str):
        return content
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    return "".join(part for part in parts if isinstance(part, str)) or None


def body_and_question(row: Row) -> object:
    """The two columns of a word problem as one text."""
    body, question = str(row["body"] or "").strip(), str(row["question"] or "").strip()
    if not body or not question:
        return body or question
    return f"{body}{'' if body.endswith(tuple('.!?,:;')) else '.'} {question}"


def with_context(row: Row) -> object:
    """A question behind the text that several questions share."""
    context = row.get("context")
    return (
        f"{context.strip()}\n\n{row['question']}" if isinstance(context, str) and context.strip() else row["question"]
    )


def _numbers_filled_in(row: Row) -> object:
    """The question of a MAWPS template: `N_00` stands for the first of the numbers."""
    numbers = row["numbers"].split() if isinstance(row["numbers"], str) else list(row["numbers"] or [])

    def number(match: re.Match[str]) -> str:
        place = int(match.group(1))
        return _whole(numbers[place]) if place < len(numbers) else match.group()

    return re.sub(r"\bN_(\d\d)\b", number, str(row["question"]))


def _whole(value: object) -> str:
    text = str(value)
    return text.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", text) else text


# ---------------------------------------------------------------- references


def answer_in(*columns: str) -> Callable[[Row], Reference]:
    """The reference in the first of these columns of final answers."""
    read = first_of(*columns)
    return lambda row: references.from_answer(read(row))


def solution_in(*columns: str) -> Callable[[Row], Reference]:
    """The reference at the end of a worked solution in the first of these columns."""
    read = first_of(*columns)
    return lambda row: references.from_solution(read(row))


def _ground_truth(value: object) -> Reference:
    """A ground truth for a reward: a text, a number, or a list (also as JSON text) of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if isinstance(parsed, list) and all(isinstance(part, str) for part in parsed):
            value = parsed
    if isinstance(value, Mapping):
        value = value.get("target", value.get("value"))
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len({str(part) for part in value}) != 1:
            return Reference(None, f"{len(value)} ground truths, of which it is not said which counts")
        value = value[0]
    return references.from_answer(value)


def _without_unit(row: Row) -> Reference:
    """Answers of ASDiv: "9 (apples)", or several of these with semicolons between them."""
    parts = [re.sub(r"\s*\([^()]*\)\s*$", "", part).strip() for part in str(row["answer"] or "").split(";")]
    return references.from_answer(", ".join(part for part in parts if part))


def _all_numbers(row: Row) -> Reference:
    values = row["lsolutions"]
    return references.from_answer([_whole(v) for v in values] if isinstance(values, list) else values)


# ---------------------------------------------------------------- what rows say about themselves


def _numina_refused(row: Row) -> str | None:
    if str(row.get("question_type") or "").lower() == "proof":
        return "the answer is a proof"
    for column in ("problem_is_valid", "solution_is_valid"):
        value = row.get(column)
        if value is not None and str(value).lower() not in ("yes", "true", ""):
            return f"{column} is {str(value)[:40]!r}"
    return None


def is_synthetic(row: Row) -> bool:
    """Whether a row says of itself that a model wrote it."""
    return row.get("synthetic") is True or str(row.get("source") or "").startswith("synthetic_")


def _numina_notes(row: Row) -> Sequence[str]:
    return (SYNTHETIC,) if is_synthetic(row) else ()


def _olympiad_refused(row: Row) -> str | None:
    if any(row.get(f"image_{i}") for i in range(1, 10)) or str(row.get("modality") or "").lower() == "multimodal":
        return "the question needs a picture"
    return None


def _olympiad_notes(row: Row) -> Sequence[str]:
    notes = []
    if row.get("error") not in (None, "", 0, "0"):
        notes.append("allow a numerical error, which the grader does not use")
    if row.get("unit"):
        notes.append("expect a unit that the question may not name")
    return notes


def _tier_of_source(row: Row) -> object:
    return TIER_OF_SOURCE.get(str(row.get("source") or "").lower())


def _plain_tier(row: Row) -> object:
    named = first_of("tier", "level")(row)
    return _tier_of_source(row) if named is None else named


def _metamath_tier(row: Row) -> object:
    return "gsm" if str(row.get("type") or "").upper().startswith("GSM") else "math"


ANSWERS = ("answer", "final_answer", "expected_answer", "ground_truth", "gold_answer", "reference_answer", "target")
SOLUTIONS = ("solution", "rationale", "response", "output")
QUESTIONS = ("problem", "question", "query", "instruction", "input")


def _plain_reference(row: Row) -> Reference:
    """The final answer, or where there is none (also: not even an empty one) that of the worked solution."""
    if any(column in row for column in ANSWERS):
        return answer_in(*ANSWERS)(row)
    return solution_in(*SOLUTIONS)(row)


SCHEMAS: tuple[Schema, ...] = (
    Schema(
        "verl rows (DAPO, Skywork-OR1, ...)",
        ("prompt", "reward_model"),
        question=lambda row: (
            inside(row.get("extra_info"), "question")
            or inside(row.get("extra_info"), "original_question")
            or inside(row.get("extra_info"), "raw_problem")
            or user_turn(row["prompt"])
        ),
        reference=lambda row: _ground_truth(inside(row["reward_model"], "ground_truth")),
        source=first_of("data_source", "source"),
    ),
    Schema(
        "Open-Reasoner-Zero",
        ("0", "1"),
        question=lambda row: inside(row["0"], "value"),
        reference=lambda row: _ground_truth(inside(row["1"], "ground_truth", "value")),
    ),
    Schema(
        "conversations with a ground truth",
        ("messages",),
        question=lambda row: user_turn(row["messages"]),
        reference=lambda row: _ground_truth(first_of("ground_truth", "answer")(row)),
        lacks=("problem", "question"),
        one_of=("ground_truth", "answer"),
        source=first_of("source", "dataset"),
    ),
    Schema(
        "prompts with an answer (Big-Math for open-r1, AReaL, ...)",
        ("prompt",),
        question=lambda row: user_turn(row["prompt"]),
        reference=lambda row: (
            _ground_truth(first_of("ground_truth", "answer", "label", "target", "solutions")(row))
            if any(c in row for c in ("ground_truth", "answer", "label", "target", "solutions"))
            else references.from_solution(row["solution"])
        ),
        lacks=("problem", "question", "chosen", "completion"),
        one_of=("ground_truth", "answer", "label", "target", "solutions", "solution"),
        tier=_plain_tier,
    ),
    Schema(
        "OlympiadBench",
        ("question", "final_answer"),
        question=with_context,
        reference=answer_in("final_answer"),
        id=first_of("id"),
        refused=_olympiad_refused,
        notes=_olympiad_notes,
    ),
    Schema(
        "NuminaMath-1.5, OpenR1-Math",
        ("problem", "answer"),
        question=first_of("problem"),
        reference=answer_in("answer"),
        one_of=("question_type", "problem_is_valid", "solution_is_valid", "synthetic"),
        tier=_tier_of_source,
        refused=_numina_refused,
        notes=_numina_notes,
    ),
    Schema(
        "NuminaMath-CoT",
        ("source", "problem", "solution"),
        question=first_of("problem"),
        reference=solution_in("solution"),
        lacks=ANSWERS,
        tier=_tier_of_source,
        notes=_numina_notes,
    ),
    Schema(
        "MetaMathQA",
        ("query", "response"),
        question=first_of("query"),
        reference=solution_in("response"),
        lacks=ANSWERS,
        tier=_metamath_tier,
        source=lambda row: row.get("type") or "metamath",
    ),
    Schema(
        "ASDiv",
        ("body", "question", "answer"),
        question=body_and_question,
        reference=_without_unit,
        one_of=("formula", "solution_type", "solution-type"),
    ),
    Schema(
        "SVAMP",
        ("body", "question", "answer"),
        question=body_and_question,
        reference=lambda row: references.from_answer(_whole(row["answer"]) if row["answer"] is not None else None),
        id=first_of("id"),
    ),
    Schema(
        "MAWPS",
        ("squestion", "lsolutions"),
        question=first_of("squestion"),
        reference=_all_numbers,
    ),
    Schema(
        "MAWPS templates",
        ("question", "numbers", "answer"),
        question=_numbers_filled_in,
        reference=lambda row: references.from_answer(_whole(row["answer"]) if row["answer"] is not None else None),
    ),
    Schema(
        "Calc-X",
        ("question", "result"),
        question=first_of("question"),
        reference=answer_in("result"),
        lacks=ANSWERS,
        id=first_of("id"),
    ),
    # what is left: GSM8K, MATH, MATH-500, AIME, AMC, Omni-MATH, DeepScaleR, Big-Math, Polaris, and rows of one's own
    *(
        Schema(
            f"{question} with an answer or a solution",
            (question,),
            question=first_of(question),
            reference=_plain_reference,
            tier=_plain_tier,
            id=first_of("id", "unique_id"),
            plain=True,
        )
        for question in QUESTIONS
    ),
)


def known_columns() -> str:
    """The pairs of columns that messages name."""
    return (
        f"a question ({', '.join(QUESTIONS)}) with a final answer ({', '.join(ANSWERS)}) or a worked solution "
        f"({', '.join(SOLUTIONS)}); the data sets of docs/formats.md are read as well"
    )
