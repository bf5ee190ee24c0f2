"""Interchange: what is written is read again, as the released examples have it, and released trees are trees."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
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
from rstar_math.tree import Tree
from rstar_math.types import Problem
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
