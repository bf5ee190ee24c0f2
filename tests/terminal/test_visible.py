"""What a model or a program wrote cannot act on the terminal that shows it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_math.cli.solution import print_solution
from rstar_math.terminal.visible import visible, visible_json
from rstar_math.types import Execution, Solution, Step

HOSTILE = "\x1b]0;title\x07\x1b[2J\x1b]52;c;YQ==\x07\x9b31m\u202e\r\x00"


@given(st.text())
def test_no_control_character_is_left_and_nothing_else_is_changed(text: str) -> None:
    shown = visible(text + HOSTILE)
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) <= 0x9F for c in shown)
    if text.isprintable():
        assert visible(text) == text


@given(st.text())
def test_json_says_the_same(text: str) -> None:
    line = visible_json({"a": text + HOSTILE})
    assert json.loads(line) == {"a": text + HOSTILE}
    assert not any(ord(c) < 32 or 0x7F <= ord(c) <= 0x9F for c in line)


def test_json_has_no_numbers_that_are_none() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        visible_json({"seconds": float("inf")})


def test_solve_shows_controls_in_code_output_and_answer(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step(text=f"x = 1 # {HOSTILE}\n", code=f"x = 1 # {HOSTILE}\n", execution=Execution("ok", f"1{HOSTILE}\n"))
    print_solution(Solution(answer=f"1{HOSTILE}", reasoning_trace=(step,), trajectory=None), None)
    printed = capsys.readouterr().out
    for control in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e", "\x00"):
        assert control not in printed
    assert "\\x1b]0;title" in printed
