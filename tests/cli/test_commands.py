"""The command line: light to start, and clear about what is wrong; nothing that was finished is lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rstar_math import cli, steps
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.walking import command

RSTAR = Path(sys.executable).with_name("rstar")


def test_help_is_light() -> None:
    done = subprocess.run([RSTAR, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "evolve" in done.stdout
    names = "('torch', 'transformers', 'sympy', 'numpy', 'pydantic')"
    heavy = f"import sys, rstar_math.cli.app; print([m for m in {names} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"problem": "1 + 1?", "answer"', "line 2: not valid JSON"),
        ('{"answer": "2"}', "line 2: needs a text `problem`"),
        ('{"problem": "1 + 1?", "answer": ["2"]}', "line 2: `answer` must be text or a number"),
        ("[1, 2]", "line 2: expected a JSON object"),
    ],
)
def test_a_malformed_problem_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"problem": "What is 2 + 3?", "answer": "5"}\n' + line + "\n")
    done = command("eval", "--benchmark", path, "--out", tmp_path / "out", "--model", "pocket-base")
    assert done.returncode == 2
    assert message in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    done = command("solve", "What is 2 + 3?", "--model", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_without_markers_is_named(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "plain", "llama", markers=steps.MARKERS[:-1])
    done = command("solve", "What is 2 + 3?", "--model", folder)
    assert done.returncode == 2
    assert steps.END_OF_ANSWER in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_recipe_key_names_the_nearest(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[2] / "recipes" / "smoke.yaml").read_text()
    recipe.write_text(text.replace("      num_rollouts: 4", "      num_rolouts: 4", 1))
    done = command("evolve", recipe, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "rounds[0].search.num_rolouts" in done.stderr
    assert "num_rollouts" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = command("evolve", "smoke", "--out", tmp_path)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_unknown_strategies_and_empty_questions(tmp_path: Path) -> None:
    done = command("eval", "--strategy", "greedy,mtcs", "--out", tmp_path / "out", "--model", "pocket-base")
    assert done.returncode == 2
    assert "mtcs" in done.stderr
    assert "mcts" in done.stderr
    assert command("solve", "  ").returncode == 2


def test_a_full_disk_is_said_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "summary.json")

    trees = tmp_path / "trees"
    out = tmp_path / "out"
    out.mkdir()
    (out / "trajectories.parquet").write_text("old")
    _write_some_trees(trees)
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(sys, "argv", ["rstar", "select", str(trees), "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert "the disk is full" in capsys.readouterr().err
    assert (out / "trajectories.parquet").read_text() == "old"


def _write_some_trees(folder: Path) -> None:
    from rstar_math.store.records import TreeStore
    from rstar_math.tree import Tree
    from rstar_math.types import Problem, Step

    with TreeStore(folder) as store:
        for i in range(3):
            tree = Tree.start(Problem(id=f"p{i}", question="What is 6 * 7?", answer="42"), "mcts", 0)
            node = tree.add(tree.root, Step(text="<answer>\\boxed{42}<end_of_answer>", answer="42"))
            node.terminal, node.correct, node.visit_count, node.value_sum = "answer", True, 1, 1.0
            tree.rollouts = [node.index]
            store.append(tree)


def test_select_writes_what_trees_give(tmp_path: Path) -> None:
    _write_some_trees(tmp_path / "trees")
    done = command("select", tmp_path / "trees", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["num_trees"] == 3
    assert summary["num_trajectories"] == 3


def test_evaluation_of_any_problem_file_gives_a_row_for_each(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    problems = ["What is 2 + 3?", "What is 2 + 3?", "Ünïcode: ∑ of <end_of_step> and \\boxed{1}?"]
    path.write_text("".join(json.dumps({"problem": p, "answer": 5}) + "\n" for p in problems))
    out = tmp_path / "out"
    args = ("eval", "--benchmark", path, "--model", "pocket-base", "--strategy", "greedy,sample", "--out", out)
    done = command(*args, "--workers", "1")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for p in sorted((out / "rows").glob("*.jsonl")) for line in p.read_text().splitlines()]
    assert len(rows) == 6
    assert len({(r["problem"], r["strategy"]) for r in rows}) == 6
    assert all(isinstance(r["correct"], bool) for r in rows)
    before = {p: p.read_bytes() for p in (out / "rows").glob("*.jsonl")}
    assert command(*args, "--workers", "1").returncode == 0
    assert before == {p: p.read_bytes() for p in (out / "rows").glob("*.jsonl")}


@pytest.mark.parametrize("width", [40, 80])
def test_long_code_and_long_output_of_a_step_are_shown_whole(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rstar_math.cli.solution import print_solution
    from rstar_math.types import Execution, Solution, Step

    code = "answer = " + " + ".join(f"number_{i}" for i in range(30))
    step = Step(text=code, code=code, execution=Execution("ok", output="7" * 100))
    monkeypatch.setenv("COLUMNS", str(width))
    print_solution(Solution(answer="7", reasoning_trace=(step,), trajectory=None), None)
    shown = capsys.readouterr().out
    assert all(f"number_{i}" in shown for i in range(30))
    assert "7" * 100 in "".join(shown.split())
