"""`rstar execute`: one line for each program, in order, whatever the programs do and whatever stands between them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from rstar_math.errors import DataError
from rstar_math.execution.files import MAX_LINE_BYTES, ExecutedFile, execute_file
from tests.execution.conftest import QUICK


def execute(tmp_path: Path, content: bytes) -> tuple[list[dict[str, Any]], ExecutedFile, str]:
    """The rows that were written, what was returned, and what was reported."""
    programs, out, report = tmp_path / "programs.jsonl", tmp_path / "results.jsonl", io.StringIO()
    programs.write_bytes(content)
    executed = execute_file(programs, out, QUICK, num_slots=2, report=report)
    written = out.read_bytes()
    assert written.count(b"\n") == executed.num_programs == len(written.splitlines())
    return [json.loads(line) for line in written.decode("ascii").split("\n")[:-1]], executed, report.getvalue()


def line(identity: object, *steps: object) -> bytes:
    return json.dumps({"id": identity, "steps": steps}).encode() + b"\n"


def test_results_are_in_the_order_of_the_programs_whatever_they_do(tmp_path: Path) -> None:
    programs: list[tuple[list[str], list[tuple[str, str]]]] = [
        (["import time\ntime.sleep(0.5)\nprint('slow')"], [("ok", "slow\n")]),
        (["x = 1\nprint(x)", "print(x + 1)"], [("ok", "1\n"), ("ok", "2\n")]),
        (["print('a')\nwhile True: pass"], [("cpu_limit", "a\n")]),
        (["print('a')", "print('b')\n1 / 0", "print('c')"], [("ok", "a\n"), ("error", "b\n")]),
        (["import os\nprint('a')\nos._exit(0)"], [("killed", "a\n")]),
        ([], []),
        (["print('\\n\\u2028\\x00\"}\\n{\\ud800')"], [("ok", '\n\u2028\x00"}\n{?\n')]),
        (["raise Exception('\\ud800\\n{')"], [("error", "")]),
        (["import sys\nsys.__stdout__.write('{}\\n')\nsys.__stdout__.flush()"], [("ok", "")]),
        (["print('secret' in globals())"], [("ok", "False\n")]),
    ]
    content = b"".join(line(i, *steps) for i, (steps, _) in enumerate(programs))
    rows, executed, report = execute(tmp_path, content)
    assert [row["id"] for row in rows] == list(range(len(programs)))
    for row, (_, expected) in zip(rows, programs, strict=True):
        assert list(row) == ["id", "executions"]
        assert [(e["status"], e["output"]) for e in row["executions"]] == expected
        for execution in row["executions"]:
            assert list(execution) == ["status", "output", "error", "seconds"]
            assert (execution["error"] is None) == (execution["status"] == "ok")
            assert execution["seconds"] >= 0
    assert executed.malformed == ()
    assert report == ""


MALFORMED = [
    (b"not json\n", "not JSON"),
    (b'{"id": 1, "steps": ["x"]\n', "not JSON"),
    (b"[1, 2]\n", "expected an object"),
    (b'"text"\n', "expected an object"),
    (b"null\n", "expected an object"),
    (b'{"steps": []}\n', "`id` is missing"),
    (b'{"id": 1}\n', "`steps` is missing"),
    (b'{"id": null, "steps": []}\n', "`id` must be"),
    (b'{"id": true, "steps": []}\n', "`id` must be"),
    (b'{"id": {"a": 1}, "steps": []}\n', "`id` must be"),
    (b'{"id": NaN, "steps": []}\n', "NaN"),
    (b'{"id": 1, "steps": "print(1)"}\n', "`steps` must be a list"),
    (b'{"id": 1, "steps": {"a": "b"}}\n', "`steps` must be a list"),
    (b'{"id": 1, "steps": ["a", 2]}\n', "`steps[1]` must be text"),
    (b'{"id": 1, "steps": [null]}\n', "`steps[0]` must be text"),
    (b'{"id": 1, "steps": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "nested too deeply"),
    (b'{"id": "\xff", "steps": []}\n', "not UTF-8"),
    (b"\x00\x00\n", "not JSON"),
    (b'{"id": 1, "steps": ["a\x00"]}\n', "not JSON"),
    (b'{"id": ' + b"9" * 10_000 + b', "steps": []}\n', "not JSON"),
    (b'{"id": 1, "steps": ["' + b"a" * MAX_LINE_BYTES + b'"]}\n', "longer than"),
]


def test_malformed_lines_are_reported_with_their_numbers_and_stop_nothing(tmp_path: Path) -> None:
    content = b"\n" + b"".join(malformed + b" \n" + line(i) for i, (malformed, _) in enumerate(MALFORMED))
    rows, executed, report = execute(tmp_path, content)
    assert [row["id"] for row in rows] == list(range(len(MALFORMED)))
    assert [number for number, _ in executed.malformed] == [2 + 3 * i for i in range(len(MALFORMED))]
    *reported, last = report.splitlines()
    for i, (line_of_report, (_, message)) in enumerate(zip(reported, MALFORMED, strict=True)):
        assert line_of_report.startswith(f"line {2 + 3 * i}: ")
        assert message in line_of_report
        assert len(line_of_report) < 300
    assert f"{len(MALFORMED)} malformed lines" in last


def test_a_step_that_no_python_can_read_is_a_result(tmp_path: Path) -> None:
    content = line("nul", "print(1)\x00") + line("half", "x = '\ud800'") + line("empty", "") + line("deep", "(" * 5000)
    rows, executed, _ = execute(tmp_path, content.rstrip())
    assert [(row["id"], row["executions"][0]["status"]) for row in rows] == [
        ("nul", "error"),
        ("half", "error"),
        ("empty", "ok"),
        ("deep", "error"),
    ]
    assert executed.malformed == ()


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        execute_file(tmp_path / "absent.jsonl", tmp_path / "out.jsonl", QUICK)
    (tmp_path / "programs.jsonl").write_bytes(b"")
    with pytest.raises(DataError, match="it is a folder"):
        execute_file(tmp_path / "programs.jsonl", tmp_path, QUICK)
