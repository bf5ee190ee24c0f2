"""What the supervisor believes of what processes say: what an honest one could have said, and no more."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_math.execution.inside.protocol import MAX_ERROR_CHARS, MAX_RECORD_CHARS, MAX_STATEMENTS
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.execution.supervisor.reports import (
    MAX_OFFSET,
    NotDone,
    ReportError,
    StepReport,
    WarmResult,
    statements,
    step_report,
    warm_report,
)
from rstar_math.types import Execution
from tests.execution.conftest import Running
from tests.execution.hostile import PROGRAMS

STEP = [0, "ok", None, 0.5, 3, 3, 0, False]
RESULT = [7, "ok", None, 0.5, "x\n", 0.1, True]
OUTPUT_BYTES = 100

ODD: list[Any] = [
    *(None, True, -1, 1 << 40, 1 << 70, 0.0, -0.5, 1e308, "ok", "x", "", [], {}, [1.0], ["ok"]),
    *("\ud800", "x" * (MAX_ERROR_CHARS + 1), "killed", "cpu_limit", "\x1b]0;t\x07"),
]


def step_message(row: list[Any]) -> bytes:
    return b"R" + json.dumps(row).encode()


def test_what_an_honest_process_says_is_read() -> None:
    assert step_report(step_message(STEP)) == StepReport(0, "ok", None, 0.5, 3, 3, 0, False)
    failed = [2, "error", "E: \ud800", 0.0, 0, 0, 0, False]
    assert step_report(step_message(failed)).error == "E: ?"
    rows = [RESULT, [8, "refused", "class", 1], [9, "deferred", "text"], [10, "error", "E", 0.0, "", 0.0, False]]
    assert warm_report(json.dumps(rows).encode(), OUTPUT_BYTES) == [
        WarmResult(7, "ok", None, 0.5, "x\n", 0.1, True),
        NotDone(8, "refused", "class", 1),
        NotDone(9, "deferred", "text", -1),
        WarmResult(10, "error", "E", 0.0, "", 0.0, False),
    ]


def is_bounded(report: StepReport | WarmResult | NotDone) -> bool:
    """Whether every field is one that the rest of the program can take."""
    if isinstance(report, NotDone):
        report.reason.encode()
        return 0 <= report.number < MAX_OFFSET and -1 <= report.culprit < MAX_OFFSET and len(report.reason) <= 4096
    (report.error or "").encode()
    good = (report.error is None) == (report.status == "ok") and len(report.error or "") <= MAX_ERROR_CHARS
    good = good and math.isfinite(report.seconds) and report.seconds >= 0
    if isinstance(report, WarmResult):
        report.output.encode()
        return good and math.isfinite(report.replayed_s) and len(report.output) <= OUTPUT_BYTES
    numbers = (report.index, report.end, report.records_at, report.records_bytes)
    return good and all(type(n) is int and 0 <= n < MAX_OFFSET for n in numbers)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_every_field_of_a_step_is_checked(place: int, odd: Any) -> None:
    row = [*STEP[:place], odd, *STEP[place + 1 :]]
    try:
        report = step_report(step_message(row))
    except ReportError:
        return
    assert is_bounded(report)
    assert type(odd) in (type(STEP[place]), int)


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_every_field_of_a_warm_result_is_checked(place: int, odd: Any) -> None:
    row = [*RESULT[:place], odd, *RESULT[place + 1 :]]
    try:
        reports = warm_report(json.dumps([row]).encode(), OUTPUT_BYTES)
    except ReportError:
        return
    assert all(map(is_bounded, reports))
    assert type(odd) in (type(RESULT[place]), int)


@pytest.mark.parametrize(
    "message",
    [b"", b"R", b"R{}", b"R[]", b"R0", b"Rnull", b"X[]", b"R\xff", b"R" + b"[" * 100_000, b"R[0,1e999]"]
    + [b'R[0,"ok",null,%s,0,0,0,false]' % time for time in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000)],
    ids=range(15),
)
def test_what_is_no_report_is_none(message: bytes) -> None:
    with pytest.raises(ReportError):
        step_report(message)
    with pytest.raises(ReportError):
        warm_report(message[1:] + b"1", OUTPUT_BYTES)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ok", "error", "refused"]),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)


@given(JSON, st.binary(max_size=60))
def test_anything_is_bounded_or_refused(value: Any, noise: bytes) -> None:
    for data in (json.dumps(value).encode(), noise):
        with contextlib.suppress(ReportError):
            assert is_bounded(step_report(b"R" + data))
        with contextlib.suppress(ReportError):
            assert all(map(is_bounded, warm_report(data, OUTPUT_BYTES)))
        for statement in statements(data):
            assert len(statement.printed) <= MAX_RECORD_CHARS


def test_records_are_bounded() -> None:
    good = ["printed", "value", True, None]
    assert len(statements(json.dumps([good] * 3).encode())) == 3
    assert statements(b"") == ()
    for bad in (
        [[*good, 1]],
        [["x" * (MAX_RECORD_CHARS + 1), None, True, None]],
        [good] * (MAX_STATEMENTS + 1),
        [[1, 2, 3, 4]],
    ):
        assert statements(json.dumps(bad).encode()) == ()


def test_a_program_cannot_claim_more_than_the_kernel_has_counted(running: Running) -> None:
    """A forged report of 1.7e308 seconds, once made the cost of a run infinite."""
    names = [name for name in PROGRAMS["PROTOCOL"] if "cost" in name or "header" in name]

    async def body(executor: SandboxExecutor) -> tuple[list[list[Execution]], float]:
        began = time.monotonic()
        steps = [[PROGRAMS["PROTOCOL"][name], "print(1)"] for name in names]
        return [await executor.execute_program(program) for program in steps], time.monotonic() - began

    programs, passed = running.run(body)
    assert len(programs) >= 8
    for name, executions in zip(names, programs, strict=True):
        total = sum(e.seconds for e in executions)
        assert math.isfinite(total), name
        assert 0.0 <= total <= passed, (name, executions)
        assert all(len(e.error or "") <= MAX_ERROR_CHARS for e in executions)


def test_a_report_that_cannot_be_honest_ends_the_program(running: Running) -> None:
    for name in ("an error of 120,000 characters", "a step that is not next", "a cost that is no number"):
        execution = running.execute(PROGRAMS["PROTOCOL"][name])
        assert execution.status == "killed", (name, execution)
        assert (execution.error or "").startswith("ProtocolError"), (name, execution)


def test_the_cost_of_a_program_is_what_its_process_has_used(running: Running) -> None:
    """What the program itself says is less: it has changed the clock that it reads."""
    code = "import time\ntime.process_time = lambda: 0.0\nfor i in range(3_000_000): pass"
    execution = running.run(lambda executor: executor.execute_program([code]))[0]
    assert execution.ok
    assert execution.seconds > 0.005
