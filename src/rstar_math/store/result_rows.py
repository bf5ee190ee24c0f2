"""The result rows of an evaluation, checked one by one: what docs/formats.md promises of each column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rstar_math.store.journal import ReadJournal, read_journal

UNREADABLE = "result rows that cannot be read"
"""Name under which a report counts them."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Candidates(_Part):
    classes: list[int | None]
    correct: list[bool | None]
    values: list[float | None]
    log_scores: list[float | None] | None = None
    logprobs: list[float | None] | None = None


class _ResultRow(_Part):
    """The columns that are read. Those with a default came later: older rows lack them."""

    benchmark: str
    model: str
    strategy: str
    seed: int
    problem: str
    tier: str | None
    part: str | None
    reference: str | None
    answer: str | None
    correct: bool | None
    any_correct: bool | None
    grading_timed_out: bool
    confidence: float
    sure: bool | None
    num_trajectories: int = Field(ge=0)
    solution: str
    tokens_generated: int = Field(ge=0)
    tokens_scored: int = Field(ge=0)
    model_calls: int = Field(ge=0)
    executions: int = Field(ge=0)
    cpu_seconds: float
    seconds: float
    method: str = ""
    scorer: str | None = None
    budget: dict[str, float] | None = None
    num_rollouts: int = 0
    process_cpu_seconds: float | None = None
    shared: bool = False
    num_not_reproduced: int = Field(default=0, ge=0)
    candidates: _Candidates | None = None


def wrong_in_result(row: dict[str, Any]) -> str | None:
    """What is wrong with a result row, or None."""
    try:
        _ResultRow.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


def read_results(path: Path) -> ReadJournal:
    """The result rows of a file; what is none is a spoiled line. Nothing where there is no file.

    Raises:
      DataError: the file cannot be read.
    """
    return read_journal(path, wrong_in_result)
