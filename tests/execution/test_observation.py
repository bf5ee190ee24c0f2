"""The released observation rules: by hand, as properties, and from what the executor records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_math.config import ExecutionSettings
from rstar_math.execution.observation import RecordedExecution, Statement, lines_before, official_observation
from tests.execution.conftest import Running


@pytest.fixture(scope="module")
def recording() -> Iterator[Running]:
    started = Running(ExecutionSettings(cpu_s=5, wall_s=60, num_slots=2, output="statements"))
    yield started
    started.close()


def seen(recording: Running, *steps: str) -> str:
    """The observation of a program, its steps run one after the other."""
    executions = recording.run(lambda executor: executor.execute_program(steps))
    statements: list[Statement] = []
    for execution in executions:
        assert isinstance(execution, RecordedExecution)
        statements += execution.statements
    return official_observation(statements, executions[-1].error)


@pytest.mark.parametrize(
    ("program", "observation"),
    [
        ("print(1 / 3)", "0.3333"),
        ("print(2)", "2"),  # "2.0" would be longer
        ("print(0.5)", "0.5"),
        ("print('0.12345')", "0.1235"),
        ("1 / 3", "0.3333333333333333"),  # a value that is no text is not rounded
        ("str(1 / 3)", "0.3333"),
        ("print(123456789012345678901234567890)", "1.2345678901234568e+29"),
        ("print(1 / 3, 1)", "0.3333333333333333 1"),  # not one number
        ("print('a')\nx = 1", ""),  # only the last statement is looked at
        ("x = 7\nx", "7"),
        ("print('lost') or 5", "5"),  # a value takes the place of what was printed
        ("print(1)\nprint(2)", "1: 1\n2: 2"),
        ("print('a')\nx = 5\nx\nprint(x / 3)\nx", "'a': a\nx / 3: 1.6667"),
        ("print(max(1, 2), 3)\nprint('(b)', 4)", "max(1, 2: 2 3\n'(b: (b) 4"),  # up to the first closing bracket
        ("for i in range(2):\n    print(i)\nprint(9)", "i: 0\n1\n9: 9"),
        ("def f(x):\n    print(x, 'x')\n    return x\nprint(f(1))", "x, 'x': f(1: 1 x\n1"),
        ("print (1)\nprint (2)", "1\n 2"),  # no label where the bracket does not follow
        ("if 1:\n    pass\nelse:\n    print(3)\nprint(4)", "4"),  # the other branch does not count
        ("print('x' * 2000)", "x" * 512 + "..." + "x" * 511),
        ("", ""),
        ("x = 1", ""),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("print(1)\nraise ValueError", "ValueError:"),
        ("print('error')", "error"),
    ],
)
def test_rules(recording: Running, program: str, observation: str) -> None:
    assert seen(recording, program) == observation


def test_the_steps_of_a_program_count_as_one(recording: Running) -> None:
    steps = ("x = 2\nprint(x / 3)", "y = x + 1", "print('y is', y)")
    assert seen(recording, *steps) == seen(recording, "\n".join(steps)) == "x / 3: 0.6667\n'y is', y: y is 3"


def test_syntax_errors_name_the_line_in_the_whole_program(recording: Running) -> None:
    """The released program starts with a line of its own, and a marker leaves an empty line behind."""
    history = "\nimport math\n\n# Step 1\nx = 1\n<end_of_step>"
    text = "\n\n# Step 2\n y = x\n<end_of_step>"
    execution = recording.execute("# Step 2\n y = x", "import math\n\n# Step 1\nx = 1")
    assert execution.error == "IndentationError: unexpected indent (<unknown>, line 2)"
    whole = "# ========" + (history + text).replace("<end_of_step>", "")
    line = next(number for number, code in enumerate(whole.split("\n"), start=1) if code == " y = x")
    shown = official_observation((), execution.error, lines_before(history, text))
    assert shown == f"IndentationError: unexpected indent (<unknown>, line {line})"


def test_statements_are_recorded_only_when_asked_for(running: Running) -> None:
    steps = ("x = 1", "print(x)\nx / 3")
    assert not isinstance(running.execute("print(1)"), RecordedExecution)
    plain = running.run(lambda executor: executor.execute_program(steps))
    assert not any(isinstance(execution, RecordedExecution) for execution in plain)
    recorded = running.run(lambda executor: executor.record_program(steps))
    assert [e.output for e in recorded] == [e.output for e in plain] == ["", "1\n"]
    assert [e.statements for e in recorded if isinstance(e, RecordedExecution)] == [
        (Statement(""),),
        (Statement("1\n", label="x:"), Statement("", "0.3333333333333333")),
    ]


def test_what_a_program_prints_is_kept_as_it_is_beside_the_records(recording: Running) -> None:
    execution = recording.execute("print(1 / 3)\nprint('x' * 5000)")
    assert execution.output == f"0.3333333333333333\n{'x' * 5000}\n"


PRINTED = st.text(max_size=3000)
STATEMENTS = st.lists(
    st.builds(Statement, PRINTED, st.none() | PRINTED, st.booleans(), st.none() | st.text(max_size=50)), max_size=5
)


@given(STATEMENTS)
def test_every_part_is_bounded_and_the_ends_are_stripped(statements: list[Statement]) -> None:
    shown = official_observation(statements)
    assert shown == shown.strip()
    assert len(shown) <= max(1, len(statements)) * (1027 + 51)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_rounded_but_never_longer(number: float) -> None:
    shown = official_observation([Statement(f"{number}\n", label="x:")])
    assert len(shown) <= len(str(number))
    assert float(shown) == pytest.approx(number, abs=5.1e-5)


@given(STATEMENTS, st.text(alphabet="abc ", min_size=1))
def test_an_error_is_shown_alone(statements: list[Statement], message: str) -> None:
    assert official_observation(statements, f"ValueError: {message}") == f"ValueError: {message}".strip()
