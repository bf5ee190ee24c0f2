"""The lines shown in docs/formats.md are what this version reads and writes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rstar_math import steps
from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.cli.explanation import to_json
from rstar_math.config import AnsweringSettings, SelectionSettings
from rstar_math.config.explain import explain
from rstar_math.evaluation.methods import Method
from rstar_math.evaluation.rows import to_row
from rstar_math.models import ModelFolders, read_answering
from rstar_math.problems.load import read_problems
from rstar_math.report.evaluation import summarise
from rstar_math.report.schema import Report, report_from_json, report_to_json
from rstar_math.selection.scored_texts import outcomes, step_values
from rstar_math.selection.select import preference_pairs, top_trajectories
from rstar_math.store.records import (
    read_pairs,
    read_scored_texts,
    read_trajectories,
    row_to_tree,
    tree_to_row,
    write_pairs,
    write_rows,
    write_scored_texts,
    write_trajectories,
)
from rstar_math.types import Problem, Solution
from rstar_math.workers.jobs import Answered

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
ROWS: dict[str, Any] = {
    name: json.loads(line) for name, line in re.findall(r"<!-- row: (\w+) -->\n```json\n(.*)\n```", TEXT)
}


def test_every_block_of_json_is_one_of_the_rows() -> None:
    assert TEXT.count("```json") == len(ROWS) >= 9


def test_the_problem_is_read(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text(json.dumps(ROWS["problem"]))
    (problem,) = read_problems(tmp_path / "problems.jsonl")
    assert (problem.id, problem.question, problem.answer, problem.tier, problem.part, problem.source) == tuple(
        ROWS["problem"][key] for key in ("id", "problem", "answer", "tier", "part", "source")
    )


def test_the_tree_is_read_and_written_back() -> None:
    tree = row_to_tree(ROWS["tree"])
    assert tree_to_row(tree) == ROWS["tree"]
    assert tree.solved


def test_the_columns_of_nodes_are_described() -> None:
    for column in ROWS["tree"]["nodes"][0]:
        assert f"`{column}`" in TEXT


def test_trajectory_and_pair_come_from_the_tree(tmp_path: Path) -> None:
    tree = row_to_tree(ROWS["tree"])
    (trajectory,) = top_trajectories(tree)
    write_trajectories(tmp_path / "trajectories.jsonl", [(tree.problem, trajectory, tree.id)])
    assert json.loads((tmp_path / "trajectories.jsonl").read_text()) == ROWS["trajectory"]
    pairs = preference_pairs([tree], SelectionSettings())
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert json.loads((tmp_path / "pairs.jsonl").read_text().splitlines()[0]) == ROWS["pair"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_texts_with_targets_come_from_the_tree_and_are_read(suffix: str, tmp_path: Path) -> None:
    tree = row_to_tree(ROWS["tree"])
    for name, rows in (("outcome", outcomes([tree])), ("q_value", step_values([tree]))):
        path = tmp_path / f"{name}{suffix}"
        write_scored_texts(path, rows)
        assert read_scored_texts(path) == rows
        assert dataclasses.asdict(rows[0]) == ROWS[name]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_trajectory_and_pair_are_read(suffix: str, tmp_path: Path) -> None:
    for name in ("trajectory", "pair"):
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".jsonl":
            path.write_text(json.dumps(ROWS[name]) + "\n")
        else:
            write_rows(path, [ROWS[name]])
    ((problem, trajectory, tree),) = read_trajectories(tmp_path / f"trajectory{suffix}")
    assert (problem.question, tree) == (ROWS["trajectory"]["question"], ROWS["trajectory"]["tree"])
    assert [step.text for step in trajectory.steps] == [step["text"] for step in ROWS["trajectory"]["steps"]]
    (pair,) = read_pairs(tmp_path / f"pair{suffix}")
    assert dataclasses.asdict(pair) == ROWS["pair"]


def test_the_result_row_has_the_columns_that_are_written() -> None:
    answered = Answered(Solution(None, (), None), correct=False, any_correct=False, timed_out=False)
    model = ModelFolders("pocket", Path("policy"))
    method = Method("mcts", AnsweringSettings(), "ppm", None)
    written = to_row(Problem("p", "?"), answered, "pocket/test", model, method, 0)
    assert list(ROWS["result"]) == ["key", *written]
    assert list(ROWS["result"]["candidates"]) == list(written["candidates"])
    for column in ROWS["result"]:
        assert f"`{column}`" in TEXT
    summary = summarise([ROWS["result"]]).rows[0]
    assert summary.accuracy is not None
    assert summary.accuracy.value == float(ROWS["result"]["correct"])
    assert (
        "".join(s.text + s.observation for s in steps.parse(ROWS["result"]["solution"])) == ROWS["result"]["solution"]
    )


def test_model_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "ppm.json").write_text(json.dumps(ROWS["ppm"]))
    assert read_ppm_file(tmp_path).scale == ROWS["ppm"]["scale"]
    (tmp_path / "answering.json").write_text(json.dumps(ROWS["answering"]))
    answering, threshold = read_answering(tmp_path / "answering.json")
    assert answering is not None
    assert threshold == ROWS["answering"]["threshold"]


def test_manifest_and_event_name_the_same_stage() -> None:
    event = {key: value for key, value in ROWS["event"].items() if key not in ("time", "event", "round", "seconds")}
    assert ROWS["manifest"]["stages"][event.pop("stage")] == event


def test_the_explained_key_is_what_is_printed() -> None:
    keys = to_json(explain("paper"))["keys"]
    assert isinstance(keys, list)
    (key,) = [key for key in keys if key["key"] == ROWS["explained"]["key"]]
    assert key.pop("source").endswith(ROWS["explained"].pop("source"))
    assert key == ROWS["explained"]


def test_the_keys_of_the_report_are_described() -> None:
    section = TEXT[TEXT.index("## report.json") :]
    for name in Report.model_fields:
        if name not in ("format", "base", "rounds"):
            assert f"`{name}" in section, name


def test_the_report_is_read() -> None:
    report = report_from_json(ROWS["report"], "docs/formats.md")
    assert report_to_json(report) == ROWS["report"]
    assert report.rounds
