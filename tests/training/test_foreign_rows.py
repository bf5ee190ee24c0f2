"""Rows of other programs: every shape that is read, what is skipped and counted, what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rstar_math import steps
from rstar_math.errors import DataError
from rstar_math.store.interchange import (
    FORMATS,
    Format,
    is_foreign,
    pair_row,
    sft_row,
)
from rstar_math.training.examples import sft_example
from rstar_math.training.foreign_rows import pairs_in, solutions_in
from rstar_math.types import PreferencePair, Step

SOLVED = "Let's think step by step and solve the problem with code.<code>\nx = 6 * 7\n<end_of_step>\n\nprint(x)"
SOLVED += "\n<end_of_code>\n<output>42<end_of_output>\n<answer>\\boxed{42}<end_of_answer>"
WRONG = SOLVED.replace("x = 6 * 7", "x = 6 + 7").replace("42", "13")


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


ASKED, GOOD, BAD = said("user", "What is 6 * 7?"), said("assistant", SOLVED), said("assistant", WRONG)


def rows_file(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKED, GOOD]},
        {"messages": [said("system", "Be brief."), ASKED, GOOD]},
        {"messages": [said("user", [{"type": "text", "text": "What is "}, {"type": "text", "text": "6 * 7?"}]), GOOD]},
        {"prompt": [ASKED], "completion": [GOOD]},
        {"prompt": "What is 6 * 7?", "completion": SOLVED},
        {"prompt": steps.prompt("What is 6 * 7?"), "completion": SOLVED.partition("<code>")[2]},
        {"query": "What is 6 * 7?", "response": "<code>" + SOLVED.partition("<code>")[2]},
        {"conversations": [{"from": "human", "value": "What is 6 * 7?"}, {"from": "gpt", "value": SOLVED}]},
    ],
)
def test_solutions_of_every_shape(row: dict[str, Any], tmp_path: Path) -> None:
    path = rows_file(tmp_path, row)
    assert is_foreign(path)
    ((question, found),) = solutions_in(path).rows
    assert question == "What is 6 * 7?"
    assert [s.code for s in found] == ["x = 6 * 7", "print(x)", ""]
    assert found[-1].answer == "42"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        {"prompt": [said("system", "Be brief."), ASKED], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "What is 6 * 7?", "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "What is 6 * 7?", "chosen": SOLVED, "rejected": WRONG},
        {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD], "pos_count": None, "score_chosen": 5},
    ],
)
def test_pairs_of_every_shape(row: dict[str, Any], tmp_path: Path) -> None:
    path = rows_file(tmp_path, row)
    assert is_foreign(path)
    (pair,) = pairs_in(path).rows
    assert pair.prefix == steps.prompt("What is 6 * 7?")
    assert (pair.kind, pair.weight) == ("answer", 1.0)
    assert (pair.chosen, pair.rejected) == (SOLVED.partition("<code>")[2], WRONG.partition("<code>")[2])
    assert (
        pair.problem
        == pairs_in(rows_file(tmp_path, {"prompt": [ASKED], "chosen": [BAD], "rejected": [GOOD]})).rows[0].problem
    )


SKIPPED_SOLUTIONS = {
    "ends with the user": {"messages": [ASKED, GOOD, said("user", "And 7 * 7?")]},
    "ends with the user ": {"messages": [ASKED]},
    "content (null)": {"messages": [ASKED, said("assistant", None)]},
    "content (empty)": {"messages": [ASKED, said("assistant", " ")]},
    "several turns": {"messages": [ASKED, GOOD, said("user", "And?"), GOOD]},
    "no question of a user": {"messages": [GOOD]},
    "calls of tools": {"messages": [ASKED, said("assistant", "", tool_calls=[{"id": "1"}]), said("tool", "42"), GOOD]},
    "calls of tools ": {"messages": [ASKED, said("tool", "42"), GOOD]},
    "content that is no text": {"messages": [said("user", [{"type": "image", "image": "x"}]), GOOD]},
    "`messages` is empty": {"messages": []},
    "no messages": {"messages": [said("system", "Be brief.")]},
    "`response` is empty": {"query": "q", "response": None},
    "`query` is empty": {"query": "", "response": "r"},
    "surrogate": {"query": "half \ud83d", "response": "r"},
}
SKIPPED_PAIRS = {
    "`pos_count` is not from 1": {"prompt": "q", "pos": "a", "neg": "b", "pos_count": 0, "neg_count": 1},
    "`neg_count` is not from 1": {"prompt": "q", "pos": "a", "neg": "b", "pos_count": 1, "neg_count": -3},
    "`pos_count` is not from 1 ": {"prompt": "q", "pos": "a", "neg": "b", "pos_count": 10**30, "neg_count": 1},
    "`pos` is empty": {"prompt": "q", "pos": "", "neg": "b"},
    "`neg` is empty": {"prompt": "q", "pos": "a", "neg": None},
    "`prompt` is empty": {"prompt": None, "pos": "a", "neg": "b"},
    "the same": {"prompt": "q", "chosen": "a", "rejected": "a"},
    "the same ": {"chosen": [ASKED, GOOD], "rejected": [ASKED, GOOD]},
    "`chosen` is empty": {"prompt": [ASKED], "chosen": [], "rejected": [BAD]},
    "ends with the user": {"prompt": [ASKED], "chosen": [ASKED], "rejected": [BAD]},
    "content (null)": {"prompt": [ASKED], "chosen": [said("assistant", None)], "rejected": [BAD]},
    "calls of tools": {"prompt": [ASKED], "chosen": [GOOD], "rejected": [said("tool", "1"), BAD]},
}


@pytest.mark.parametrize("reason", SKIPPED_SOLUTIONS)
def test_what_cannot_be_trained_on_is_skipped_and_counted(reason: str, tmp_path: Path) -> None:
    found = solutions_in(rows_file(tmp_path, {"messages": [ASKED, GOOD]}, SKIPPED_SOLUTIONS[reason]))
    assert len(found.rows) == 1
    ((why, number),) = found.skipped.items()
    assert reason.strip() in why
    assert number == 1
    assert "rows.jsonl: 1 rows skipped: " in found.said(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match=r"rows\.jsonl has no row that can be trained on \("):
        solutions_in(rows_file(tmp_path, SKIPPED_SOLUTIONS[reason]))


@pytest.mark.parametrize("reason", SKIPPED_PAIRS)
def test_pairs_that_say_nothing_are_skipped_and_counted(reason: str, tmp_path: Path) -> None:
    found = pairs_in(
        rows_file(tmp_path, {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, SKIPPED_PAIRS[reason])
    )
    assert len(found.rows) == 1
    assert [reason.strip() in why for why in found.skipped] == [True]


def test_what_is_left_out_of_a_row_is_counted(tmp_path: Path) -> None:
    rows = [{"messages": [said("system", "x"), ASKED, GOOD]}, {"messages": [ASKED, said("assistant", "It is 42.")]}]
    found = solutions_in(rows_file(tmp_path, *rows))
    assert found.noted == {"lost their system message": 1, "have no markers of steps, and count as one step": 1}
    pair = {"prompt": [said("system", "x"), ASKED], "chosen": [GOOD], "rejected": [BAD]}
    assert pairs_in(rows_file(tmp_path, pair)).noted == {"lost their system message": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": "text"}, "row 2: .*`messages` is no list of messages"),
        ({"messages": ["text"]}, "row 2: .*`messages` is no list of messages"),
        ({"messages": [said("judge", "x"), GOOD]}, "row 2: .*a message has the role 'judge'"),
        ({"messages": [said("user", 3), GOOD]}, "row 2: .*the content of a message is '3'"),
        ({"query": 3, "response": "r"}, "row 2: .*`query` is no text, but '3'"),
        ({"query": "q"}, "row 2: .*'response' is missing"),
        ({"text": "q"}, "row 2: .*has the keys text"),
    ],
)
def test_solutions_of_another_shape_are_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        solutions_in(rows_file(tmp_path, {"messages": [ASKED, GOOD]}, row))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q", "pos": "a"}, "row 2: .*'neg' is missing"),
        ({"prompt": "q", "pos": 1, "neg": "a"}, "row 2: .*`pos` is no text, but '1'"),
        ({"prompt": "q", "pos": "a", "neg": "b", "pos_count": "many"}, "row 2: .*`pos_count` is no whole number"),
        ({"prompt": "q", "pos": "a", "neg": "b", "pos_count": 1.5}, "row 2: .*`pos_count` is no whole number"),
        ({"prompt": "q", "pos": "a", "neg": "b", "pos_count": float("nan")}, "line 2: not valid JSON"),
        ({"prompt": steps.USER_TURN.format(question="q"), "pos": "a", "neg": "b"}, "row 2: .*no assistant turn"),
        ({"question": "q"}, "row 2: .*'chosen' is missing"),
    ],
)
def test_pairs_of_another_shape_are_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        pairs_in(rows_file(tmp_path, {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, row))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "q", SOLVED, "user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text", "type"]), inner, max_size=3)
    ),
    max_leaves=8,
)
COLUMNS = ["query", "response", "prompt", "completion", "messages", "chosen", "rejected", "pos", "neg"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.dictionaries(st.sampled_from([*COLUMNS, "pos_count", "neg_count", "conversations"]), JSON_VALUES))
def test_no_row_at_all_gives_a_traceback(row: dict[str, Any], tmp_path: Path) -> None:
    path = rows_file(tmp_path, row)
    is_foreign(path)
    for read in (solutions_in, pairs_in):
        with contextlib.suppress(DataError):
            assert read(path).rows


STEP_CODE = st.from_regex(r"# [a-z ]{1,12}\n[a-z] = \d{1,3}", fullmatch=True)


@st.composite
def solutions(draw: st.DrawFn) -> list[Step]:
    """A solution of steps, some of which print."""
    text = "".join(f"\n{draw(STEP_CODE)}\n<end_of_step>\n" for _ in range(draw(st.integers(0, 3))))
    number = draw(st.integers(0, 99))
    text += (
        f"\nprint({number})\n<end_of_code>\n<output>{number}<end_of_output>\n<answer>\\boxed{{{number}}}<end_of_answer>"
    )
    return steps.parse(text)


QUESTIONS = st.text(st.characters(codec="utf-8", exclude_characters="<>"), min_size=1).filter(str.strip)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=QUESTIONS, good=solutions(), bad=solutions(), kind=st.sampled_from(FORMATS), cut=st.integers(0, 4))
def test_every_format_is_read_back_to_the_same_examples(
    question: str, good: list[Step], bad: list[Step], kind: Format, cut: int, tmp_path: Path
) -> None:
    sft = rows_file(tmp_path, sft_row(kind, question, good), name="sft.jsonl")
    assert is_foreign(sft)
    (read,) = solutions_in(sft).rows
    assert sft_example(*read) == sft_example(question, good)
    # a pair of steps behind `cut` steps, and a pair of whole solutions
    shared, left = good[:cut], good[cut : cut + 1]
    right = bad[cut : cut + 1]
    sides: list[tuple[Literal["answer", "step"], list[Step], list[Step], list[Step]]] = [("answer", [], good, bad)]
    if left and right:
        sides.append(("step", shared, left, right))
    for which, before, a, b in sides:
        if a == b:
            continue
        chosen, rejected = (steps.render(side) if which == "answer" else side[0].text for side in (a, b))
        pair = PreferencePair(
            "p",
            steps.prompt(question) + steps.render(before),
            chosen,
            rejected,
            1.0, -1.0, 1 / 6, which, "t", 0, 2, 3,
        )  # fmt: skip
        if pair.chosen == pair.rejected:
            continue
        path = rows_file(tmp_path, pair_row(kind, pair), name="pairs.jsonl")
        assert is_foreign(path)
        (again,) = pairs_in(path).rows
        assert again.prefix + again.chosen == pair.prefix + pair.chosen
        assert again.prefix + again.rejected == pair.prefix + pair.rejected
        if kind == "rstar":
            assert (again.weight, again.num_chosen, again.num_rejected) == (pair.weight, 2, 3)
        if kind != "messages" or which == "step":
            assert again.prefix == pair.prefix
