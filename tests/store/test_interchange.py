"""Interchange: what is written is read again, as the released examples have it, and released trees are trees."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from rstar_math import steps
from rstar_math.cli.app import app
from rstar_math.config import SearchSettings, SelectionSettings
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import ConfigError, DataError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.mcts import mcts
from rstar_math.selection.select import preference_pairs, top_trajectories
from rstar_math.stages.select import select
from rstar_math.store.interchange import (
    FORMATS,
    Format,
    is_foreign,
    pair_row,
    read_any_trees,
    read_foreign_pairs,
    read_solutions,
    released_tree,
    sft_row,
    write_interchange,
)
from rstar_math.training.examples import sft_example
from rstar_math.training.foreign_rows import pairs_in, solutions_in
from rstar_math.tree import Tree
from rstar_math.types import PreferencePair, Problem, Step
from rstar_math.workers.bench import Workbench

RELEASED = Path(__file__).parents[3] / "shared" / "solutions"


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    async def grow() -> list[Tree]:
        bench = Workbench(FakeEngine(), FakeExecutor(), FakeGrader())
        settings = SearchSettings(num_rollouts=16, num_candidates=6, use_ppm=False)
        problems = [Problem(f"p{i}", f"What is {i} + 1?\nSay it.", answer="1") for i in range(6)]
        return [await mcts(bench.environment(p, seed=0), settings) for p in problems]

    return asyncio.run(grow())


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_written_is_read_again(kind: Format, trees: list[Tree], tmp_path: Path) -> None:
    selected = select(trees, SelectionSettings(), None)
    assert len(selected.pairs) > 10
    sft, pairs = write_interchange(tmp_path, kind, selected.rows(), selected.pairs)
    assert is_foreign(sft)
    expected = [(p.question, steps.render(t.steps)) for p, t, _ in selected.rows()]
    assert [(q, steps.render(s)) for q, s in read_solutions(sft)] == expected
    if kind != "messages":
        read = read_foreign_pairs(pairs)
        assert [(p.prefix + p.chosen, p.prefix + p.rejected) for p in read] == [
            (p.prefix + p.chosen, p.prefix + p.rejected) for p in selected.pairs
        ]
        if kind == "rstar":
            assert [p.weight for p in read] == [1 / (p.num_chosen * p.num_rejected) for p in selected.pairs]


def test_rows_have_the_columns_that_others_read(trees: list[Tree]) -> None:
    tree = next(t for t in trees if t.solved)
    trajectory = top_trajectories(tree)[0]
    pair = next(p for t in trees for p in preference_pairs([t], SelectionSettings()) if p.kind == "answer")
    row = sft_row("rstar", tree.problem.question, trajectory.steps)
    assert list(row) == ["query", "response"]
    assert row["response"].startswith("<code>\n")
    assert list(pair_row("rstar", pair)) == ["prompt", "neg", "pos", "neg_count", "pos_count"]
    assert pair_row("rstar", pair)["prompt"].startswith("<|user|>:\nWhat is")
    assert pair_row("rstar", pair)["pos"].startswith("\n<|assistant|>: Let's think step by step")
    assert list(sft_row("trl", "q", trajectory.steps)) == ["prompt", "completion"]
    assert list(pair_row("trl", pair)) == ["prompt", "chosen", "rejected"]
    chat = pair_row("messages", pair)
    assert chat["prompt"][0]["role"] == "user"
    assert chat["chosen"][0]["content"].startswith("Let's think step by step")


@pytest.mark.skipif(not RELEASED.is_dir(), reason=f"no released examples in {RELEASED}")
def test_the_released_examples_are_read_and_written_again_as_they_were(tmp_path: Path) -> None:
    sft = RELEASED / "rstar_sft_examples.jsonl"
    rows = [json.loads(line) for line in sft.read_text().splitlines()]
    assert is_foreign(sft)
    assert [sft_row("rstar", q, s) for q, s in read_solutions(sft)] == [
        {"query": r["query"], "response": r["response"]} for r in rows
    ]
    path = RELEASED / "rstar_rm_pair_examples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pairs = read_foreign_pairs(path)
    assert {p.kind for p in pairs} == {"step", "answer"}
    for pair, row in zip(pairs, rows, strict=True):
        assert pair.prefix + pair.chosen == row["prompt"] + row["pos"]
        assert steps.split_prompt(pair.prefix)[1].startswith(steps.CODE)
        assert pair_row("rstar", pair) == {k: row[k] for k in ("prompt", "neg", "pos", "neg_count", "pos_count")}


def state(text: str, q: float, visits: int, **more: Any) -> dict[str, Any]:
    plain = {"action": "", "action_input": "", "final_answer": "", "extra_info": "", "value": q}
    return {"text": text, "q_value": q, "visit_count": visits, **plain, **more}


def ran(text: str, q: float, visits: int, seen: str) -> dict[str, Any]:
    return state(text, q, visits, action="python_interpreter", action_input=text, observation=seen)


SAVED = {
    "question": "What is 6 * 7?",
    "answer": "42",
    "rstar": {
        "0": state("", 0.5, 4, extra_info="question: What is 6 * 7?"),
        "0.1": ran("<code>\n# Step 1\nx = 6\nprint(x)\n<end_of_step>", 0.5, 3, "6"),
        "0.2": ran("<code>\n# Step 1\nx = y\n<end_of_step>", 0.0, 0, "NameError: name 'y' is not defined"),
        "0.3": ran("<code>\n# Step 1: guess\nx = 41\n<end_of_step>", -1.0, 1, ""),
        "0.1.1": ran("\n\n# print\nprint(x * 7)\n<end_of_code>\n<output>6\n42<end_of_output>", 0.5, 3, "6\n42"),
        "0.1.1.1": state("\n<answer>\\boxed{42}.\n<end_of_answer>", 1.0, 2, final_answer="42"),
        "0.1.1.2": state("\n<answer>\\boxed{41}.\n<end_of_answer>", -1.0, 1, final_answer="41"),
        "0.3.1": ran("\n\nprint(x)\n<end_of_code>\n<output>41<end_of_output>", -1.0, 1, "41"),
        "0.3.1.1": state("\n<answer>\\boxed{41}<end_of_answer>", -1.0, 1, final_answer="41"),
        "0.3.1.10": state("\nwhat", -1.0, 1, final_answer="Fail to generate parsable text for next step."),
    },
}


def test_a_tree_of_the_released_code_is_read() -> None:
    tree = released_tree(SAVED, "file-1")
    assert tree.problem == Problem("file-1", "What is 6 * 7?", "42", source="released")
    assert (tree.root.visit_count, tree.root.q_value) == (4, 0.5)
    right = next(n for n in tree.nodes if n.correct)
    assert tree.prefix(right) == steps.prompt("What is 6 * 7?") + (
        "\n# Step 1\nx = 6\nprint(x)\n<end_of_step>"
        "\n\n# print\nprint(x * 7)\n<end_of_code>\n<output>6\n42<end_of_output>"
        "\n<answer>\\boxed{42}.\n<end_of_answer>"
    )
    outputs = [s.execution.output for s in tree.steps(right) if s.execution]
    assert [o.strip() for o in outputs] == ["6", "42"]  # each step's own
    failed = tree.nodes[tree.root.children[1]]
    assert failed.rejected == "NameError: name 'y' is not defined"
    assert [n.terminal for n in tree.nodes if n.terminal] == ["answer", "answer", "answer", "dead_end"]
    assert tree.solved


def test_released_trees_give_trajectories_and_pairs(tmp_path: Path) -> None:
    (tmp_path / "mcts.jsonl").write_text(json.dumps(SAVED) + "\n" + json.dumps(SAVED) + "\n")
    found = list(read_any_trees(tmp_path))
    assert [t.id for t in found] == ["mcts-1@0", "mcts-2@0"]  # the same question twice is two problems
    selected = select(found, SelectionSettings(), None)
    assert [len(rows) for rows in selected.trajectories.values()] == [1, 1]
    steps_compared = [p for p in selected.pairs if p.kind == "step" and p.problem == "mcts-1"]
    assert [(p.chosen.split("\n")[1], p.rejected.split("\n")[1]) for p in steps_compared] == [
        ("# Step 1", "# Step 1: guess")
    ]
    assert steps_compared[0].prefix.endswith("with code.<code>")


def test_what_is_no_tree_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "q", "answer": "1"}\n')
    with pytest.raises(DataError, match=r"row 1: no tree"):
        list(read_any_trees(path))
    path.write_text('{"question": "q", "rstar": {"0.1": {"text": "x"}}}\n')
    with pytest.raises(DataError, match="has no root"):
        list(read_any_trees(path))
    path.write_text('[{"query": "q"}]')
    with pytest.raises(DataError, match=r"row 1: none of \{query, response\}"):
        read_solutions(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_command_reads_released_trees_and_writes_for_others(kind: Format, tmp_path: Path) -> None:
    (tmp_path / "mcts.jsonl").write_text(json.dumps(SAVED) + "\n")
    command = ["select", str(tmp_path / "mcts.jsonl"), "--out", str(tmp_path / "out"), "--format", kind]
    done = CliRunner().invoke(app, [*command, "--no-verify"])
    assert done.exit_code == 0, done.output
    ((question, found),) = read_solutions(tmp_path / "out" / "sft.jsonl")
    assert question == "What is 6 * 7?"
    assert found[-1].answer == "42"
    rows = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines()]
    assert len(rows) >= 2  # of a step, and of the answer
    sides = {"rstar": ("pos", "neg"), "trl": ("chosen", "rejected"), "messages": ("chosen", "rejected")}[kind]
    assert all(row[sides[0]] != row[sides[1]] for row in rows)


def test_the_command_runs_released_steps_again(tmp_path: Path) -> None:
    other = json.loads(json.dumps(SAVED))
    other["rstar"]["0.1"]["text"] = other["rstar"]["0.1"]["text"].replace("x = 6", "x = 7")  # prints 7 now, not 6
    (tmp_path / "mcts.jsonl").write_text(json.dumps(SAVED) + "\n" + json.dumps(other) + "\n")
    done = CliRunner().invoke(app, ["select", str(tmp_path / "mcts.jsonl"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["num_trees"], summary["num_trajectories"], summary["num_not_reproduced"]) == (2, 1, 1)
    unknown = CliRunner().invoke(app, ["select", str(tmp_path), "--out", str(tmp_path / "out"), "--format", "csv"])
    assert isinstance(unknown.exception, ConfigError)
    assert "choose from rstar, trl, messages" in str(unknown.exception)


# ---------------------------------------------------------------- rows of other programs

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


@pytest.mark.parametrize("kind", FORMATS)
def test_the_command_trains_a_ppm_on_what_select_wrote(kind: Format, tmp_path: Path) -> None:
    (tmp_path / "mcts.jsonl").write_text(json.dumps(SAVED) + "\n")
    command = ["select", str(tmp_path / "mcts.jsonl"), "--out", str(tmp_path / "out"), "--format", kind, "--no-verify"]
    assert CliRunner().invoke(app, command).exit_code == 0
    pairs = tmp_path / "out" / "pairs.jsonl"
    with open(pairs, "a") as f:
        f.write(json.dumps({"prompt": "q", "chosen": "a", "rejected": "a", "pos": "a", "neg": "a"}) + "\n")
    command = ["train", "ppm", str(pairs), "--policy", "pocket-base", "--out", str(tmp_path / "ppm")]
    done = CliRunner().invoke(app, [*command, "--set", "num_epochs=1"])
    assert done.exit_code == 0, done.output
    assert "1 rows skipped: both sides are the same" in done.output
    assert (tmp_path / "ppm" / "ppm.json").exists()
