"""`rstar solve --file`: which lines are questions, the order of the answers, and the exit status."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rstar_math.cli.app import app
from rstar_math.cli.questions import Question, answer_all, read_question
from rstar_math.engines.fake import FakePolicy
from rstar_math.errors import ConfigError, EngineError
from rstar_math.types import Solution, Unfinished
from tests import warm
from tests.walking import command, refused

QUESTION = "Dan fills 23 trays with 17 buttons each, and 37 buttons get broken. How many are whole?"


SURE_HAND = FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0)


RSTAR = Path(sys.executable).with_name("rstar")


@pytest.mark.parametrize(
    ("line", "question", "own_id"),
    [
        (b"What is 2 + 3?\n", "What is 2 + 3?", None),
        (b"\xef\xbb\xbfWhat is 2 + 3?\r\n", "What is 2 + 3?", None),
        (b'{"question": " Q? ", "id": 7}', "Q?", 7),
        (b'{"problem": "Q?", "id": "a", "answer": "5"}', "Q?", "a"),
        (b'"Q?"\n', "Q?", None),
        (b'"Go," he said. How far?\n', '"Go," he said. How far?', None),
        (b"[1, 2] has which sum?", "[1, 2] has which sum?", None),
    ],
)
def test_lines_that_are_questions(line: bytes, question: str, own_id: str | int | None) -> None:
    found = read_question(1, line)
    assert found is not None
    assert found.problem is not None
    assert (found.problem.question, found.id, found.error) == (question, own_id, None)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"question": "Q?"', "it is not JSON"),
        (b'{"text": "Q?"}', "neither `question` nor `problem`, but `text`"),
        (b"{}", "but nothing"),
        (b'{"question": 3}', "`question` is 3"),
        (b'{"question": null}', "`question` is null"),
        (b'{"question": " "}', "give the text of a question"),
        (b'{"question": "Q?", "id": [1]}', "`id` is"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b'{"a":' * 100_000, "it is not JSON"),
    ],
)
def test_lines_that_are_none(line: bytes, error: str) -> None:
    found = read_question(4, line)
    assert found is not None
    assert found.problem is None
    assert found.error is not None
    assert error in found.error
    assert read_question(1, b" \n") is None


Answerer = Callable[[str], Awaitable[Solution]]


def answered(lines: list[bytes], solve: Answerer, num_at_once: int = 3) -> list[tuple[int, str | None]]:
    written: list[tuple[int, str | None]] = []

    async def stream() -> Any:
        for line in lines:
            yield line

    def write_one(question: Question, found: Solution | str) -> None:
        written.append((question.line, found if isinstance(found, str) else found.answer))

    asyncio.run(answer_all(stream(), solve, write_one, num_at_once))
    return written


def test_answers_come_in_order_though_they_end_in_another() -> None:
    begun: list[str] = []
    most = now = 0

    async def solve(question: str) -> Solution:
        nonlocal most, now
        begun.append(question)
        now += 1
        most = max(most, now)
        for _ in range(50 - int(question)):  # the later, the quicker
            await asyncio.sleep(0)
        now -= 1
        if question == "5":
            raise ConfigError("not this one")
        return Solution(question, (), None)

    lines = [*(str(i).encode() for i in range(10)), b"{", b"\n", b"11"]
    written = answered(lines, solve)
    assert [line for line, _ in written] == [*range(1, 12), 13]
    assert [a for _, a in written[:5]] == ["0", "1", "2", "3", "4"]
    assert written[5] == (6, "not this one")
    assert "it is not JSON" in str(written[10][1])
    assert written[-1] == (13, "11")
    assert most == 3


def test_a_broken_engine_ends_all_after_what_was_finished() -> None:
    stopped: list[str] = []

    async def solve(question: str) -> Solution:
        if question == "2":
            raise EngineError("the server is gone")
        if question > "2":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(question)
                raise
        return Solution(question, (), None)

    with pytest.raises(EngineError, match="the server is gone"):
        answered([b"1", b"2", b"3", b"4"], solve)
    assert sorted(stopped) == ["3", "4"]


def rstar(*args: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return warm.run(*args, text=text)


def test_a_file_of_questions(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    too_long = "apples and " * 2_000
    path.write_text(f'{{"question": "{QUESTION}", "id": "a", "answer": "354"}}\nnot {{json\n{{"x": 1}}\n{too_long}\n')
    from_file = command("solve", "--file", str(path))
    rows = [json.loads(line) for line in from_file.stdout.splitlines()]
    assert [row["line"] for row in rows] == [1, 2, 3, 4]
    assert (rows[0]["id"], rows[0]["answer"], rows[0]["reference"], rows[0]["sure"]) == ("a", "354", "354", True)
    assert "error" in rows[2]
    assert rows[3]["unfinished"] == Unfinished.QUESTION_TOO_LONG
    assert "Shorten it" in rows[3]["why"]
    assert from_file.returncode == 2
    assert "line 3: it has neither" in from_file.stderr
    assert "2 answered, 1 without an answer, 1 refused" in from_file.stderr
    from_input = rstar("solve", "--file", "-", "--concurrency", "1", text=f"{QUESTION}\n{too_long}")
    first, second = map(json.loads, from_input.stdout.splitlines())
    assert first["answer"] == "354"
    assert second["answer"] is None
    assert from_input.returncode == 3


def test_no_answer_has_an_exit_status_and_words(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["solve", "apples and " * 2_000])
    assert done.exit_code == 3
    assert "No solution was finished." in done.stdout
    assert "Why: the question leaves no room in the model's context" in " ".join(done.stdout.split())
    shallow = CliRunner().invoke(app, ["solve", QUESTION, "--max-depth", "1", "--json"])
    assert shallow.exit_code == 3
    assert json.loads(shallow.stdout)["unfinished"] == "depth_limit"
    short = CliRunner().invoke(app, ["solve", QUESTION, "--set", "search.max_step_tokens=4", "--json"])
    assert json.loads(short.stdout)["unfinished"] in ("step_too_long", "format_ignored")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["Q?", "--file", "x"], "give only one of a question and --file"),
        (["--interactive", "--file", "x"], "give only one of --file and --interactive"),
        (["--file", "nowhere.jsonl"], "cannot read nowhere.jsonl: there is no such file"),
        (["--file", "."], "cannot read .: it is a folder"),
        (["--file", "-", "--concurrency", "0"], "--concurrency is 0"),
        (["Q?", "--set", "search.depth=3"], "search.depth"),
        (["Q?", "--trees", "0"], "num_trees"),
        (["Q?", "--model", "pocket-base", "--strategy", "mcts"], "pocket-base has none"),
    ],
)
def test_commands_that_are_refused(args: list[str], message: str) -> None:
    assert message in refused("solve", *args)
