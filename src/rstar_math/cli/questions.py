"""`rstar solve --file`: many questions in one process, one JSON line each, in the order of the questions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rstar_math.cli.solution import solution_to_json
from rstar_math.cli.thinking import shown
from rstar_math.errors import DataError, UserError
from rstar_math.store.paths import reading
from rstar_math.terminal.visible import visible_json
from rstar_math.types import Problem, Solution

_NUM_AHEAD = 4
"""So many times the questions that are answered at once may wait for an earlier one, whose line comes first."""


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the file.

    Attributes:
      line: its number, from 1.
      problem: the question; None where the line cannot be read.
      id: as the line has it; None without one.
      error: why it cannot be read; None where it can.
    """

    line: int
    problem: Problem | None
    id: str | int | None = None
    error: str | None = None


@dataclass(slots=True)
class Outcome:
    """What came of all questions.

    Attributes:
      num_answered: questions with an answer.
      num_unfinished: questions without one.
      num_bad: lines that could not be read, and questions that were refused.
    """

    num_answered: int = 0
    num_unfinished: int = 0
    num_bad: int = 0


def read_question(number: int, line: bytes) -> Question | None:
    """One line: a JSON object with `question` or `problem` (and perhaps `id` and `answer`), a JSON text, or plain text.

    Returns:
      The question; None for a line without text.
    """
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        return Question(number, None, error=f"it is not UTF-8: {error.reason} at byte {error.start}")
    if not text:
        return None
    if text[0] not in '{"':
        return Question(number, Problem(f"line-{number}", text))
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        if text[0] == '"':  # plain text that begins with a quotation
            return Question(number, Problem(f"line-{number}", text))
        return Question(number, None, error=f"it is not JSON: {error}")
    if isinstance(value, str):
        value = {"question": value}
    name = next((key for key in ("question", "problem") if key in value), None)
    if name is None:
        return Question(number, None, error=f"it has neither `question` nor `problem`, but {_listed(value)}")
    own_id, answer = value.get("id"), value.get("answer")
    if not isinstance(own_id, str | int | None) or isinstance(own_id, bool):
        return Question(number, None, error=f"`id` is {own_id!r}; give a text or a whole number")
    if not isinstance(value[name], str) or not value[name].strip():
        return Question(number, None, own_id, f"`{name}` is {_shortened(value[name])}; give the text of a question")
    reference = answer if isinstance(answer, str) else None if answer is None else json.dumps(answer)
    return Question(number, Problem(f"line-{number}", value[name].strip(), reference), own_id)


async def answer_all(
    lines: AsyncIterator[bytes],
    solve: Callable[[str], Awaitable[Solution]],
    write: Callable[[Question, Solution | str], None],
    num_at_once: int,
) -> Outcome:
    """Answers line by line, several at a time, and writes in the order of the lines, each as soon as it can be.

    A line that cannot be read, and a question that is refused, are written with the reason; the others go on.

    Raises:
      RStarError: an engine or the sandbox failed; what was finished before has been written.
    """
    outcome = Outcome()
    at_once = asyncio.Semaphore(num_at_once)
    queue = asyncio.Queue[tuple[Question, asyncio.Task[Solution | str] | None] | None](_NUM_AHEAD * num_at_once)

    async def begin() -> None:
        number = 0
        async for line in lines:
            number += 1
            question = read_question(number, line)
            if question is not None:
                problem = question.problem
                task = group.create_task(_solved(solve, problem.question, at_once)) if problem is not None else None
                await queue.put((question, task))
        await queue.put(None)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(begin())
            while (item := await queue.get()) is not None:
                question, task = item
                found = question.error or "" if task is None else await task
                if isinstance(found, str):
                    outcome.num_bad += 1
                elif found.answer is None:
                    outcome.num_unfinished += 1
                else:
                    outcome.num_answered += 1
                write(question, found)
    except BaseExceptionGroup as several:  # what went wrong first is what went wrong
        raise several.exceptions[0] from None
    return outcome


async def _solved(
    solve: Callable[[str], Awaitable[Solution]], question: str, at_once: asyncio.Semaphore
) -> Solution | str:
    """The solution, or why this question is refused."""
    try:
        async with at_once:
            return await solve(question)
    except UserError as error:
        return str(error)


def to_json(question: Question, found: Solution | str) -> dict[str, Any]:
    """One line of the output."""
    names: dict[str, Any] = {"line": question.line}
    if question.id is not None:
        names["id"] = question.id
    if isinstance(found, str):
        return names | {"error": found}
    assert question.problem is not None
    return names | solution_to_json(found, question.problem)


async def lines_of(stream: BinaryIO) -> AsyncIterator[bytes]:
    """The lines of a stream as they come, read in a thread of their own: a pipe may pause for as long as it likes."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes | Exception] = asyncio.Queue()
    room = threading.Semaphore(1_000)

    def tell(item: bytes | Exception) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(arrived.put_nowait, item)

    def read() -> None:
        try:
            for line in stream:
                room.acquire()
                tell(line)
        except (OSError, ValueError) as error:  # ValueError: closed, because nobody reads on
            tell(DataError(f"the questions cannot be read: {error}"))
        tell(b"")

    threading.Thread(target=read, name="rstar-questions", daemon=True).start()
    while item := await arrived.get():
        if isinstance(item, Exception):
            raise item
        room.release()
        yield item


def open_questions(path: str) -> BinaryIO:
    """The file, or standard input for `-`.

    Raises:
      DataError: it cannot be opened.
    """
    if path == "-":
        # a file object of its own: at its end Python waits for nobody who still reads from it
        return open(os.dup(sys.stdin.fileno()), "rb")
    with reading(Path(path)):
        return open(Path(path), "rb")


async def questions_command(stream: BinaryIO, solve: Callable[[str], Awaitable[Solution]], num_at_once: int) -> Outcome:
    """Answers the questions of a stream, and prints one JSON line for each."""
    began, done, tokens = time.monotonic(), 0, 0

    def write(question: Question, found: Solution | str) -> None:
        nonlocal done, tokens
        done += 1
        if isinstance(found, str):
            print(f"rstar: line {question.line}: {found}", file=sys.stderr)
        else:
            tokens += found.cost.tokens_generated
        print(visible_json(to_json(question, found)), flush=True)

    def line() -> str:
        return f"{done:,} questions answered, {tokens:,} tokens, {time.monotonic() - began:.0f} s"

    with shown(line):
        return await answer_all(lines_of(stream), solve, write, num_at_once)


def _listed(value: dict[str, object]) -> str:
    return ", ".join(f"`{key}`" for key in list(value)[:5]) or "nothing"


def _shortened(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
